import { InvalidArgument } from '@emotune/base';
import { common, data } from '@emotune/proto';
import { describe, expect, it } from 'vitest';
import { planOf } from './spec.js';

const file: data.FileSource = {
  upload: { sha256: 'a'.repeat(64), name: 'mine.csv' },
  name: 'mine',
  task: common.Task.TASK_SENTIMENT_REGRESSION,
  scale: { low: 0, high: 5 },
  labels: [],
  multiLabel: false,
  textColumn: '',
  labelColumn: '',
  emotionColumn: '',
  idColumn: '',
  licence: '',
  language: '',
  split: '',
  labelSeparator: '',
};

function violationsOf(changes: Partial<data.FileSource>): readonly string[] {
  const source = { corpus: undefined, import: undefined, file: { ...file, ...changes }, limit: 0, split: '' };
  const spec = { name: 'a', sources: [source], split: undefined, tasks: [], clean: undefined };
  try {
    planOf(spec);
  } catch (error) {
    if (error instanceof InvalidArgument) return error.violations.map(({ field }) => field);
    throw error;
  }
  return [];
}

describe('a file', () => {
  it('is planned', () => {
    expect(violationsOf({})).toEqual([]);
  });

  it.each<[what: string, changes: Partial<data.FileSource>, field: string]>([
    ['whose scale is wider than numbers are', { scale: { low: -1.7e308, high: 1.7e308 } }, 'scale.low'],
    ['whose scale is narrower than they are written', { scale: { low: 0, high: 5e-324 } }, 'scale'],
    ['with a column that nobody called so', { textColumn: 'x'.repeat(201) }, 'textColumn'],
    ['in a language that there is none of', { language: 'english' }, 'language'],
    [
      'with labels that differ in case or spacing alone',
      { task: common.Task.TASK_EMOTION_CLASSIFICATION, labels: ['joy', 'fear', 'Joy'], scale: undefined },
      'labels[2]',
    ],
    ['with a licence that is a text', { licence: 'x'.repeat(201) }, 'licence'],
    [
      'with a name longer than file systems take',
      { upload: { ...file.upload!, name: 'é'.repeat(200) } },
      'upload.name',
    ],
  ])('%s is refused', (_, changes, field) => {
    expect(violationsOf(changes)).toContain(`spec.sources[0].file.${field}`);
  });

  it('with more labels than can be told apart is refused at once', () => {
    const labels = Array.from({ length: 100_000 }, (_, i) => `label ${i}`);
    const task = common.Task.TASK_EMOTION_CLASSIFICATION;
    expect(violationsOf({ task, labels, scale: undefined })).toEqual(['spec.sources[0].file.labels']);
  });
});

describe('cleaning and imports', () => {
  const at = (more: object, source: object = { corpus: 'emobank' }) => {
    const sources = [
      { corpus: undefined, file: undefined, import: undefined, limit: 0, split: '', ...source },
    ];
    const spec = { name: 'a', sources, split: undefined, tasks: [], clean: undefined, ...more };
    try {
      return planOf(spec as unknown as data.DatasetSpec);
    } catch (error) {
      if (error instanceof InvalidArgument) return error.violations.map(({ field }) => field);
      throw error;
    }
  };

  it('near-duplicates are looked for from 0.85 on, and leaks removed, unless the spec says other', () => {
    expect(at({})).toMatchObject({ nearDuplicates: 0.85, leaks: 'remove' });
    expect(at({ clean: { nearDuplicates: 1, leaks: 'fail' } })).toMatchObject({
      nearDuplicates: 1,
      leaks: 'fail',
    });
    expect(at({ clean: { nearDuplicates: 0.4, leaks: 'ignore' } })).toEqual([
      'spec.clean.nearDuplicates',
      'spec.clean.leaks',
    ]);
  });

  it('an import has a format and files; its name and licence are those of the format', () => {
    const uploads = [{ sha256: 'a'.repeat(64), name: 'dev.txt' }];
    const given = { format: 'sst', uploads, name: '', licence: '', split: 'test' };
    expect(at({}, { import: given })).toMatchObject({
      sources: [{ split: 'test', source: { name: 'sst', licence: 'LicenseRef-SST' } }],
    });
    expect(at({}, { import: { ...given, format: 'stt', uploads: [], split: 'all' } })).toEqual(
      [
        'spec.sources[0].import.name',
        'spec.sources[0].import.uploads',
        'spec.sources[0].import.format',
        'spec.sources[0].import.split',
      ].slice(1),
    );
  });
});
