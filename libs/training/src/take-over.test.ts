/** A run that goes on from another's last checkpoint: what it takes over, what it does not, and what it refuses. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidArgument, parse, Rng } from '@emotune/base';
import { initialTensors, parseConfig, SafetensorsFile } from '@emotune/models';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Row } from './batches.js';
import { Interrupted, LostOrigin } from './failures.js';
import type { Measurement } from './measurement.js';
import { trainSpec } from './spec.js';
import { trainAlone } from './testing.js';
import type { TrainHooks } from './train.js';

const config = parseConfig({
  model_type: 'llama',
  vocab_size: 20,
  hidden_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 16,
  max_position_embeddings: 32,
  tie_word_embeddings: true,
});

function rows(count: number, name: string): Row[] {
  const rng = Rng.of('rows', name);
  return Array.from({ length: count }, (_, i) => {
    const length = 4 + rng.int(8);
    const tokens = Int32Array.from({ length }, () => 3 + rng.int(16));
    return { id: `${name}${i}`, task: 'abc'[i % 3], tokens, answerStart: length - 2 };
  });
}
const data = { train: rows(60, 'train'), validation: rows(20, 'validation') };
const allTokens = 700;
const spec = (until: number, more: object = {}) =>
  parse(trainSpec, {
    method: { name: 'full' },
    optimizer: { learningRate: 0.01 },
    batchTokens: 64,
    seed: 3,
    until,
    stages: [
      { tasks: ['a'], tokens: 200 },
      { tasks: ['b', 'c'], tokens: allTokens - 200, replay: 0.3 },
    ],
    validation: { everyTokens: 150 },
    ...more,
  });

let folder: string;
let place: (name: string) => string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'emotune-take-over-'));
  place = (name) => join(folder, name);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const run = (given: ReturnType<typeof spec>, hooks: TrainHooks = {}) =>
  trainAlone({ config, tensors: initialTensors(config, 7) }, data, given, hooks);
const lastOf = (name: string) => join(place(name), readdirSync(place(name)).sort().at(-1)!);

const variants = [
  {
    optimizer: { name: 'adafactor', learningRate: 0.01 },
    gradientAccumulation: 3,
    regularisation: { mixout: { rate: 0.3 } },
  },
  {
    optimizer: { name: 'lion', learningRate: 0.003 },
    ema: 0.8,
    schedule: { name: 'warmup_stable_decay', rewarm: true },
  },
  // So strong a branch that the scale of the loss is still being sought when the first part ends.
  {
    method: { name: 'lora', rank: 2, alpha: 1e18, baseCompute: 'fp16' },
    regularisation: { dropout: { lora: 0.2 }, perturbation: { name: 'neftune' } },
  },
];

it.each(variants)('three parts with the same settings are one run, to the bit: %j', async (variant) => {
  const straight = await run(spec(allTokens, variant));
  let [steps, tokens] = [0, 0];
  let startFrom: TrainHooks['startFrom'];
  // Within the first stage, within the second, and to the end.
  for (const until of [120, 450, allTokens]) {
    const checkpoints = place(`until-${until}`);
    const part = await run(spec(until, variant), { checkpoints, startFrom });
    expect(part.step).toBeGreaterThan(0);
    steps += part.step;
    tokens += part.tokens;
    startFrom = async () => checkpoints;
    if (until < allTokens) {
      expect(tokens).toBeGreaterThanOrEqual(until);
      continue;
    }
    // What is left of each of two stages has no row that fits.
    expect(tokens).toBeLessThanOrEqual(allTokens);
    expect(tokens).toBeGreaterThan(allTokens - 2 * Math.max(...data.train.map((row) => row.tokens.length)));
    expect([steps, tokens, part.best!.objective]).toEqual([
      straight.step,
      straight.tokens,
      straight.best!.objective,
    ]);
    for (const [name, { data: weights }] of straight.tensors)
      expect(part.tensors.get(name)!.data).toEqual(weights);
  }
});

it('begins with the weights and the moments of the other, and counts its own steps and tokens', async () => {
  const first = await run(spec(300), { checkpoints: place('first') });
  // Nothing is left to train.
  const none = await run(spec(300, { optimizer: { learningRate: 0.5 } }), {
    checkpoints: place('none'),
    startFrom: async () => place('first'),
  });
  expect(none).toMatchObject({ step: 0, tokens: 0, best: null });
  for (const [name, { data: weights }] of first.tensors)
    expect(none.tensors.get(name)!.data).toEqual(weights);
  const files = ['first', 'none'].map((name) => readFileSync(join(lastOf(name), 'tensors.safetensors')));
  expect(files[1].equals(files[0])).toBe(true);
  const file = await SafetensorsFile.open(join(lastOf('none'), 'tensors.safetensors'));
  const names = [...file.entries.keys()];
  await file.close();
  // AdamW's two moments of each weight.
  expect(names).toHaveLength(3 * first.tensors.size);

  const seen: Measurement[] = [];
  await run(spec(allTokens), {
    startFrom: async () => place('first'),
    onMeasurement: (measurement) => {
      seen.push(measurement);
      return 'continue';
    },
  });
  expect(seen[0].step).toBe(1);
  expect(seen[0].tokens).toBeLessThanOrEqual(64);
  expect(seen[0].totalTokens).toBe(allTokens - first.tokens);
  // The middle of a cosine from 0.01 to 0.001 after a warm-up of 3 %.
  const progress = (first.tokens / allTokens - 0.03) / 0.97;
  expect(seen[0].learningRate).toBeCloseTo(0.001 + 0.0045 * (1 + Math.cos(Math.PI * progress)), 12);
  expect(seen.at(-1)!.objective).toBeGreaterThan(0);
});

it('trains with its own hyperparameters, in batches of its own, from the same place in the data', async () => {
  await run(spec(300), { checkpoints: place('first') });
  const rates = { optimizer: { learningRate: 0.02, weightDecay: 0.3 }, batchTokens: 32 };
  const other = await run(spec(450, { ...rates, gradientAccumulation: 2 }), {
    checkpoints: place('second'),
    startFrom: async () => place('first'),
  });
  expect(other.tokens).toBeGreaterThan(80);
  const state = (name: string) => JSON.parse(readFileSync(join(lastOf(name), 'manifest.json'), 'utf8')).state;
  expect(state('second').cursor).toMatchObject({ stage: 1, epoch: state('first').cursor.epoch });
  expect(state('second').cursor.stageTokens).toBe(state('first').cursor.stageTokens + other.tokens);
});

it('keeps and measures what it has at its end, not its best', async () => {
  // So steep that it gets worse.
  const wild = { optimizer: { learningRate: 0.3 }, schedule: { name: 'constant', warmupRatio: 0 } };
  const objectives: number[] = [];
  const result = await run(spec(allTokens, { ...wild, validation: { everyTokens: 60 } }), {
    onMeasurement: ({ objective }) => {
      if (objective !== undefined) objectives.push(objective);
      return 'continue';
    },
  });
  expect(objectives.at(-1)).toBeGreaterThan(Math.min(...objectives));
  expect(result.best!.objective).toBe(objectives.at(-1));
});

it('interrupted, it goes on from its own checkpoint, or from the other where it has none', async () => {
  await run(spec(300), { checkpoints: place('first') });
  const given = spec(600, { optimizer: { learningRate: 0.02 } });
  const hooks = { checkpoints: place('second'), startFrom: async () => place('first') };
  const straight = await run(given, { startFrom: async () => place('first') });
  for (const limit of [1, 6]) {
    rmSync(hooks.checkpoints, { recursive: true, force: true });
    let asked = 0;
    const signal = {
      get aborted() {
        return ++asked > limit;
      },
    } as AbortSignal;
    await expect(run(given, { ...hooks, signal })).rejects.toBeInstanceOf(Interrupted);
    // What it began with is not needed any more.
    const {
      tokensPerSecond: _,
      seconds: __,
      tensors,
      ...rest
    } = await run(given, { ...hooks, startFrom: async () => place('gone') });
    expect(straight).toMatchObject(rest);
    for (const [name, { data: weights }] of tensors)
      expect(straight.tensors.get(name)!.data).toEqual(weights);
  }
});

it('refuses a checkpoint that is missing, cut off, or older than the last', async () => {
  const hooks = { startFrom: async () => place('first') };
  await expect(run(spec(allTokens), hooks)).rejects.toThrow(/LostOrigin|there is no checkpoint in .*first/);
  await run(spec(300), { checkpoints: place('first'), onMeasurement: () => 'checkpoint' });
  expect(readdirSync(place('first'))).toHaveLength(2);
  truncateSync(join(lastOf('first'), 'tensors.safetensors'), 100);
  const error = await run(spec(allTokens), hooks).catch((e) => e);
  expect(error).toBeInstanceOf(LostOrigin);
  expect(error.message).toBe(
    `the run cannot go on from another's checkpoint: ${lastOf('first')} cannot be used: tensors.safetensors is damaged`,
  );
});

it('refuses another optimizer, method or rank, and an average that there was not, naming each tensor', async () => {
  const lora = (rank: number) => ({ method: { name: 'lora', rank, alpha: 4 } });
  await run(spec(300), { checkpoints: place('full') });
  await run(spec(300, lora(2)), { checkpoints: place('lora') });
  for (const [origin, other, shapes] of [
    ['full', { optimizer: { name: 'lion', learningRate: 0.001 } }, /expected none, got \[/],
    ['full', { ema: 0.9 }, /expected \[.*\], got none/],
    ['full', lora(2), /expected (none|\[.*\]), got (none|\[.*\])/],
    ['lora', lora(3), /expected \[.*3.*\], got \[.*2.*\]/],
  ] as const) {
    const error = await run(spec(allTokens, other), { startFrom: async () => place(origin) }).catch((e) => e);
    expect(error).toBeInstanceOf(InvalidArgument);
    for (const { field, description } of (error as InvalidArgument).violations) {
      expect(field).toMatch(/^startFrom\./);
      expect(description).toMatch(shapes);
      expect(description).toContain('the run before had another model, method or optimizer');
    }
  }
});
