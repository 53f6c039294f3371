/** A run that is interrupted goes on to the same weights, to the bit, whatever it was doing. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, Rng } from '@emotune/base';
import { initialTensors, parseConfig } from '@emotune/models';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Row } from './batches.js';
import { Interrupted } from './failures.js';
import { trainSpec } from './spec.js';
import { trainAlone } from './testing.js';
import type { TrainHooks, TrainResult } from './train.js';

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
const model = () => ({ config, tensors: initialTensors(config, 7) });

function rows(count: number, name: string): Row[] {
  const rng = Rng.of('rows', name);
  return Array.from({ length: count }, (_, i) => {
    const length = 4 + rng.int(8);
    const tokens = Int32Array.from({ length }, () => 3 + rng.int(16));
    return { id: `${name}${i}`, task: 'abc'[i % 3], tokens, answerStart: length - 2, spread: rng.uniform() };
  });
}
const data = { train: rows(60, 'train'), validation: rows(20, 'validation') };
const spec = (more: object = {}) =>
  parse(trainSpec, {
    method: { name: 'full' },
    optimizer: { learningRate: 0.01 },
    batchTokens: 64,
    seed: 3,
    stages: [
      { tasks: ['a'], tokens: 250, competence: { difficulty: 'spread', start: 0.3 } },
      { tasks: ['b', 'c'], tokens: 400, replay: 0.3, mixingTemperature: 2 },
    ],
    validation: { everyTokens: 150 },
    ...more,
  });

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'emotune-resume-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const run = (given: ReturnType<typeof spec>, hooks: TrainHooks = {}) =>
  trainAlone(model(), data, given, hooks);

/** What took how long is not repeated. */
function expectSame(got: TrainResult, want: TrainResult): void {
  const untimed = ({ tensors: _, tokensPerSecond: __, seconds: ___, ...rest }: TrainResult) => rest;
  const [{ tensors }, { tensors: gotTensors }] = [want, got];
  expect(untimed(got)).toEqual(untimed(want));
  for (const [name, { data: weights }] of tensors) expect(gotTensors.get(name)!.data).toEqual(weights);
}

const variants = [
  { optimizer: { name: 'adamw', learningRate: 0.01, weightDecay: 0.1 }, gradientAccumulation: 3 },
  { optimizer: { name: 'adafactor', learningRate: 0.01 }, ema: 0.9 },
  {
    optimizer: { name: 'lion', learningRate: 0.003 },
    gradientAccumulation: 2,
    ema: 0.8,
    schedule: { name: 'warmup_stable_decay', rewarm: true },
  },
  {
    method: { name: 'lora', rank: 2, alpha: 4, loraPlusRatio: 4 },
    regularisation: { dropout: { lora: 0.2, embedding: 0.1 }, perturbation: { name: 'neftune' } },
    gradientAccumulation: 2,
    packing: false,
    schedule: { name: 'inverse_sqrt', warmupRatio: 0.1 },
  },
  { regularisation: { mixout: { rate: 0.3 } } },
  { method: { name: 'lora', rank: 2, alpha: 4, dora: true, baseCompute: 'int4' }, recompute: 'blocks' },
  // So strong a branch that the scaled gradient is not finite at first.
  { method: { name: 'lora', rank: 2, alpha: 1e18, baseCompute: 'fp16' }, ema: 0.5 },
];

it.each(variants)('%j', async (variant) => {
  const straight = await run(spec(variant));
  expect(straight.step).toBeGreaterThan(4);
  await fc.assert(
    fc.asyncProperty(
      // After which call of the signal, anew in each attempt: before steps, micro-batches and validation batches.
      fc.array(fc.integer({ min: 1, max: 25 }), { minLength: 1, maxLength: 4 }),
      async (asks) => {
        rmSync(folder, { recursive: true, force: true });
        for (const limit of asks) {
          let asked = 0;
          const signal = {
            get aborted() {
              return ++asked > limit;
            },
          } as AbortSignal;
          try {
            expectSame(await run(spec(variant), { checkpoints: folder, signal }), straight);
          } catch (error) {
            expect(error).toBeInstanceOf(Interrupted);
          }
        }
        expectSame(await run(spec(variant), { checkpoints: folder }), straight);
      },
    ),
    { numRuns: 3 },
  );
});

it('skips steps whose scaled gradient is not finite, and halves the scale until it is', async () => {
  const norms: number[] = [];
  const half = spec({
    method: { name: 'lora', rank: 2, alpha: 1e18, baseCompute: 'fp16' },
    optimizer: { learningRate: 1e-20 },
    // Ends before its stage does: a last step of few rows has a gradient of its own size.
    until: 650,
    stages: [{ tasks: ['a', 'b', 'c'], tokens: 5000 }],
  });
  await run(half, {
    onMeasurement: ({ gradientNorm }) => {
      norms.push(gradientNorm);
      return 'continue';
    },
  });
  const first = norms.findIndex((norm) => norm > 0);
  expect(first).toBeGreaterThan(1);
  expect(norms.slice(first).every((norm) => norm > 1e10)).toBe(true);
});

it('stays ended once it ran out of patience', async () => {
  const impatient = spec({ optimizer: { learningRate: 0.5 }, validation: { everyTokens: 60, patience: 1 } });
  const first = await run(impatient, { checkpoints: folder });
  expect(first.stopped).toBe('patience');
  expectSame(await run(impatient, { checkpoints: folder }), first);
});

describe('checkpoints', () => {
  const every: TrainHooks['onMeasurement'] = () => 'checkpoint';

  it('are kept as many as asked', async () => {
    await run(spec({ keepCheckpoints: 3 }), { checkpoints: folder, onMeasurement: every });
    expect(readdirSync(folder)).toHaveLength(3);
  });

  it('are refused by name, and the one before is used, whatever happens to one of their files', async () => {
    const straight = await run(spec(), { checkpoints: folder, onMeasurement: every });
    const newest = join(folder, readdirSync(folder).sort().at(-1)!);
    const files = Object.fromEntries(
      readdirSync(newest).map((name) => [name, readFileSync(join(newest, name))]),
    );
    expect(Object.keys(files).sort()).toEqual(['manifest.json', 'tensors.safetensors']);
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...Object.keys(files)),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        async (name, place, change, cut) => {
          const damaged = Buffer.from(files[name]);
          const at = place % damaged.length;
          damaged[at] ^= change;
          writeFileSync(join(newest, name), cut ? files[name].subarray(0, at) : damaged);
          const notices: string[] = [];
          const steps: number[] = [];
          const result = await run(spec(), {
            checkpoints: folder,
            onNotice: (text) => notices.push(text),
            onMeasurement: ({ step }) => {
              steps.push(step);
              return 'continue';
            },
          });
          expectSame(result, straight);
          expect(notices).toHaveLength(1);
          expect(notices[0]).toContain(`${newest} is not used: ${name} is `);
          for (const [file, bytes] of Object.entries(files)) writeFileSync(join(newest, file), bytes);
        },
      ),
      { numRuns: 15 },
    );
  });

  it.each([
    ['another seed', spec({ seed: 4 }), data],
    [
      'other rows of the same names',
      spec(),
      { ...data, train: rows(60, 'other').map((row, i) => ({ ...row, id: `train${i}` })) },
    ],
  ])('of %s are refused', async (_, given, other) => {
    await run(spec(), { checkpoints: folder });
    const notices: string[] = [];
    await trainAlone(model(), other, given, { checkpoints: folder, onNotice: (text) => notices.push(text) });
    expect(notices[0]).toContain('it belongs to a run with another spec, model or data');
  });

  it('of other weights of the same shapes are refused', async () => {
    await run(spec(), { checkpoints: folder });
    const notices: string[] = [];
    const onNotice = (text: string) => notices.push(text);
    await trainAlone({ config, tensors: initialTensors(config, 8) }, data, spec(), {
      checkpoints: folder,
      onNotice,
    });
    expect(notices[0]).toContain('it belongs to a run with another spec, model or data');
  });
});
