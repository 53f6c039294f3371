import { Rng } from '@emotune/base';
import { type Executor, OnnxExecutor } from '@emotune/engine';
import { initialTensors, type ModelConfig, parseConfig, trainableParameters } from '@emotune/models';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Batch, Row } from './batches.js';
import { gradientPass } from './gradient-pass.js';
import {
  answersOf,
  type Packing,
  type PackingOptions,
  packRows,
  paddedLength,
  planPacking as planDraws,
} from './packing.js';
import { Sessions } from './sessions.js';
import { trainSpec } from './spec.js';

function row(id: number, length: number, { answers = 3, task = 'a' } = {}): Row {
  return {
    id: `r${id}`,
    task,
    tokens: new Int32Array(length),
    answerStart: Math.max(1, length - answers),
  };
}
/** For rows that come as they are. */
const planPacking = (rows: readonly Row[], given: PackingOptions) =>
  planDraws([{ rows, tokens: 1 }], [], given);
const options = { batchTokens: 2048, packing: true, width: 192, maxSequence: Number.POSITIVE_INFINITY };
const tokensOf = (batches: readonly Batch[]) =>
  batches.reduce((n, { rows }) => n + rows.reduce((m, { tokens }) => m + tokens.length, 0), 0);
const padded = (batches: readonly Batch[]) => batches.reduce((n, b) => n + b.batch * b.sequence, 0);

/**
 * Rows of each length from 40 on, in tens: 4,725 feature rows of VADER's tweets and reviews, GoEmotions and EmoBank, by the
 * tokenizer of emotune-llama-4m.
 */
const counts = [10, 336, 770, 845, 727, 466, 464, 443, 357, 231, 64, 6, 6];
const rng = Rng.of('lengths');
const feature = rng.shuffle(
  counts.flatMap((count, tens) =>
    Array.from({ length: count }, (_, i) =>
      row(1000 * tens + i, 40 + 10 * tens + rng.int(10), { answers: 2 + (i % 4) }),
    ),
  ),
);

function expectWhole(
  rows: readonly Row[],
  batches: readonly Batch[],
  { shapes, batchTokens }: Packing,
): void {
  const ids = batches.flatMap((batch) => batch.rows.map(({ id }) => id));
  expect(ids.toSorted()).toEqual(rows.map(({ id }) => id).toSorted());
  for (const { rows: held, starts, batch, sequence, answers } of batches) {
    expect(shapes).toContainEqual({ batch, sequence, answers });
    expect(batch === 1 || batch * sequence <= batchTokens).toBe(true);
    expect(held.reduce((n, r) => n + answersOf(r), 0)).toBeLessThanOrEqual(answers);
    const taken = new Set<number>();
    held.forEach(({ tokens }, r) => {
      expect((starts[r] % sequence) + tokens.length).toBeLessThanOrEqual(sequence);
      for (let t = 0; t < tokens.length; t++) taken.add(starts[r] + t);
    });
    expect(taken.size).toBe(held.reduce((n, { tokens }) => n + tokens.length, 0));
    for (const place of taken) expect(place).toBeLessThan(batch * sequence);
  }
}

describe('packRows', () => {
  it('places every row once, apart from the others, in one of two shapes at most', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({ length: fc.integer({ min: 1, max: 700 }), answers: fc.integer({ min: 1, max: 40 }) }),
          { minLength: 1, maxLength: 80 },
        ),
        fc.integer({ min: 16, max: 4096 }),
        fc.boolean(),
        (sizes, batchTokens, packing) => {
          const rows = sizes.map(({ length, answers }, i) =>
            row(i, length, { answers, task: i % 2 ? 'a' : 'b' }),
          );
          const plan = planPacking(rows, { ...options, batchTokens, packing });
          expect(plan.shapes.length).toBeLessThanOrEqual(2);
          const batches = packRows(rows, plan);
          expectWhole(rows, batches, plan);
          if (!packing)
            for (const { rows: held, starts, sequence } of batches)
              expect(new Set(starts.map((start) => start / sequence)).size).toBe(held.length);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('wastes little: less than a twentieth of the tokens, and few places for answers', () => {
    const plan = planPacking(feature, options);
    expect(plan.shapes).toHaveLength(1);
    const batches = packRows(feature, plan);
    expectWhole(feature, batches, plan);
    expect(padded(batches) / tokensOf(batches)).toBeLessThan(1.05);
    const places = batches.reduce((n, { answers }) => n + answers, 0);
    expect(places / feature.reduce((n, r) => n + answersOf(r), 0)).toBeLessThan(1.25);
  });

  it('keeps answers that do not fit the batch for another one', () => {
    const rows = Array.from({ length: 40 }, (_, i) => row(i, 16, { answers: 8 }));
    const plan = { ...options, batchTokens: 128, shapes: [{ batch: 2, sequence: 64, answers: 16 }] };
    const batches = packRows(rows, plan);
    expectWhole(rows, batches, plan);
    expect(batches).toHaveLength(20);
  });
});

describe('planPacking', () => {
  it('leaves rows of one length unpadded', () => {
    const rows = Array.from({ length: 20 }, (_, i) => row(i, 128, { answers: 127 }));
    expect(planPacking(rows, { ...options, batchTokens: 1024 }).shapes).toEqual([
      { batch: 8, sequence: 128, answers: 1016 },
    ]);
  });

  it('gives rows that are rare and long a shape of their own', () => {
    const rare = [...feature, ...Array.from({ length: 20 }, (_, i) => row(10_000 + i, 1500))];
    const { shapes } = planPacking(rare, options);
    expect(shapes.map(({ batch, sequence }) => [batch, sequence >= 1500])).toEqual([
      [expect.any(Number), false],
      [1, true],
    ]);
    expect(shapes[0].sequence).toBeLessThan(400);
  });

  it('weighs draws by what is trained on them', () => {
    // Two of the long rows fit a line of 256, one a line of 200 that two of the short ones fill.
    const short = Array.from({ length: 300 }, (_, i) => row(i, 98));
    const long = Array.from({ length: 300 }, (_, i) => row(1000 + i, 126));
    const plan = (a: number, b: number) =>
      planDraws(
        [
          { rows: short, tokens: a },
          { rows: long, tokens: b },
        ],
        [],
        { ...options, width: 4096 },
      ).shapes.map(({ sequence }) => sequence);
    expect(plan(1, 0)).toEqual([200]);
    expect(plan(0, 1)).toEqual([128]);
    expect(plan(1, 1)[0]).toBeGreaterThan(200);
  });

  it('makes no line longer than the model’s positions', () => {
    const [shape] = planPacking(feature, { ...options, maxSequence: 202 }).shapes;
    expect(shape.sequence).toBeLessThanOrEqual(202);
    expect(paddedLength(202)).toBe(208);
  });
});

const ids = { vocab_size: 24, hidden_size: 16, bos_token_id: 1, eos_token_id: 2, pad_token_id: 0 };
const layers = { num_hidden_layers: 2, num_attention_heads: 2, max_position_embeddings: 64 };
const configs: Record<string, ModelConfig> = {
  llama: parseConfig({ model_type: 'llama', ...ids, ...layers, intermediate_size: 32 }),
  'llama, dynamic rope': parseConfig({
    model_type: 'llama',
    ...ids,
    ...layers,
    intermediate_size: 32,
    max_position_embeddings: 24,
    rope_scaling: { rope_type: 'dynamic', factor: 2 },
  }),
  opt: parseConfig({ model_type: 'opt', ...ids, ...layers, ffn_dim: 32 }),
  // Three heads: no power of two, so ALiBi's slopes are of two sequences.
  bloom: parseConfig({ model_type: 'bloom', ...ids, hidden_size: 24, n_layer: 2, n_head: 3 }),
};

describe('rows that share a line', () => {
  let executor: Executor;
  beforeAll(() => {
    executor = OnnxExecutor.create();
  });
  afterAll(() => executor.close());

  const draw = Rng.of('rows');
  const rows: Row[] = Array.from({ length: 9 }, (_, i) => {
    const length = 4 + draw.int(16);
    return {
      id: `r${i}`,
      task: 'a',
      tokens: Int32Array.from({ length }, () => 3 + draw.int(20)),
      answerStart: length - 1 - draw.int(3),
    };
  });
  const spec = trainSpec.parse({
    method: { name: 'full' },
    optimizer: { learningRate: 1 },
    seed: 1,
    stages: [{ tasks: ['a'], tokens: 1 }],
  });

  it.each(Object.entries(configs))('%s: have the loss and gradients of rows alone', async (_, config) => {
    const sessions = new Sessions(executor);
    for (const [name, tensor] of initialTensors(config, 7)) await executor.put(name, tensor);
    const trained = trainableParameters(config, spec.method);
    const passes = async (packing: boolean, batchTokens: number) => {
      const maxSequence = config.family === 'llama' ? config.maxPositions : 64;
      const plan = planPacking(rows, { ...options, packing, batchTokens, maxSequence });
      const batches = packRows(rows, plan);
      const all = rows.reduce((n, each) => n + answersOf(each), 0);
      let loss = 0;
      for (const [micro, batch] of batches.entries()) {
        const share = batch.rows.reduce((n, each) => n + answersOf(each), 0) / all;
        const place = { step: 1, micro, share, accumulate: micro > 0 };
        loss += share * (await gradientPass(sessions, config, spec, batch, place)).loss;
      }
      const gradients = new Map<string, Float32Array>();
      for (const { name } of trained)
        gradients.set(name, (await executor.get(`grad.${name}`)).data as Float32Array);
      return { batches, loss, gradients };
    };
    const packed = await passes(true, 384);
    expect(packed.batches).toHaveLength(1);
    expect(
      new Set(packed.batches[0].starts.map((s) => Math.floor(s / packed.batches[0].sequence))).size,
    ).toBeLessThan(rows.length);
    // One line to a row in one batch; and one row to a micro-batch, accumulated.
    for (const other of [await passes(false, 384), await passes(false, 16)]) {
      expect(packed.loss).toBeCloseTo(other.loss, 5);
      for (const [name, gradient] of packed.gradients) {
        const largest = gradient.reduce((a, g) => Math.max(a, Math.abs(g)), 1e-3);
        // Sums of the same float32 products in another order.
        other.gradients.get(name)!.forEach((g, i) => {
          expect(Math.abs(g - gradient[i])).toBeLessThan(2e-5 * largest);
        });
      }
    }
  });
});
