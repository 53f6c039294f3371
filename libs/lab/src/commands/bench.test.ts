import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { numberGold, tasks } from '@emotune/affect';
import { runCommand } from '@emotune/cli/testing';
import { initialTensors, parseConfig, saveModel } from '@emotune/models';
import { encodeShard, type FeatureRow } from '@emotune/records';
import { trainBpe } from '@emotune/text';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { labCommands } from '../index.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-bench-test-'));
const shapes = {
  llama: {
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 32,
    max_position_embeddings: 512,
  },
  opt: { num_hidden_layers: 1, num_attention_heads: 2, ffn_dim: 32, max_position_embeddings: 512 },
  bloom: { n_layer: 1, n_head: 2 },
};

beforeAll(async () => {
  const shared = { vocab_size: 300, hidden_size: 16, tie_word_embeddings: true };
  for (const [family, own] of Object.entries(shapes)) {
    mkdirSync(join(folder, family));
    writeFileSync(
      join(folder, family, 'config.json'),
      JSON.stringify({ model_type: family, ...shared, ...own }),
    );
  }
  const config = parseConfig({ model_type: 'llama', ...shared, ...shapes.llama });
  const tokenizer = trainBpe(['Task: Text: Cues: anger, fear, joy'], {
    vocabSize: 300,
    specialTokens: ['<s>', '</s>'],
  });
  await saveModel(
    join(folder, 'trained'),
    { config, tensors: initialTensors(config, 1) },
    { files: { 'tokenizer.json': JSON.stringify(tokenizer) } },
  );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const bench = (...args: string[]) => runCommand(['bench', ...args], { commands: labCommands, cwd: folder });

async function json(...args: string[]) {
  const { code, stdout, stderr } = await bench(...args, '--json');
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

/** Every figure of a document, however deep. */
function figures(document: unknown): number[] {
  if (typeof document === 'number') return [document];
  return typeof document === 'object' && document !== null ? Object.values(document).flatMap(figures) : [];
}

const positive = (document: unknown) => {
  for (const value of figures(document)) expect(value).toBeGreaterThan(0);
  for (const value of figures(document)) expect(value).toBeLessThan(Number.POSITIVE_INFINITY);
};

/** Rows of two lengths as a featurization writes them. */
function featureRow(i: number): FeatureRow {
  const tokens = Int32Array.from({ length: i % 2 === 0 ? 5 : 11 }, (_, t) => (7 * i + t) % 300);
  return {
    id: `row-${i}`,
    task: 'sentiment-regression',
    source: 'test',
    language: 'en',
    text: '',
    emotion: null,
    prompt: '',
    answer: '',
    tokens,
    answerStart: tokens.length - 2,
    gold: numberGold(0.5),
    labelSet: [],
    multiLabel: false,
    scale: { low: 0, high: 1 },
    decimals: 1,
  };
}

const tiny = ['--batch', '2', '--sequence', '12', '--threads', '1', '--steps', '2'];

describe('bench step', () => {
  it('shows where the time of an 8-bit base goes', async () => {
    const args = ['--model', 'llama', '--method', 'lora', '--base-compute', 'int8', ...tiny];
    const figures = await json('step', ...args, '--profile');
    const kinds: { op: string; nodes: number; milliseconds: number }[] = figures.profile;
    // One layer has 7 linear layers; two of them follow the last attention, whose input has a gradient all the same.
    expect(kinds.find(({ op }) => op === 'MatMulIntegerToFloat')?.nodes).toBeGreaterThanOrEqual(7);
    expect(kinds.map(({ milliseconds }) => milliseconds)).toEqual(
      kinds.map(({ milliseconds }) => milliseconds).sort((p, q) => q - p),
    );
    const { stdout } = await bench('step', ...args, '--profile');
    expect(stdout).toMatch(/base: +int8/);
    expect(stdout).toMatch(/kind of node +nodes +ms a batch +share/);
  });

  it('packs rows of feature shards, and counts their tokens alone', async () => {
    mkdirSync(join(folder, 'features'));
    writeFileSync(
      join(folder, 'features', 'train-00000.arrow'),
      encodeShard(Array.from({ length: 24 }, (_, i) => featureRow(i))),
    );
    const figures = await json('step', '--model', 'llama', '--features', 'features', ...tiny);
    expect(figures.rows).toEqual({ count: 24, meanTokens: 8 });
    positive(figures);
  });

  it('refuses an 8-bit base where the weights are trained', async () => {
    const { code, stderr } = await bench('step', '--model', 'llama', '--base-compute', 'int8', ...tiny);
    expect(code).toBe(2);
    expect(stderr).toContain('--base-compute: expected fp32 with --method full, got int8');
  });

  it.each([
    ['llama', 'full'],
    ['opt', 'lora'],
    ['bloom', 'full'],
    ['trained', 'lora'],
  ])('%s, %s', async (model, method) => {
    const figures = await json('step', '--model', model, '--method', method, ...tiny);
    expect(figures).toMatchObject({
      model,
      method,
      batch: 2,
      sequence: 12,
      answers: 11,
      threads: 1,
      steps: 2,
    });
    for (const name of ['tokensPerSecond', 'peakMemoryMiB', 'gflops', 'gemmGflops'])
      expect(figures).toHaveProperty(name, expect.any(Number));
    positive(figures);
  });

  it('compares what computes again with what keeps everything, where asked to', async () => {
    const figures = await json('step', '--model', 'llama', '--recompute', 'blocks', ...tiny);
    expect(figures).toMatchObject({ recompute: 'blocks' });
    for (const name of ['savedMemoryMiB', 'recomputeTime'])
      expect(figures).toHaveProperty(name, expect.any(Number));
  });

  it('prints workload, figures and limit', async () => {
    const { code, stdout, stderr } = await bench('step', '--model', 'llama', '--answers', '3', ...tiny);
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/^model: +llama, [\d,]+ weights$/m);
    expect(stdout).toMatch(/^batch: +2 rows of 12 tokens, 3 of each labelled$/m);
    expect(stdout).toMatch(/^GFLOP\/s +[\d.e-]+ +[\d.]+ +[\d.e-]+ +ONNX Runtime's own rate/m);
  });

  it('refuses what the model cannot take', async () => {
    const of = (...args: string[]) => bench('step', ...args);
    expect(await of('--model', 'llama', '--answers', '64')).toEqual({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('--answers: expected at most 63 of 64, got 64'),
    });
    expect(await of('--model', 'llama', '--sequence', '513')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--sequence: expected at most 512, got 513'),
    });
    expect(await of('--model', 'nowhere')).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('nowhere'),
    });
    mkdirSync(join(folder, 'broken'));
    writeFileSync(join(folder, 'broken', 'config.json'), '{');
    expect(await of('--model', 'broken')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('config.json: expected JSON'),
    });
    expect(await of('--batch', '0')).toMatchObject({ code: 2 });
  });
});

it.each(['llama', 'opt', 'bloom'])('bench generate, %s', async (model) => {
  const workload = ['--model', model, '--batch', '2', '--prompt', '9', '--tokens', '3', '--threads', '1'];
  const document = await json('generate', ...workload);
  expect(document).toMatchObject({ model, batch: 2, prompt: 9, tokens: 3, threads: 1 });
  expect(Object.keys(document)).toEqual(
    expect.arrayContaining([
      'examplesPerSecond',
      'tokensPerSecond',
      'productExamplesPerSecond',
      'parameters',
    ]),
  );
  positive(document);
  const { stdout } = await bench('generate', ...workload);
  expect(stdout).toMatch(/^batch: +2 prompts of 9 tokens, 3 written after each, greedily$/m);
  expect(stdout).toMatch(/^examples\/s +[\d.]+ +[\d.]+ +[\d.e-]+ +products with the model's weights alone$/m);
  expect(await bench('generate', '--model', 'llama', '--prompt', '512')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--prompt: expected at most 496, got 512'),
  });
});

it('bench score asks every task', async () => {
  const document = await json('score', '--model', 'trained', '--questions', '2', '--threads', '1');
  expect(document).toMatchObject({ model: 'trained', questions: 2, threads: 1 });
  expect(document.tasks.map(({ task }: { task: string }) => task)).toEqual(tasks);
  positive(document);
  const { stdout } = await bench('score', '--model', 'trained', '--questions', '2', '--threads', '1');
  expect(stdout).toMatch(/^emotion-regression +101 +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+$/m);
  const small = ['--questions', '2', '--labels', '5', '--prompt', '9'];
  const random = await json('score', '--model', 'llama', ...small);
  expect(random).toMatchObject({ labels: { labels: 5, promptTokens: 9 }, tasks: [] });
  positive(random);
  expect(await bench('score', '--model', 'nowhere')).toMatchObject({ code: 3, stdout: '' });
});

it('bench dedup', async () => {
  const document = await json('dedup', '--rows', '23000');
  // Those behind the first 20,014 rows, one in twenty each.
  expect(document).toMatchObject({ rows: 23000, wronglyDropped: 0 });
  expect(document.copies.rows).toBeGreaterThan(140);
  expect(document.copies.dropped).toBe(document.copies.rows);
  expect(document.near.dropped).toBeGreaterThanOrEqual(0.99 * document.near.rows);
  expect((await bench('dedup', '--rows', '100')).stdout).toMatch(/^other rows dropped: +0$/m);
});

it('bench lexicon', async () => {
  const document = await json('lexicon', '--texts', '20');
  expect(document.texts).toBe(20);
  expect(Object.keys(document).sort()).toEqual([
    'allPerSecond',
    'bytes',
    'cues',
    'lexicons',
    'megabytesPerSecond',
    'peerPerSecond',
    'texts',
    'vaderPerSecond',
    'wordsMegabytesPerSecond',
  ]);
  const { lexicons, ...figures } = document;
  expect(lexicons.slice(0, 2)).toEqual(['vader', 'afinn']);
  positive(figures);
  expect((await json('lexicon', '--texts', '20')).bytes).toBe(document.bytes);
  expect((await bench('lexicon', '--texts', '20')).stdout).toMatch(/^texts: +20, [\d,]+ bytes in all$/m);
});

it('bench search', async () => {
  const asked = [
    '--trials',
    '20',
    '--seeds',
    '3',
    '--algorithms',
    'tpe',
    'sobol',
    '--functions',
    'hart',
    'llm7',
  ];
  const { suggestions, optima } = await json('search', ...asked, '--histories', '20', '50');
  expect(suggestions.map((s: { algorithm: string; trials: number }) => [s.trials, s.algorithm])).toEqual(
    [20, 50].flatMap((trials) => [
      [trials, 'tpe'],
      [trials, 'sobol'],
    ]),
  );
  positive(suggestions);
  expect(optima.map((o: { function: string; algorithm: string }) => [o.function, o.algorithm])).toEqual(
    ['Hartmann 6', 'llm7'].flatMap((name) => [
      [name, 'tpe'],
      [name, 'sobol'],
    ]),
  );
  for (const { regretAtQuarter, regretAtHalf, regret, regretUpperQuartile } of optima) {
    expect(regret).toBeGreaterThan(0);
    expect(regretAtQuarter).toBeGreaterThanOrEqual(regretAtHalf);
    expect(regretAtHalf).toBeGreaterThanOrEqual(regret);
    expect(regretUpperQuartile).toBeGreaterThanOrEqual(regret);
  }
  expect(Object.keys(optima[2].wrong)).toEqual(['architecture', 'batchSize']);
  // The same searches.
  expect((await json('search', ...asked)).optima).toEqual(optima);
  const { stdout } = await bench('search', ...asked, '--parallel', '10');
  expect(stdout).toMatch(/^Hartmann 6 +sobol( +[\d.]+){4} +– +– +–$/m);
});

it('bench search on random problems, beside what a peer reached', async () => {
  const asked = ['--generated', '3', '--seed', '7', '--trials', '20', '--seeds', '3'];
  const file = join(folder, 'problems.json');
  expect((await bench('search', ...asked, '--problems', file)).code).toBe(0);
  const { problems } = JSON.parse(readFileSync(file, 'utf8'));
  expect(problems.map(({ seed }: { seed: number }) => seed)).toEqual([7, 8, 9]);

  // A peer that is at .5 from the third trial on, another that is at the optimum of the first problem from the sixth.
  const run = { seed: 0, trials: 20, parallel: 1 };
  const runs = [
    ...[7, 8, 9].map((problem) => ({ ...run, problem, sampler: 'slow', improvements: [[3, 0.5]] })),
    { ...run, problem: 7, sampler: 'quick', improvements: [[6, 0]] },
  ];
  const peer = join(folder, 'peer.json');
  writeFileSync(peer, JSON.stringify({ peer: 'Peer', runs }));
  const figures = await json('search', ...asked, '--algorithms', 'random', '--peer', peer);
  const of = (problem: number, algorithm: string, trials: number) =>
    figures.problems.find(
      (p: Record<string, unknown>) =>
        p['problem'] === problem && p['algorithm'] === algorithm && p['trials'] === trials,
    ).regret;
  expect(of(7, 'Peer: quick', 5)).toBe(10);
  expect(of(7, 'Peer: quick', 20)).toBe(1e-6);
  const against = (rival: string, trials: number) =>
    figures.comparisons.find(
      (c: Record<string, unknown>) => c['rival'] === `Peer: ${rival}` && c['trials'] === trials,
    );
  const ratios = [7, 8, 9].map((problem) => of(problem, 'random', 20) / 0.5);
  expect(against('slow', 20)).toMatchObject({
    problems: 3,
    won: ratios.filter((ratio) => ratio < 1).length / 3,
    worstRatio: Math.max(...ratios),
  });
  expect(against('slow', 20).ratio).toBeCloseTo(Math.cbrt(ratios[0] * ratios[1] * ratios[2]), 12);
  expect(against('quick', 5)).toMatchObject({ problems: 1, won: 1 });
  expect(against('the best', 20)).toMatchObject({ problems: 1, won: 0, worstProblem: 7 });
  // Searches are the same again; none of the peer's were in batches.
  expect((await json('search', ...asked, '--algorithms', 'random', '--peer', peer)).problems).toEqual(
    figures.problems,
  );
  const batches = await bench('search', ...asked, '--parallel', '10', '--peer', peer);
  expect(batches.code).toBe(2);
  expect(batches.stderr).toContain('peer: expected searches of 20 trials or more, 10 at a time');
});

it('bench prune', async () => {
  const workload = ['--trials', '12', '--seeds', '2'];
  const { rows } = await json('prune', ...workload);
  const of = (curves: string, algorithm: string) =>
    rows.filter((row: Record<string, unknown>) => row['curves'] === curves && row['algorithm'] === algorithm);
  for (const curves of [
    'slow at small learning rates',
    'early order is the last',
    'the same, two objectives',
  ])
    for (const algorithm of ['random', 'tpe']) {
      const [none, patient] = of(curves, algorithm);
      expect(none).toMatchObject({ pruner: 'none', budget: 1, trials: 12, lost: 0, error: 0 });
      expect(patient).toMatchObject({ pruner: 'default', trials: 12 });
      expect(patient.budget).toBeLessThan(1);
      expect(of(curves, algorithm)).toHaveLength(10);
    }
  for (const algorithm of ['random', 'tpe']) {
    const [none, ...wilcoxon] = of('9 folds', algorithm);
    expect(none).toMatchObject({ pruner: 'none', budget: 1, trials: 12, lost: 0 });
    expect(wilcoxon).toHaveLength(4);
    // With p < 0.1 nothing is stopped before the fourth fold.
    for (const { pruner, budget } of wilcoxon) {
      expect(budget).toBeLessThan(1);
      expect(budget).toBeGreaterThan(pruner.endsWith('0.3') ? 2 / 9 : 4 / 9);
    }
  }
  // The same searches.
  expect((await json('prune', ...workload)).rows).toEqual(rows);
  const equal = await json('prune', '--equal-budget', '--trials', '3', '--seeds', '1');
  for (const { budget, trials } of equal.rows) {
    expect(budget).toBeGreaterThanOrEqual(1);
    expect(trials).toBeGreaterThanOrEqual(3);
  }
  expect((await bench('prune', ...workload)).stdout).toMatch(
    /^slow at small learning rates +random +none +[\d.]+ +0 % +0 % +100 % +12$/m,
  );
});

it('bench bus', async () => {
  const document = await json('bus', '--events', '12');
  expect(document).toMatchObject({ events: 12, writers: 4, keys: 16 });
  expect(document.p99Ms).toBeGreaterThanOrEqual(document.p50Ms);
  positive(document);
  expect((await bench('bus', '--events', '5')).stdout).toMatch(
    /^events\/s +[\d.]+ +[\d.]+ +[\d.e-]+ +"select 1" round trips\/s$/m,
  );
});

it('bench fuzz', async () => {
  const args = ['fuzz', '--requests', '60', '--rest', '0'];
  // Whether memory came back is told only after many requests and a rest.
  const document = JSON.parse((await bench(...args, '--json')).stdout);
  expect(document).toMatchObject({ requests: 60, seed: 1, defects: [], logged: {} });
  expect(document.methods).toBeGreaterThan(40);
  const answers = Object.values<number>(document.statuses).reduce((sum, count) => sum + count, 0);
  expect(answers).toBe(60);
  expect(document.rssStart).toBeGreaterThan(0);
});

it('bench knows no other benchmark', async () => {
  for (const args of [['nothing'], []]) expect(await bench(...args)).toMatchObject({ code: 2, stdout: '' });
});
