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
  const source = { corpus: undefined, file: { ...file, ...changes }, limit: 0, split: '' };
  const spec = { name: 'a', sources: [source], split: undefined, tasks: [] };
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
