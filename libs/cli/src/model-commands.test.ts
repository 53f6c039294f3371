import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '@emotune/base';
import { FolderStore } from '@emotune/objects';
import { describe, expect, it } from 'vitest';
import { emotune, folder, json, rows, serverFolder, text } from './test-command-line.js';
import { asked } from './test-server.js';

describe('model', () => {
  it('list, get, promote', async () => {
    expect(await text('model', 'list')).toMatch(
      /^first@aa11 +tuned +registered +opt +4,000,000 +yes +first$/m,
    );
    expect(await text('model', 'get', 'first')).toMatch(/^base model: +emotune-opt-4m@bb22$/m);
    expect(await json('model', 'promote', 'first')).toEqual([
      expect.objectContaining({
        name: 'first',
        promoted: true,
        lineage: expect.objectContaining({ parameters: { learningRate: 0.001 } }),
      }),
    ]);
    expect((await emotune(['model', 'promote', 'first'])).stderr).toContain('it was not compared');
    await text('model', 'promote', 'first', '--force');
    expect(asked.get('promoteModel')).toEqual({ name: 'first', force: true });
  });

  it('export fetches files to a new folder, and import sends those of a checkpoint', async () => {
    expect(await json('model', 'export', 'first', '--format', 'peft', '--out', 'out')).toEqual([
      {
        name: 'first',
        format: 'peft',
        directory: join(folder, 'out'),
        files: [join(folder, 'out', 'config.json'), join(folder, 'out', 'model.safetensors')],
      },
    ]);
    expect(asked.get('exportModel')).toEqual({ name: 'first', format: 'peft' });
    expect(readFileSync(join(folder, 'out', 'model.safetensors'), 'utf8')).toBe('weights');
    const again = await emotune(['model', 'export', 'first', '--format', 'peft', '--out', 'out']);
    expect([again.code, again.stderr]).toEqual([
      2,
      expect.stringContaining('--out: expected an empty or missing'),
    ]);

    const contents = {
      'config.json': '{}',
      'model.safetensors': 'w',
      'pytorch_model.bin': 'left where it is',
    };
    mkdirSync(join(folder, 'checkpoint', 'nested.json'), { recursive: true });
    for (const [name, content] of Object.entries(contents))
      writeFileSync(join(folder, 'checkpoint', name), content);
    const imported = await emotune(['model', 'import', 'checkpoint', '--name', 'mine']);
    expect([imported.code, imported.stdout]).toEqual([0, expect.stringContaining('mine@aa11')]);
    expect(imported.stderr).toContain('config.json: spare: not read');
    expect(asked.get('importModel')).toEqual({
      name: 'mine',
      files: [
        { path: 'config.json', sha256: sha256('{}') },
        { path: 'model.safetensors', sha256: sha256('w') },
      ],
      source: join(folder, 'checkpoint'),
      base: '',
    });
    writeFileSync(join(folder, 'small.gguf'), 'g');
    await text('model', 'import', 'small.gguf', '--name', 'small', '--base', 'first');
    expect(asked.get('importModel')).toMatchObject({
      files: [{ path: 'small.gguf', sha256: sha256('g') }],
      base: 'first',
    });
    expect(await text('model', 'import', 'hf:org/tiny@v1', '--name', 'tiny')).toContain('tiny@aa11');
    expect(asked.get('importHubModel')).toEqual({ name: 'tiny', source: 'hf:org/tiny@v1', base: '' });
    await text('model', 'import', 'small.gguf', '--name', 'small', '--base', 'hf:org/tiny');
    expect(asked.get('importHubModel')).toEqual({ name: 'small-base', source: 'hf:org/tiny', base: '' });
    expect(asked.get('importModel')).toMatchObject({ base: 'small-base@aa11' });
    const odd = await emotune(['model', 'import', 'checkpoint/config.json', '--name', 'mine']);
    expect([odd.code, odd.stderr]).toEqual([2, expect.stringContaining('name the folder that it lies in')]);
    const nowhere = await emotune(['model', 'import', 'nowhere', '--name', 'mine']);
    expect([nowhere.code, nowhere.stderr]).toEqual([
      3,
      expect.stringContaining('expected a checkpoint folder or a GGUF file, got '),
    ]);
    expect((await emotune(['model', 'export', 'first', '--format', 'gguf', '--out', 'out'])).code).toBe(2);
  });
});

describe('evaluate', () => {
  it('prints the documented JSON', async () => {
    expect(await json('evaluate', '--model', 'first', '--dataset', 'mine')).toEqual([
      {
        id: 'e1',
        model: 'first@aa11',
        dataset: 'first@0123456789ab',
        tasks: [
          {
            task: 'sentiment-regression',
            n: 120,
            valid: 1,
            cut: 0,
            metrics: { pearson: 0.75, rmse: 0.125, coverage: 0.81 },
            raw: { pearson: 0.75, rmse: 0.25, coverage: 0.5 },
            questions: [
              { scale: { low: -4, high: 4 }, n: 120, pConstant: 0.03125, skill: 'better', coverage: 0.81 },
            ],
            intervals: { pearson: { low: 0.5, high: 0.875 } },
            baselines: { constant: { rmse: 0.25 }, vader: { pearson: 0.5, rmse: 0.25 } },
            humanCeiling: 0.875,
            pConstant: 0.03125,
            calibration: [],
            intensity: [
              { low: 0, high: 0.2, n: 60, bias: 0.125, interval: { low: 0.1, high: 0.15 } },
              { low: 0.8, high: 1, n: 1, bias: -0.5 },
            ],
          },
          {
            task: 'sentiment-classification',
            n: 40,
            valid: 1,
            cut: 10,
            metrics: { accuracy: 0.75 },
            questions: [],
            intervals: {},
            baselines: { constant: { accuracy: 0.5 }, vader: {} },
            confusions: [{ labels: ['bad', 'good'], counts: [35, 5, 0, 0] }],
            calibration: [],
            labels: [
              {
                labelSet: ['bad', 'good'],
                ...{
                  label: 'bad',
                  gold: 40,
                  answered: 35,
                  right: 35,
                  precision: 1,
                  recall: 0.875,
                  f1: 0.9333,
                },
              },
              {
                labelSet: ['bad', 'good'],
                ...{ label: 'good', gold: 30, answered: 5, right: 0, precision: 0, recall: 0, f1: 0 },
              },
            ],
            otherwise: [
              { kind: 'wording', n: 40, valid: 1, metrics: { macroF1: 0.5 }, usual: { macroF1: 0.75 } },
            ],
            clusters: [
              {
                ...{ direction: 'bad → good', cues: ['sick', 'emoji'], n: 4, of: 5, pValue: 0.01 },
                confidence: 0.875,
                examples: [
                  {
                    ...{ task: 'sentiment-classification', id: 'c1', text: 'So sick.', gold: 'bad' },
                    ...{ answer: 'good', error: 1, confidence: 0.875, cues: ['sick'] },
                  },
                ],
              },
            ],
          },
        ],
        slices: [
          {
            ...{ task: 'sentiment-regression', slice: 'negation', n: 12, metrics: { rmse: 0.5 } },
            ...{ error: 0.25, rest: 0.0625, pValue: 0.01, pAdjusted: 0.02 },
          },
          {
            task: 'sentiment-regression',
            slice: 'source mine',
            n: 120,
            metrics: { coverage: 0.81 },
            raw: { coverage: 0.5 },
            error: 0.0625,
          },
          ...['en', 'fi'].map((language) => expect.objectContaining({ slice: `language ${language}` })),
        ],
        warnings: ['the model saw no text in fi (30 of 120 rows): it was trained on en'],
        hardest: [
          {
            ...{ task: 'sentiment-regression', id: 'r1', text: 'Oh, great.', gold: '0.1', answer: '0.9' },
            ...{ error: 0.8, confidence: 0.75, cues: ['great'] },
          },
        ],
        stages: [
          { stage: 1, objectives: { 'sentiment-classification': 2 }, forgotten: {} },
          {
            stage: 2,
            objectives: { 'sentiment-classification': 2.5 },
            forgotten: { 'sentiment-classification': 0.5 },
          },
        ],
        checks: expect.anything(),
        prefix: 'evaluations/e1',
        report: join(folder, '.emotune', 'evaluations', 'e1', 'report.html'),
      },
    ]);
    expect(asked.get('evaluate')).toMatchObject({
      model: 'first',
      dataset: { dataset: 'mine', split: 'test' },
      limit: 0,
    });
  });

  it('prints a table with intervals and baselines', async () => {
    const shown = await text(
      'evaluate',
      '--model',
      'first',
      '--dataset',
      'mine',
      '--split',
      'validation',
      '--limit',
      '9',
    );
    expect(shown).toMatch(
      /^sentiment-regression +120 +100 % +pearson +0\.75 +0\.5 … 0\.875 +0\.75 +– +0\.5$/m,
    );
    expect(shown).toMatch(/^ +rmse +0\.125 +– +0\.25 +0\.25 +0\.25$/m);
    expect(shown).toContain(
      '\nsentiment-regression: 81 % of golds within intervals or sets meant for 80 %, 50 % before calibration (by source: mine 81 % of 120)\n',
    );
    expect(shown).toContain(
      '\nsentiment-classification: 10 of 40 texts (25 %) lost their end to fit into the model\n',
    );
    expect(shown).toMatch(/^sentiment-regression +en +90 +pearson 0\.75, rmse 0\.125$/m);
    expect(shown).toMatch(/^ +fi +30 +pearson 0\.25, rmse 0\.125$/m);
    expect(shown).toContain(
      '\nwarning: the model saw no text in fi (30 of 120 rows): it was trained on en\n',
    );
    for (const line of [
      /^bad +1 +0\.875 +0\.933 +40 +35$/m,
      /^good +0 +0 +0 +30 +5$/m,
      /^sentiment-classification: never found, of 30 examples or more: good$/m,
      /^sentiment-classification, gold \\ answer +bad +good\n-*\n*bad +35 +5\ngood +· +·$/m,
      /^0 to 0\.2 +60 +0\.125 +0\.1 … 0\.15 +overestimated$/m,
      /^0\.8 to 1 +1 +-0\.5 +–/m,
      /^sentiment-classification +wording +40 +100 % +macroF1 +0\.5 +0\.75$/m,
      /^sentiment-regression +negation +12 +0\.25 +0\.063 +0\.02$/m,
      /^stage 2 +2\.5 \(\+0\.5\)$/m,
      /^sentiment-classification +sick, emoji +bad → good +4 of 5 +0\.875 +So sick\.$/m,
    ])
      expect(shown).toMatch(line);
    expect(asked.get('evaluate')).toMatchObject({ dataset: { split: 'validation' }, limit: 9 });
  });

  it('asks the plain sentences, and tells how many are right, by label, and the wrong ones', async () => {
    const shown = await text('evaluate', '--model', 'first', '--plain');
    expect(asked.get('evaluate')).toMatchObject({ model: 'first', plain: {}, limit: 0 });
    expect(shown).toContain('first@aa11 on the plain sentences');
    expect(shown).toMatch(/^sentiment-classification: 35 of 40 right$/m);
    expect(shown).toMatch(/^good +0 of 30 +5$/m);
    expect(shown).toMatch(/^sentiment-regression +0\.1 +0\.9 +Oh, great\.$/m);
    const [json_] = await json('evaluate', '--model', 'first', '--plain');
    expect(json_).toMatchObject({ right: { 'sentiment-classification': 35 } });
  });

  it('asks the behavioural checks, and tells what failed', async () => {
    const shown = await text('evaluate', '--model', 'first', '--checks');
    expect(asked.get('evaluate')).toMatchObject({ model: 'first', checks: {}, limit: 0 });
    expect(shown).toMatch(/^negation +3 of 4 +75 % +-0\.25 +0\.25$/m);
    expect(shown).toMatch(/^negation +It is fine\. +It is not fine\. +lower +positive → positive$/m);
    const [found] = await json('evaluate', '--model', 'first', '--checks');
    expect(found).toMatchObject({ checks: [{ capability: 'negation', passed: 3 }] });
  });

  it('sends a file with its task', async () => {
    await text(
      ...'evaluate --model first --file mine.csv --task emotion-classification --labels joy,fear --multi-label --label-separator ;'.split(
        ' ',
      ),
    );
    expect(asked.get('evaluate')).toMatchObject({
      file: {
        upload: { name: 'mine.csv', sha256: sha256(rows) },
        task: 'TASK_EMOTION_CLASSIFICATION',
        labels: ['joy', 'fear'],
        multiLabel: true,
        labelSeparator: ';',
      },
    });
    await text(
      ...'evaluate --model first --file mine.csv --task sentiment-regression --scale -4..4 --text-column review --id-column key'.split(
        ' ',
      ),
    );
    expect(asked.get('evaluate')).toMatchObject({
      file: { scale: { low: -4, high: 4 }, textColumn: 'review', labelColumn: '', idColumn: 'key' },
    });
    // The service knows what the model was taught.
    await text(...'evaluate --model first --file mine.csv --task emotion-classification'.split(' '));
    expect(asked.get('evaluate')).toMatchObject({ file: { labels: [], multiLabel: false } });
  });

  it.each([
    ['', '--dataset: expected either it, --file, --plain or --checks, got none'],
    ['--plain --dataset d --limit 3', '--dataset: expected nothing beside --plain'],
    ['--checks --plain', '--checks: expected nothing beside --plain'],
    ['--plain --text-column t', '--text-column: expected nothing beside --plain'],
    ['--dataset d --file f', '--dataset: expected either it, --file, --plain or --checks, got both'],
    ['--dataset d --scale 0..1', '--scale: expected nothing beside --dataset'],
    ['--dataset d --text-column review', '--text-column: expected nothing beside --dataset'],
    ['--dataset d --label-separator ;', '--label-separator: expected nothing beside --dataset'],
    ['--file f', '--task: expected the task'],
    ['--file f --task emotion-classification --labels a,b --scale 0..1', '--scale: expected nothing'],
    [
      '--file f --task sentiment-regression --scale 0..1 --split test',
      '--split: expected nothing beside --file',
    ],
  ])('refuses "%s"', async (given, want) => {
    const { code, stderr } = await emotune(['evaluate', '--model', 'm', ...given.split(' ').filter(Boolean)]);
    expect(code).toBe(2);
    expect(stderr).toContain(`  ${want}`);
  });

  it('one that fails ends with 1', async () => {
    const { code, stderr } = await emotune(['evaluate', '--model', 'weak', '--dataset', 'mine']);
    expect(code).toBe(1);
    expect(stderr).toContain('evaluation e2 failed: its files are gone');
  });
});

describe('evaluation', () => {
  it('compares models, and says which is better where chance does not explain it', async () => {
    const shown = await text('evaluations', 'compare', 'first@1', 'first@2');
    expect(asked.get('compareEvaluations')).toEqual({ first: 'first@1', second: 'first@2' });
    expect(shown).toMatch(/^sentiment-regression +120 +rmse +0\.25 +0\.5 +0\.01 +0\.02 +first$/m);
    expect(shown).toMatch(/^emotion-classification +120 +jaccard +0\.5 +0\.25 +0\.5 +0\.5 +–$/m);
    const [compared] = await json('evaluation', 'compare', 'a', 'b');
    expect(compared).toMatchObject({
      first: 'a-1',
      second: 'b-2',
      tasks: [{ task: 'sentiment-regression', pAdjusted: 0.02, firstBetter: true }, {}],
    });
  });

  it('lists and deletes', async () => {
    expect(await json('evaluation', 'list')).toMatchObject([[{ id: 'e1' }, { id: 'e3' }]]);
    expect(await text('evaluation', 'list')).toContain('e1');
    expect(await text('evaluation', 'delete', 'e1')).toBe('evaluation e1 is deleted\n');
    expect(asked.get('deleteEvaluation')).toEqual({ id: 'e1' });
  });
});

describe('dead letters', () => {
  it('are listed to the last page, and never as they came', async () => {
    expect((await json('dlq', 'list'))[0]).toEqual([
      expect.objectContaining({
        id: 'evaluation/e-1',
        group: 'evaluation',
        time: '2023-11-14T22:13:20.000Z',
      }),
      expect.objectContaining({ id: 'evaluation/e-2' }),
    ]);
    const listed = await text('dlq', 'list', '--group', 'evaluation', '--topic', 'emotune.model.trained.v1');
    expect(listed).toMatch(/evaluation\/e-2 +emotune\.model\.trained\.v1 +first +2023-11-14T22:13:20/);
    expect(listed).not.toContain('\x1b');
    expect(asked.get('listDeadLetters')).toMatchObject({
      group: 'evaluation',
      topic: 'emotune.model.trained.v1',
    });
  });

  it('are shown with what they said, or as the bytes that they are', async () => {
    expect((await json('dlq', 'show', 'evaluation/e-2'))[0]).toMatchObject({ message: { name: 'first' } });
    expect(await text('dlq', 'show', 'evaluation/e-2')).toContain('"name": "first"');
    expect(await text('dlq', 'show', 'evaluation/e-1')).toContain('2 bytes that cannot be read as one: 08ff');
    expect((await emotune(['dlq', 'show', 'nobody/none'])).code).toBe(3);
  });

  it('are replayed one by one or all', async () => {
    expect(await text('dlq', 'replay', 'evaluation/e-1')).toBe('1 event is on the way again\n');
    expect(asked.get('replayDeadLetters')).toEqual({ ids: ['evaluation/e-1'] });
    expect((await json('dlq', 'replay', '--all', '--group', 'evaluation'))[0]).toHaveLength(2);
    expect(asked.get('replayDeadLetters')).toEqual({ ids: ['evaluation/e-1', 'evaluation/e-2'] });
    for (const wrong of [[], ['evaluation/e-1', '--all'], ['evaluation/e-1', '--group', 'evaluation']])
      expect((await emotune(['dlq', 'replay', ...wrong])).code).toBe(2);
  });
});

describe('what was sent and made', () => {
  it('is deleted before its time', async () => {
    const [sha, part] = ['a'.repeat(64), 'b'.repeat(64)];
    for (const [key, content] of [
      [sha, rows],
      [`parts/${part}/0-3`, 'one'],
      [`parts/${part}/3-2`, 'tw'],
    ])
      await FolderStore.open(serverFolder).then((store) => store.put(`uploads/${key}`, content));
    expect((await json('upload', 'list'))[0]).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ sha256: sha, bytes: rows.length, complete: true }),
        expect.objectContaining({ sha256: part, bytes: 5 }),
      ]),
    );
    expect(await text('upload', 'list')).toMatch(/b{64} +5 +on its way +20\d\d-/);
    expect(await text('upload', 'delete', sha)).toBe(`upload ${sha} is deleted, ${rows.length} bytes\n`);
    expect(await json('upload', 'delete', part)).toEqual([{ sha256: part, bytes: 5, deleted: true }]);
    await FolderStore.open(serverFolder).then((store) => store.put(`uploads/${'c'.repeat(64)}`, 'needed'));
    const refused = await emotune(['upload', 'delete', 'c'.repeat(64)]);
    expect([refused.code, refused.stderr]).toEqual([
      2,
      expect.stringContaining('the uploaded file is needed by evaluation e3'),
    ]);
    const gone = await emotune(['upload', 'delete', sha]);
    expect([gone.code, gone.stderr]).toEqual([3, expect.stringContaining('"emotune upload list" shows all')]);
  });

  it('as the export of a model, of one format or of all', async () => {
    expect(await text('model', 'delete-export', 'first', '--format', 'onnx')).toBe(
      'the export of first as onnx is deleted\n',
    );
    expect(asked.get('deleteExport')).toEqual({ name: 'first', format: 'onnx' });
    expect(await json('model', 'delete-export', 'first')).toEqual([
      { name: 'first', deleted: ['peft', 'safetensors'] },
    ]);
  });
});
