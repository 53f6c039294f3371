import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha256 } from '@emotune/base';
import { FolderStore } from '@emotune/objects';
import type { files } from '@emotune/proto';
import { Channel, type Host } from '@emotune/service';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { clientCommands } from './commands.js';
import type { LogLine } from './format/trial-log.js';
import { asked, startServer, watched } from './test-server.js';
import { type Outcome, type RunOptions, runCommand } from './testing.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-cli-'));
/** The server's: nothing in it lies where the command line's files do. */
const serverFolder = mkdtempSync(join(tmpdir(), 'emotune-server-'));
const rows = 'text\tlabel\nfine\t3\n';
let host: Host;

beforeAll(async () => {
  host = await startServer(serverFolder);
  mkdirSync(join(folder, 'data'));
  for (const name of ['data/mine.tsv', 'mine.csv']) writeFileSync(join(folder, name), rows);
  writeFileSync(
    join(folder, 'dataset.yaml'),
    `name: mine
sources:
  - corpus: emotune-demo
  - file: {path: data/mine.tsv, name: mine, task: sentiment-regression, scale: 0..5}
`,
  );
  writeFileSync(join(folder, 'fails.yaml'), 'name: fails\nsources: [{corpus: emotune-demo}]\n');
  writeFileSync(join(folder, 'refused.yaml'), 'name: Refused\nsources: [{limit: 3}]\n');
  writeFileSync(join(folder, 'taken.yaml'), 'name: taken\nsources: [{corpus: emotune-demo}]\n');
  writeFileSync(join(folder, 'misspelt.yaml'), 'nmae: mine\nsources: [{corpse: emotune-demo}]\n');
  writeFileSync(join(folder, 'features.yaml'), 'name: mine\ndataset: mine\nbaseModels: [emotune-opt-4m]\n');
  writeFileSync(join(folder, 'first.yaml'), 'name: first\nfeatures: mine\nobjective: {goal: minimize}\n');
  writeFileSync(join(folder, 'hopeless.yaml'), 'name: hopeless\nfeatures: mine\n');
});
afterAll(async () => {
  await host.close();
  for (const each of [folder, serverFolder]) rmSync(each, { recursive: true, force: true });
});

/** Runs a command against the server. */
function emotune(args: readonly string[], options: Partial<RunOptions> = {}): Promise<Outcome> {
  return runCommand(args, {
    commands: clientCommands,
    cwd: folder,
    env: { EMOTUNE_SERVER: host.address },
    ...options,
  });
}

/** The documents that a command prints with --json. */
async function json(...args: string[]): Promise<unknown[]> {
  const { code, stdout, stderr } = await emotune([...args, '--json']);
  expect(code, stderr).toBe(0);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

async function text(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await emotune(args);
  expect(code, stderr).toBe(0);
  return stdout;
}

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

describe('experiment', () => {
  it('submit tells what was accepted', async () => {
    expect(await json('experiment', 'submit', '-f', 'first.yaml')).toEqual([
      expect.objectContaining({ name: 'first', state: 'waiting' }),
    ]);
    expect(asked.get('createExperiment')).toMatchObject({
      spec: { features: 'mine', objective: { goal: 'GOAL_MINIMIZE' } },
    });
  });

  it('submit --watch shows trials until the winner', async () => {
    const shown = (await text('experiment', 'submit', '-f', 'first.yaml', '--watch')).split('\n');
    expect(shown).toEqual([
      'experiment first running',
      'trial 0 running: architecture=opt learningRate=0.001235',
      'trial 0 succeeded: objective 2.5 ± 0.125, 1,235 tokens/s',
      'trial 1 failed: Diverged: not finite',
      'experiment first succeeded',
      'trial 0 won with objective 2.5 ± 0.125: architecture=opt learningRate=0.001235',
      'model first@aa11',
      '',
    ]);
  });

  it('watch --json gives every update as a line', async () => {
    const updates = await json('experiment', 'watch', 'first');
    expect(updates).toHaveLength(4);
    expect(updates[1]).toMatchObject({
      experiment: { name: 'first', state: 'running' },
      trials: [{ number: 0, tokens: 4096, parameters: { architecture: 'opt', learningRate: 0.00123456 } }],
    });
    expect(updates[3]).toMatchObject({ experiment: { state: 'succeeded', modelVersion: 'first@aa11' } });
  });

  it('one that fails ends with 1 and its reason', async () => {
    const { code, stderr } = await emotune(['experiment', 'submit', '-f', 'hopeless.yaml', '--watch']);
    expect(code).toBe(1);
    expect(stderr).toContain('ended without a model: more than 1 trial failed');
  });

  it('Ctrl-C while watching leaves the stream and ends with 130', async () => {
    const { code, stdout, stderr } = await emotune(['experiment', 'watch', 'endless'], {
      interruptAt: (out) => out.includes('trial 0 running'),
    });
    expect([code, stderr]).toEqual([130, 'emotune: stopped\n']);
    expect(stdout).toContain('trial 0 running');
    await expect.poll(() => watched).toBe(0);
  });

  it('logs shows entries as sentences, what was left out, and where the next attempt begins', async () => {
    const { code, stdout, stderr } = await emotune(['experiment', 'logs', 'first', '3', '--follow']);
    expect(asked.get('readTrialLog')).toEqual({ experiment: 'first', number: 3, attempt: 0, follow: true });
    expect([code, stderr]).toEqual([0, 'attempt 2\n']);
    expect(stdout.split('\n')).toEqual([
      '2026-01-02T03:04:05.678Z error training failed step=3',
      '  Full: no more',
      '      at a.js:1',
      '  caused by Error: no room',
      '      at b.js:1',
      '{"time": br',
      expect.stringMatching(/^\[299,\d\d\d bytes are left out here\]$/),
      'oken',
      'ends 🙂',
      'last',
      '',
    ]);
    expect((await emotune(['experiment', 'logs', 'first', '8'])).stderr).toContain('has written nothing');
  });

  it('logs --json gives every line with its place', async () => {
    const lines = await json('experiment', 'logs', 'first', '3', '--attempt', '2');
    expect(asked.get('readTrialLog')).toMatchObject({ attempt: 2, follow: false });
    expect(lines).toEqual([
      { attempt: 2, offset: 0, line: 'ends 🙂' },
      { attempt: 2, offset: 10, line: 'last' },
    ]);
    const [first, broken, gap, rest] = (await json('experiment', 'logs', 'first', '3')) as LogLine[];
    expect(JSON.parse(first.line!)).toMatchObject({ message: 'training failed' });
    expect(broken.line).toBe('{"time": br');
    expect(gap).toEqual({ attempt: 1, offset: broken.offset + 11, leftOut: 300_000 - broken.offset - 11 });
    expect(rest).toEqual({ attempt: 1, offset: 300_000, line: 'oken' });
  });

  it.each(['first 7', 'missing 0'])('logs of %s is not found: 3', async (line) => {
    const { code, stdout, stderr } = await emotune(['experiment', 'logs', ...line.split(' ')]);
    expect([code, stdout]).toEqual([3, '']);
    expect(stderr).toMatch(/^emotune: expected an? /);
  });

  it('list, get, trials', async () => {
    expect(await text('experiment', 'list')).toMatch(
      /^first +succeeded +2 of 2, 1 failed +2\.5 +first@aa11$/m,
    );
    expect(await text('experiment', 'get', 'first')).toMatch(/^base models: +opt=emotune-opt-4m$/m);
    expect(await text('experiment', 'trials', 'first')).toMatch(
      /^ *0 +search +succeeded +2\.5 ± 0\.125 +100,000 +1,235 +architecture=opt/m,
    );
    expect(asked.get('listTrials')).toMatchObject({ withoutMeasurements: true });
    expect(await json('experiment', 'trials', 'first')).toEqual([
      [expect.objectContaining({ number: 0, kind: 'search', objective: 2.5 })],
    ]);
    expect(asked.get('listTrials')).toMatchObject({ withoutMeasurements: false });
  });

  it.each([
    ['pause', 'paused'],
    ['resume', 'running'],
    ['cancel', 'cancelled'],
  ])('%s', async (verb, state) => {
    expect(await json('experiment', verb, 'first')).toEqual([expect.objectContaining({ state })]);
    expect((await emotune(['experiment', verb, 'missing'])).code).toBe(3);
  });

  it('insight shows what trials teach', async () => {
    const shown = await text('experiment', 'insight', 'first');
    expect(shown).toMatch(/^lead: +trial 0 leads trial 1 by 0\.5 on average of 4 folds, p = 0\.0625$/m);
    expect(shown).toMatch(/^learningRate +75 % +80 % +12$/m);
    expect(shown).toMatch(/^learningRate +replay +5 %$/m);
    expect(shown).toMatch(/^learningRate +0\.001 +2 +0\.01 +4$/m);
    expect(shown).toMatch(/^trial 0 +2\.5\nhypervolume 0\.25 below 2\.75$/m);
    const [document] = await json('experiment', 'insight', 'first');
    expect(document).toMatchObject({
      slices: [{ points: [{ trial: 0, value: 0.001 }] }],
      parallelCoordinates: { lines: [{ places: [{ place: 0 }] }] },
    });
    expect((await emotune(['experiment', 'insight', 'missing'])).code).toBe(3);
  });

  it('explain says why a trial was suggested and ended', async () => {
    const shown = await text('experiment', 'explain', 'first', '0');
    expect(shown).toMatch(/^why suggested: +tpe: from trials known then$/m);
    expect(shown).toMatch(/^known then: +12 measured, 1 infeasible, 2 running$/m);
    expect(shown).toMatch(/^rank: +1 of 13, 0 behind the best$/m);
    expect(shown).toMatch(/^attempt 1: +lost: LostLease: silent$/m);
    expect(shown).toMatch(/^learningRate +0\.001 +0\.002 +3$/m);
    expect(await json('experiment', 'explain', 'first', '0')).toMatchObject([
      { suggestion: { source: 'sampler', reproduced: true, evidence: [{ value: 0.001 }] } },
    ]);
    expect((await emotune(['experiment', 'explain', 'first', '7'])).code).toBe(3);
    expect((await emotune(['experiment', 'explain', 'first', 'x'])).code).toBe(2);
  });

  it('enqueue reads numbers, flags and texts', async () => {
    const [trial] = await json(
      'experiment',
      'enqueue',
      'first',
      ...['learningRate=1e-3', 'method=lora', 'loraRank=8', 'frozen=true', 'tag=1.2.3'].flatMap((p) => [
        '-p',
        p,
      ]),
    );
    expect(trial).toMatchObject({
      state: 'queued',
      parameters: { learningRate: 0.001, method: 'lora', loraRank: 8, frozen: true, tag: '1.2.3' },
    });
    expect((await emotune(['experiment', 'enqueue', 'first', '-p', 'x'])).code).toBe(2);
  });

  it('estimates before and after it is submitted', async () => {
    const line =
      '8 trials of 5 folds, up to limits.maxTrials, about 1.5 GPU-h (cost 3), 0.75 h by the clock, then 0.25 GPU-h for the winner; from 4 finished trials of the same base models\n';
    expect(await text('experiment', 'estimate', 'first')).toBe(line);
    expect(asked.get('estimateExperiment')).toMatchObject({ name: 'first' });
    expect(await json('experiment', 'estimate', '-f', 'first.yaml')).toEqual([
      expect.objectContaining({ trials: 8, gpuHours: 1.5, basis: 'measured', limitedBy: 'limits.maxTrials' }),
    ]);
    expect(asked.get('estimateExperiment')).toMatchObject({ name: '', spec: { name: 'first' } });
    expect((await emotune(['experiment', 'submit', '-f', 'first.yaml'])).stderr).toContain(line);
    expect((await emotune(['experiment', 'estimate'])).code).toBe(2);
    expect((await emotune(['experiment', 'estimate', 'first', '-f', 'first.yaml'])).code).toBe(2);
  });

  it('raises limits by the words of the spec', async () => {
    await json('experiment', 'raise', 'first', '--max-trials', '20', '--max-gpu-hours', '1.5');
    expect(asked.get('raiseLimits')).toMatchObject({
      name: 'first',
      limits: { maxTrials: 20, maxGpuHours: 1.5, parallelTrials: 0 },
    });
    for (const wrong of ['0', '-1', 'x', ''])
      expect((await emotune(['experiment', 'raise', 'first', '--max-cost', wrong])).code).toBe(2);
  });
});

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
            metrics: { pearson: 0.75, rmse: 0.125 },
            intervals: { pearson: { low: 0.5, high: 0.875 } },
            baselines: { constant: { rmse: 0.25 }, vader: { pearson: 0.5, rmse: 0.25 } },
            humanCeiling: 0.875,
            pConstant: 0.03125,
            calibration: [],
          },
          {
            task: 'sentiment-classification',
            n: 40,
            valid: 1,
            cut: 10,
            metrics: { accuracy: 0.75 },
            intervals: {},
            baselines: { constant: { accuracy: 0.5 }, vader: {} },
            confusion: { labels: ['bad', 'good'], counts: [15, 5, 5, 15] },
            calibration: [],
          },
        ],
        slices: [{ task: 'sentiment-regression', slice: 'negation', n: 12, metrics: { rmse: 0.5 } }],
        hardest: [
          {
            task: 'sentiment-regression',
            id: 'r1',
            text: 'Oh, great.',
            gold: '0.1',
            answer: '0.9',
            error: 0.8,
          },
        ],
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
    expect(shown).toMatch(/^sentiment-regression +120 +100 % +pearson +0\.75 +0\.5 … 0\.875 +– +0\.5$/m);
    expect(shown).toMatch(/^ +rmse +0\.125 +– +0\.25 +0\.25$/m);
    expect(shown).toContain(
      '\nsentiment-classification: 10 of 40 texts (25 %) lost their end to fit into the model\n',
    );
    expect(asked.get('evaluate')).toMatchObject({ dataset: { split: 'validation' }, limit: 9 });
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
    ['', '--dataset: expected either it or --file, got neither'],
    ['--dataset d --file f', '--dataset: expected either it or --file, got both'],
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

describe('gc', () => {
  // What others leave in that of the machine is none of this.
  const temporary = join(folder, 'temporary');
  beforeAll(() => {
    mkdirSync(temporary);
    vi.stubEnv('TMPDIR', temporary);
  });
  afterAll(() => void vi.unstubAllEnvs());

  it('says what nothing needs, then removes it, and leaves what may be on its way', async () => {
    expect(await json('gc')).toMatchObject([{ garbage: [], bytes: 0 }]);
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const garbage = [{ name: 'evaluations/deleted', bytes: 15, reason: 'its evaluation is gone' }];
    const old = ['--older-than', '1'];
    expect(await json('gc', '--dry-run', ...old)).toMatchObject([{ dryRun: true, garbage, bytes: 15 }]);
    expect(await text('gc', ...old)).toContain('evaluations/deleted  15 bytes  its evaluation is gone');
    expect(await json('gc', ...old)).toMatchObject([{ garbage: [], bytes: 0 }]);
  });

  it('removes what killed processes left on their way, and nothing of those that live', async () => {
    const dead = spawnSync('true').pid;
    const made = [dead, process.pid].map((pid) => join(temporary, `emotune-build-${pid}-abcdef`));
    for (const each of made) {
      mkdirSync(each, { recursive: true });
      writeFileSync(join(each, 'half'), 'four');
    }
    const half = join(serverFolder, '.incoming', 'half');
    writeFileSync(half, 'written');
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const found = [
      { name: '.incoming/half', bytes: 7, reason: 'its writer was killed' },
      { name: made[0], bytes: 4, reason: 'its process was killed' },
    ];
    const [{ garbage }] = (await json(
      'gc',
      '--older-than',
      '1',
      '--dry-run',
    )) as files.CollectGarbageResponse[];
    expect(garbage).toEqual(expect.arrayContaining(found));
    expect(garbage.map(({ name }) => name)).not.toContain(made[1]);
    expect([half, ...made].map((path) => existsSync(path))).toEqual([true, true, true]);
    await text('gc', '--older-than', '1');
    expect([half, ...made].map((path) => existsSync(path))).toEqual([false, false, true]);
  });
});

describe('analyze', () => {
  const cues = [
    {
      text: 'very good',
      lexicon: 'vader',
      dimension: 'valence',
      score: 2.2,
      start: 0,
      end: 9,
      modifier: 'very',
    },
  ];

  it('asks all four unless told otherwise, as documented JSON', async () => {
    expect(await json('analyze', 'Very good!')).toEqual([
      {
        text: 'Very good!',
        task: 'sentiment-classification',
        labels: ['joy', 'fear'],
        label: 'joy',
        probabilities: { joy: 0.75, fear: 0.25 },
        cues,
        model: 'first@aa11',
      },
      {
        text: 'Very good!',
        task: 'sentiment-regression',
        scale: { low: 0, high: 1 },
        value: 0.5,
        interval: { low: 0.25, high: 0.75 },
        distribution: [
          { value: 0.25, probability: 0.5 },
          { value: 0.75, probability: 0.5 },
        ],
        cues,
        model: 'first@aa11',
      },
      expect.objectContaining({
        task: 'emotion-classification',
        labels: ['fear', 'joy'],
        probabilities: { joy: 0.75, fear: 0.25 },
      }),
      expect.objectContaining({ task: 'emotion-regression', emotion: 'joy', value: 0.5 }),
    ]);
  });

  it('sends what was asked for', async () => {
    const [answer] = await json(
      'analyze',
      'x',
      '--task',
      'emotion-regression',
      '--scale',
      '-4..4',
      '--emotion',
      'fear',
      '--model',
      'first@aa11',
    );
    expect(answer).toMatchObject({ emotion: 'fear', scale: { low: -4, high: 4 } });
    expect(asked.get('analyzeStream')).toMatchObject({
      model: 'first@aa11',
      task: 'TASK_EMOTION_REGRESSION',
    });
    await json('analyze', 'x', '--task', 'sentiment-classification', '--labels', 'bad, good');
    expect(asked.get('analyzeStream')).toMatchObject({ labels: ['bad', 'good'] });
  });

  it('reads the lines of standard input', async () => {
    const { code, stdout } = await emotune(['analyze', '--task', 'sentiment-regression', '--json'], {
      stdin: 'One\n\n  \nTwo\r\nThree',
    });
    expect(code).toBe(0);
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).text),
    ).toEqual(['One', 'Two', 'Three']);
  });

  it('reads standard input as files are read', async () => {
    const ask = (stdin: Uint8Array | string) =>
      emotune(['analyze', '--task', 'sentiment-regression', '--json'], { stdin });
    for (const bytes of [Buffer.from('\ufeffschön\rgut'), Buffer.from('\ufeffschön\ngut', 'utf16le')]) {
      const { code, stdout } = await ask(bytes);
      const texts = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).text);
      expect([code, texts]).toEqual([0, ['schön', 'gut']]);
    }
    const latin = await ask(Buffer.from('fine\nsch\xf6n\n', 'latin1'));
    const refused = ({ code, stderr }: Outcome) => [code, JSON.parse(stderr).error.message];
    expect(refused(latin)).toEqual([
      2,
      expect.stringContaining('standard input, line 2: expected UTF-8, got the byte 0xF6 after "sch"'),
    ]);
    const zero = await ask('fine\n\nbad \0\n');
    expect(refused(zero)).toEqual([
      2,
      expect.stringContaining('standard input, line 3: expected a text without U+0000'),
    ]);
  });

  it('shows answers to people', async () => {
    expect(await text('analyze', 'Very good!')).toBe(`"Very good!"
  sentiment-classification   joy (joy 75 %, fear 25 %)
  sentiment-regression       0.5 on 0..1, 80 % in 0.25 … 0.75
  emotion-classification     fear, joy (joy 75 %, fear 25 %)
  emotion-regression of joy  0.5 on 0..1, 80 % in 0.25 … 0.75
  cues                       very good (vader 2.2)
  model                      first@aa11
  note                       the text was too long for the model and lost its end
`);
  });

  it('needs a text', async () => {
    const { code, stderr } = await emotune(['analyze']);
    expect([code, stderr]).toEqual([2, expect.stringContaining('  TEXT: expected at least one')]);
  });
});

describe('a platform that is started for a command', () => {
  it.each([
    ['experiment submit -f first.yaml', 'nothing'],
    ['experiment submit -f first.yaml --watch', 'trials'],
    ['experiment watch first', 'trials'],
    ['experiment get first', 'nothing'],
    ['experiment list', 'nothing'],
    ['experiment trials first', 'nothing'],
    ['experiment explain first 0', 'nothing'],
    ['experiment insight first', 'nothing'],
    ['experiment estimate first', 'nothing'],
    ['experiment logs first 8', 'nothing'],
    ['experiment logs first 8 --follow', 'nothing'],
    ['experiment cancel first', 'nothing'],
    ['experiment enqueue first -p x=1', 'nothing'],
    ['model list', 'nothing'],
    ['features preview first', 'nothing'],
    ['features list', 'nothing'],
    ['dataset list', 'nothing'],
    ['dataset preview mine', 'nothing'],
    ['dataset create -f dataset.yaml', 'builds'],
    ['dataset create -f dataset.yaml --no-wait', 'nothing'],
    ['features create -f features.yaml', 'builds'],
    ['analyze text', 'nothing'],
  ])('"%s" has it do in the background: %s', async (line, work) => {
    const asked: string[] = [];
    const { code, stderr } = await emotune(line.split(' '), {
      env: {},
      openPlatform: async (options) => {
        asked.push(options.work);
        return host.address;
      },
    });
    expect([code, asked], stderr).toEqual([0, [work]]);
  });

  it.each([
    ['experiment get second', 'experiment second goes on only while'],
    ['experiment enqueue first -p x=1', 'experiment first goes on only while'],
    ['experiment submit -f first.yaml', 'experiment first goes on only while'],
    ['experiment watch first', 'trials run in the background of this command until'],
    ['experiment logs first 3 --follow', 'no trial runs now'],
    ['experiment list', undefined],
  ])('"%s" tells who carries on what it does not, or for how long', async (line, note) => {
    const channel = Channel.connect(host.address);
    const { code, stderr } = await emotune(line.split(' '), {
      env: {},
      openPlatform: async () => ({ channel, logFile: '', close: async () => channel.close() }),
    });
    expect(code, stderr).toBe(0);
    if (note === undefined) expect(stderr).toBe('');
    else {
      expect(stderr).toContain(note);
      expect(stderr).toMatch(/"emotune up"/);
      expect(stderr).toMatch(/"emotune experiment watch (first|second)"/);
    }
  });
});

describe('the program', () => {
  it.each([
    ['dataset get missing'],
    ['dataset delete missing'],
    ['features get missing'],
    ['experiment get missing'],
    ['experiment watch missing'],
    ['model get missing'],
    ['evaluate --model missing --dataset d'],
    ['analyze x --model missing'],
  ])('"%s" is not found: 3', async (line) => {
    const { code, stdout, stderr } = await emotune(line.split(' '));
    expect([code, stdout]).toEqual([3, '']);
    expect(stderr).toMatch(/emotune: expected an? [a-z ]+, got "missing"\n$/);
  });

  it('a server that is away is unavailable: 4', async () => {
    const { code, stderr } = await emotune(['--server', '127.0.0.1:1', 'dataset', 'list']);
    expect([code, stderr]).toEqual([4, expect.stringContaining('127.0.0.1:1 cannot be reached')]);
  });

  it.each([
    ['datset list', "unknown command 'datset'\n(Did you mean dataset?)"],
    ['dataset crate', "unknown command 'crate'\n(Did you mean create?)"],
    ['analyze x --tsk y', "unknown option '--tsk'\n(Did you mean --task?)"],
    ['analyze x --task happiness', 'Allowed choices are sentiment-classification'],
    ['analyze x --scale 1-2', 'Expected LO..HI such as 0..1 or -4..4.'],
    ['analyze x --labels a', 'Expected labels such as a,b,c.'],
    ['dataset preview mine --rows 1.5', 'Expected an integer of at least 1.'],
    ['dataset list --server nowhere', '--server: expected HOST:PORT'],
  ])('"%s" is refused: 2', async (line, want) => {
    const { code, stdout, stderr } = await emotune(line.split(' '));
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^emotune: /);
    expect(stderr).toContain(want);
  });

  it.each([
    [
      'dataset get missing',
      { status: 'NOT_FOUND', exitCode: 3, retryable: false, message: 'expected a dataset, got "missing"' },
    ],
    [
      '--server 127.0.0.1:1 dataset list',
      {
        status: 'UNAVAILABLE',
        exitCode: 4,
        retryable: true,
        message: expect.stringContaining('127.0.0.1:1'),
      },
    ],
    [
      'dataset crate',
      { status: 'INVALID_ARGUMENT', exitCode: 2, message: "unknown command 'crate'\n(Did you mean create?)" },
    ],
    ['dataset', { status: 'INVALID_ARGUMENT', exitCode: 2, message: 'expected a command; --help shows all' }],
    [
      'dataset create -f misspelt.yaml',
      {
        status: 'INVALID_ARGUMENT',
        exitCode: 2,
        violations: expect.arrayContaining([
          { field: 'nmae', description: 'unknown field, did you mean "name"?' },
        ]),
      },
    ],
  ])('"%s --json" says as one JSON document on stderr what failed', async (line, want) => {
    const { code, stdout, stderr } = await emotune([...line.split(' '), '--json']);
    expect(stdout).toBe('');
    const { error } = JSON.parse(stderr);
    expect(error).toMatchObject(want);
    expect(code).toBe(error.exitCode);
  });

  it('shows help and version', async () => {
    expect(await text('--help')).toContain('emotune experiment submit -f experiment.yaml --watch');
    expect(await text('dataset', 'create', '--help')).toContain('dataset.yaml:');
    expect(await text('--version')).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect((await emotune([])).code).toBe(2);
  });
});

describe('what would steer a terminal is shown instead', () => {
  const steering = '\x1b[2J\x1b]0;owned\x07\x9b\u202egpj';
  const raw =
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones
    /[\0-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

  it.each([
    ['of a text that is analysed', ['analyze', `fine ${steering}`], 0],
    ['of a log', ['experiment', 'logs', 'first', '9'], 0],
    ['of the name of a file', ['dataset', 'create', '-f', `${steering}.yaml`], 2],
    ['of a command', [`ls${steering}`], 2],
    ['of an option', ['dataset', 'list', `--${steering}`], 2],
    ['of a model that is not there', ['model', 'get', steering], 0],
  ])('%s', async (_, args, expected) => {
    for (const each of [args, ['--json', ...args]]) {
      const { code, stdout, stderr } = await emotune(each);
      expect(code).toBe(expected);
      expect(stdout + stderr).not.toMatch(raw);
      expect(stdout + stderr).toMatch(/\\u001b/);
    }
    // The document holds what was there.
    const { stdout, stderr } = await emotune(['--json', ...args]);
    for (const line of `${stdout}${stderr}`.trimEnd().split('\n'))
      expect(JSON.stringify(JSON.parse(line))).toContain(JSON.stringify('\x9b').slice(1, -1));
  });
});
