import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { sha256 } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import { emotune, folder, json, rows, serverFolder, text } from './test-command-line.js';
import { asked } from './test-server.js';

const datasetDocument = {
  name: 'mine',
  version: '0123456789ab',
  state: 'ready',
  rows: { train: 80, validation: 10, test: 10 },
  sources: [
    {
      name: 'emotune-demo',
      licence: 'Apache-2.0',
      rows: 100,
      url: '',
      sha256: 'ab12',
      skipped: { 'no label': 2 },
    },
  ],
  tasks: [
    { task: 'sentiment-regression', rows: { train: 80, validation: 10, test: 10 } },
    {
      task: 'emotion-classification',
      rows: { train: 30, validation: 1, test: 2 },
      labels: {
        joy: { train: 1200, validation: 1, test: 2 },
        fear: { train: 7, validation: 0, test: 0 },
      },
    },
  ],
  duplicatesRemoved: 3,
  leaksRemoved: 1,
  languages: {
    en: { train: 70, validation: 10, test: 10 },
    ro: { train: 10, validation: 0, test: 0 },
  },
  licences: [
    {
      licence: 'Apache-2.0',
      rows: 100,
      sources: ['emotune-demo'],
      obligations: ['attribution'],
      known: true,
    },
  ],
  licenceConflicts: [],
  cleaning: {
    nearDuplicates: 0.85,
    nearDuplicatesRemoved: 2,
    nearLeaksRemoved: 1,
    leaks: [
      {
        id: 'emotune-demo/1',
        text: 'tea at six',
        split: 'train',
        keptId: 'emotune-demo/2',
        keptText: 'Tea at six.',
        keptSplit: 'test',
      },
    ],
    near: [],
  },
  conflicts: {
    texts: 1,
    rows: 3,
    examples: [
      { text: 'tea is tea', task: 'sentiment-classification', answers: { positive: 2, neutral: 1 } },
    ],
  },
  notices: ['emobank was replaced by demonstration data'],
};

it('lexicons', async () => {
  expect(await text('lexicons')).toMatch(
    /^emotag +und +150 +MIT +name its authors and its licence +to be downloaded +ef56/m,
  );
  expect(await json('lexicons')).toMatchObject([[{ name: 'emotag', language: 'und', entries: 150 }]]);
});

describe('source', () => {
  it('list', async () => {
    expect(await text('source', 'list')).toMatch(/^emobank +en +CC-BY-SA-4\.0 +to be downloaded/m);
    expect(await json('source', 'list')).toEqual([
      [expect.objectContaining({ name: 'emobank', tasks: ['sentiment-regression'], sha256: 'cd34' })],
    ]);
  });
});

describe('dataset', () => {
  it('create waits with progress on stderr and prints what it holds', async () => {
    const { code, stdout, stderr } = await emotune(['dataset', 'create', '-f', 'dataset.yaml', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual(datasetDocument);
    expect(stderr).toContain('dataset mine: writing: 50 of 100 rows\n');
    expect(asked.get('createDataset')).toMatchObject({
      requestId: expect.stringMatching(/^[\da-f-]{36}$/),
      spec: {
        name: 'mine',
        sources: [
          { corpus: 'emotune-demo' },
          { file: { upload: { name: 'data/mine.tsv', sha256: sha256(rows) }, scale: { low: 0, high: 5 } } },
        ],
      },
    });
  });

  it('create sends every file below the folder of an import, by the path that it has there', async () => {
    for (const [path, content] of [
      ['owned/a/one.txt', 'one'],
      ['owned/two.txt', 'two'],
      ['owned/.hidden', 'x'],
    ]) {
      mkdirSync(join(folder, dirname(path)), { recursive: true });
      writeFileSync(join(folder, path), content);
    }
    writeFileSync(
      join(folder, 'owned.yaml'),
      'name: mine\nsources: [{import: {format: sst, path: owned}}, {import: {format: aaid, path: [owned/two.txt]}}]\n',
    );
    expect((await emotune(['dataset', 'create', '-f', 'owned.yaml', '--no-wait'])).code).toBe(0);
    const sent = (path: string, content: string) => ({ name: path, sha256: sha256(content) });
    expect(asked.get('createDataset')).toMatchObject({
      spec: {
        sources: [
          { import: { uploads: [sent('owned/a/one.txt', 'one'), sent('owned/two.txt', 'two')] } },
          { import: { uploads: [sent('owned/two.txt', 'two')] } },
        ],
      },
    });
    writeFileSync(
      join(folder, 'none.yaml'),
      'name: mine\nsources: [{import: {format: sst, path: absent}}]\n',
    );
    const { code, stderr } = await emotune(['dataset', 'create', '-f', 'none.yaml']);
    expect([code, stderr]).toEqual([
      3,
      expect.stringContaining('sources[0].import.path[0]: expected a file or folder'),
    ]);
  });

  it('create sends files to a server that does not see them, before it is asked, and no path of this machine', async () => {
    const stored = readFileSync(join(serverFolder, 'uploads', sha256(rows)), 'utf8');
    expect(stored).toBe(rows);
    for (const request of asked.values()) {
      const sent = JSON.stringify(request);
      for (const absolute of [folder, serverFolder, tmpdir()]) expect(sent).not.toContain(absolute);
    }
    writeFileSync(
      join(folder, 'far.yaml'),
      `name: mine\nsources: [{file: {path: ${join(folder, 'data/none.tsv')}, name: mine}}, {file: {path: ., name: two}}]\n`,
    );
    const { code, stderr } = await emotune(['dataset', 'create', '-f', 'far.yaml']);
    expect([code, stderr]).toEqual([
      3,
      expect.stringContaining('sources[0].file: expected a readable file, got '),
    ]);
  });

  it('leaves files of the Hub to the server', async () => {
    const path = 'hf:datasets/someone/feelings@main:data/*';
    const spec = `name: hub\nsources: [{file: {path: "${path}", name: mine, task: sentiment-classification, labels: [a, b]}}]\n`;
    writeFileSync(join(folder, 'hub.yaml'), spec);
    await emotune(['dataset', 'create', '-f', 'hub.yaml', '--no-wait', '--json']);
    expect(asked.get('createDataset')).toMatchObject({
      spec: { sources: [{ file: { upload: { name: path, sha256: '' }, labels: ['a', 'b'] } }] },
    });
  });

  it('create --no-wait leaves at once', async () => {
    writeFileSync(join(folder, 'later.yaml'), 'name: later\nsources: [{corpus: emotune-demo}]\n');
    expect(await json('dataset', 'create', '-f', 'later.yaml', '--no-wait')).toEqual([
      expect.objectContaining({ name: 'later', version: '', state: 'building' }),
    ]);
    writeFileSync(join(folder, 'later.yaml'), 'name: even-later\nsources: [{corpus: emotune-demo}]\n');
    expect(await text('dataset', 'create', '-f', 'later.yaml', '--no-wait')).toBe(
      'dataset: even-later\nstate:   building\n',
    );
  });

  it('a build that fails ends with 1 and its reason', async () => {
    const { code, stdout, stderr } = await emotune(['dataset', 'create', '-f', 'fails.yaml']);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/emotune: dataset fails failed: no source could be had\n$/);
    writeFileSync(join(folder, 'fails-now.yaml'), 'name: fails-now\nsources: [{corpus: emotune-demo}]\n');
    // What is missing may come back.
    expect((await emotune(['dataset', 'create', '-f', 'fails-now.yaml'])).code).toBe(4);
  });

  it('what the service refuses is told by its path in the file, one line each', async () => {
    const { code, stderr } = await emotune(['dataset', 'create', '-f', 'refused.yaml']);
    expect(code).toBe(2);
    expect(stderr).toContain('\n  name: expected lower-case letters, got "Refused"\n  sources[0]: expected');
    expect((await emotune(['dataset', 'create', '-f', 'taken.yaml'])).code).toBe(2);
  });

  it('what is wrong with the file is told before anything is asked', async () => {
    asked.delete('createDataset');
    const { code, stderr } = await emotune(['dataset', 'create', '-f', 'misspelt.yaml']);
    expect(code).toBe(2);
    expect(stderr).toContain(
      '\n  nmae: unknown field, did you mean "name"?\n  sources[0].corpse: unknown field',
    );
    const absent = await emotune(['dataset', 'create', '-f', 'absent.yaml']);
    expect(absent).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('  absent.yaml: expected a file'),
    });
    expect(asked.has('createDataset')).toBe(false);
  });

  it('list reads every page', async () => {
    const [all] = await json('dataset', 'list');
    expect(all).toEqual([
      { ...datasetDocument, name: 'first' },
      { ...datasetDocument, name: 'second' },
    ]);
    expect(await text('dataset', 'list')).toMatch(/^second +0123456789ab +ready +80 +10 +10$/m);
  });

  it('get', async () => {
    expect(await json('dataset', 'get', 'mine')).toEqual([datasetDocument]);
    const shown = await text('dataset', 'get', 'mine');
    expect(shown).toContain('conflicts: 1 text has different answers: all 3 rows kept');
    expect(shown).toMatch(/^sentiment-classification +positive \(2\), neutral \(1\) +tea is tea$/m);
    expect(shown).toContain('mine@0123456789ab');
    expect(shown).toContain('80 train, 10 validation, 10 test');
    expect(shown).toContain('note: emobank was replaced by demonstration data');
  });

  it('preview is a table for people and lines of JSON for programs', async () => {
    const shown = await text('dataset', 'preview', 'mine', '--rows', '2');
    expect(shown).toMatch(/^sentiment-regression +0\.25 +emotune-demo +Text 1$/m);
    expect(shown).toMatch(
      /^emotion-classification +train +validation +test\njoy +1,200 +1 +2\nfear +7 +0 +0$/m,
    );
    const rows = await json('dataset', 'preview', 'mine', '--split', 'test', '--rows', '3');
    expect(asked.get('previewDataset')).toEqual({ name: 'mine', split: 'test', rows: 3 });
    expect(rows).toHaveLength(3);
    expect(rows[2]).toMatchObject({ id: 'r2', task: 'sentiment-regression', text: 'Text\n2', value: 0.5 });
  });

  it('delete', async () => {
    expect(await text('dataset', 'delete', 'mine')).toBe('dataset mine is deleted\n');
    expect(await json('dataset', 'delete', 'mine')).toEqual([{ name: 'mine', deleted: true }]);
    expect(await text('features', 'delete', 'mine')).toBe('feature set mine is deleted\n');
    expect(await json('experiment', 'delete', 'first')).toEqual([{ name: 'first', deleted: true }]);
    expect(await text('model', 'delete', 'first')).toBe(
      'model first@aa11 is deleted\nmodel first@bb22 is deleted\n',
    );
  });
});

describe('features', () => {
  it('explain', async () => {
    expect(await text('features', 'explain', 'very good')).toMatch(
      /^very good +vader +valence +2\.2 +very +0\.\.9$/m,
    );
    expect(await text('features', 'explain', 'plain')).toContain('no lexicon knows');
    expect(await json('features', 'explain', 'very good')).toEqual([
      {
        text: 'very good',
        cues: [
          {
            text: 'very good',
            lexicon: 'vader',
            dimension: 'valence',
            score: 2.2,
            start: 0,
            end: 9,
            modifier: 'very',
          },
        ],
        cueText: 'very good +2.2',
        vader: 0.49,
        afinn: 3,
      },
    ]);
  });

  it('create, list, get', async () => {
    expect(await text('features', 'create', '-f', 'features.yaml')).toMatch(
      /^emotune-opt-4m +train +1,200 +34,000/m,
    );
    expect(await text('features', 'get', 'first')).toContain(
      'note: for emotune-opt-4m, 1 of 1,200 texts (0.1 %) lose their end to fit; a higher maxTokens keeps it\n',
    );
    expect(asked.get('createFeatureSet')).toMatchObject({
      spec: { dataset: 'mine', baseModels: ['emotune-opt-4m'] },
    });
    expect(await text('features', 'list')).toMatch(/^first +fedcba987654 +ready +first +1,200 +34,000$/m);
    expect(await json('features', 'list')).toEqual([
      [expect.objectContaining({ name: 'first', state: 'ready' })],
    ]);
    expect(await json('features', 'get', 'first')).toEqual([
      expect.objectContaining({ datasetVersion: '0123456789ab', readyTime: '2023-11-14T22:13:20.000Z' }),
    ]);
  });

  it('preview shows what a model sees', async () => {
    expect(await text('features', 'preview', 'mine', '--split', 'test', '--rows', '1')).toBe(
      [
        'demo/1 (sentiment-classification, demo): 6 tokens, 2 of the answer',
        '  How is this?',
        '  A fine day',
        '  answer:        good',
        '  prompt tokens: How Ġis ⏎ Ġfine',
        '  answer tokens: good </s>',
        '',
      ].join('\n'),
    );
    expect(asked.get('previewFeatureSet')).toMatchObject({ name: 'mine', split: 'test', rows: 1 });
    expect(await json('features', 'preview', 'mine')).toEqual([
      expect.objectContaining({ promptTokens: 4, tokens: expect.arrayContaining([{ id: 5, text: '</s>' }]) }),
    ]);
  });
});
