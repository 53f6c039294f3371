import { parse, Rng } from '@emotune/base';
import { type Executor, float32, OnnxExecutor } from '@emotune/engine';
import { evaluate, sizeOf, type Value } from '@emotune/graph';
import {
  type Method,
  modelParameters,
  parseConfig,
  referenceGraph,
  type StepOptions,
  trainableParameters,
  trainGraph,
} from '@emotune/models';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Batch, feedsOf } from './batches.js';
import { gradientPass } from './gradient-pass.js';
import { drawMix, mixedFeeds } from './regularisers/mixup.js';
import { Stream } from './regularisers/stream.js';
import { Sessions } from './sessions.js';
import { type TrainSpec, trainSpec } from './spec.js';

type Feeds = Record<string, ArrayLike<number>>;

const width = 8;
const config = parseConfig({
  model_type: 'llama',
  vocab_size: 13,
  hidden_size: width,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 12,
  bos_token_id: 1,
  eos_token_id: 2,
  pad_token_id: 0,
});
const method: Method = { name: 'lora', rank: 2, alpha: 4 };
const watched = ['q_proj', 'o_proj'].flatMap((module) =>
  ['lora_A', 'lora_B'].map((part) => `model.layers.0.self_attn.${module}.${part}.weight`),
);
const row = (id: string, tokens: number[]) => ({
  id,
  task: 'a',
  tokens: Int32Array.from(tokens),
  answerStart: tokens.length - 2,
});
/** Two rows share the first line, one lies in the second; the rest is padding. */
const batch: Batch = {
  rows: [row('p', [3, 4, 5, 6]), row('q', [7, 8, 9]), row('r', [10, 11, 12, 3, 4])],
  starts: [0, 4, 8],
  batch: 2,
  sequence: 8,
  answers: 8,
};
const spans = batch.rows.map(({ tokens }, r) => [batch.starts[r], tokens.length]);
const size = 16 * width;
const place = { step: 5, micro: 2 };
const seed = 3;
const stream = (name: string) => Stream.of(Rng.of(seed, name, place.step, place.micro));

const spec = (more: object): TrainSpec =>
  parse(trainSpec, {
    method,
    optimizer: { learningRate: 1 },
    stages: [{ tasks: ['a'], tokens: 1 }],
    seed,
    ...more,
  });

const weights: Record<string, Float32Array> = Object.fromEntries(
  [...modelParameters(config), ...trainableParameters(config, method)].map(({ name, shape }) => {
    const rng = Rng.of('gradient-pass', name);
    return [name, Float32Array.from({ length: sizeOf(shape) }, () => 0.4 * rng.normal())];
  }),
);
const batchFeeds: Feeds = Object.fromEntries(
  Object.entries(feedsOf(batch).feeds).map(([name, { data }]) => [
    name,
    Array.from(data as ArrayLike<number | bigint>, Number),
  ]),
);

/** Graphs by their options, so that each is built once. */
const graphs = new Map<string, Record<string, Value>>();
function graphOf(build: typeof trainGraph, options: StepOptions): Record<string, Value> {
  const key = build.name + JSON.stringify(options);
  const graph = graphs.get(key) ?? build(config, method, batch, options);
  graphs.set(key, graph);
  return graph;
}
const output = (value: Value, feeds: Feeds) => evaluate([value], { ...batchFeeds, ...feeds })[0].data;

/** The mean loss of the answers at e + δ, in float64; its gradient by δ; and the answers' log-probabilities. */
const lossAt = (given: Feeds, delta: ArrayLike<number>) =>
  output(graphOf(trainGraph, { delta: true })['loss'], { ...given, delta })[0];
const slope = (delta: ArrayLike<number>) =>
  output(graphOf(trainGraph, { delta: true })['grad.delta'], { ...weights, delta });
const logsAt = (given: Feeds, delta: ArrayLike<number>) =>
  output(graphOf(referenceGraph as typeof trainGraph, { delta: true })['log_probabilities'], {
    ...given,
    delta,
  });
/** The mean over the six answer tokens of KL(p‖q) + KL(q‖p). */
function divergence(p: Float64Array, q: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < 6 * config.vocabSize; i++) sum += (Math.exp(p[i]) - Math.exp(q[i])) * (p[i] - q[i]);
  return sum / 6;
}

const still = new Float64Array(size);
/** δ + step·g/‖g‖ for each row. */
function climbed(delta: Float64Array, gradient: Float64Array, step: number): Float64Array {
  const next = delta.slice();
  for (const [start, length] of spans) {
    const part = gradient.subarray(start * width, (start + length) * width);
    const norm = Math.hypot(...part);
    part.forEach((g, i) => {
      next[start * width + i] += (step * g) / norm;
    });
  }
  return next;
}
function drawn(draw: () => number, scale: (length: number) => number): Float64Array {
  const delta = new Float64Array(size);
  for (const [start, length] of spans)
    for (let i = start * width; i < (start + length) * width; i++) delta[i] = scale(length) * draw();
  return delta;
}
const uniform = (s: Stream) => () => 2 * s.uniform() - 1;

let executor: Executor;
let sessions: Sessions;
beforeAll(async () => {
  executor = OnnxExecutor.create();
  sessions = new Sessions(executor);
  for (const { name, shape } of [...modelParameters(config), ...trainableParameters(config, method)]) {
    await executor.put(name, float32(shape, weights[name]));
    await executor.put(
      `ema.${name}`,
      float32(
        shape,
        weights[name].map((w) => 0.9 * w),
      ),
    );
  }
});
afterAll(() => executor.close());

/** The gradient of a pass against central differences of the objective, in each of the watched weights. */
async function expectGradientOf(given: TrainSpec, objective: (weights: Feeds) => number): Promise<number> {
  const names = trainableParameters(config, method).map(({ name, shape }) => ({ name, shape }));
  for (const { name, shape } of names)
    await executor.put(`grad.${name}`, float32(shape, new Float32Array(sizeOf(shape)).fill(1)));
  const pass = await gradientPass(sessions, config, given, batch, { ...place, share: 0.5, accumulate: true });
  expect(pass.tokens).toBe(12);
  for (const name of watched) {
    const got = (await executor.get(`grad.${name}`)).data as Float32Array;
    const want = [0, 5, 9].map((i) => {
      const at = (by: number) => {
        const moved = Float64Array.from(weights[name]);
        moved[i] += by;
        return objective({ ...weights, [name]: moved });
      };
      return [i, (at(1e-4) - at(-1e-4)) / 2e-4];
    });
    // float32 forward and backward: errors of 1e-7 of numbers of order 1, added up.
    for (const [i, gradient] of want) expect(Math.abs(got[i] - 1 - 0.5 * gradient)).toBeLessThan(3e-6);
    expect(want.some(([, gradient]) => Math.abs(gradient) > 1e-3)).toBe(true);
  }
  return pass.loss;
}
const perturbed = (perturbation: object, more: object = {}) =>
  spec({ regularisation: { perturbation, ...more } });

describe('a pass adds its share of the gradient of', () => {
  it('the answers’ mean loss', async () => {
    const objective = (given: Feeds) => lossAt(given, still);
    expect(await expectGradientOf(spec({}), objective)).toBeCloseTo(objective(weights), 5);
  });

  it('NEFTune: at the embeddings with noise by each row’s length', async () => {
    const delta = drawn(uniform(stream('neftune')), (length) => 5 / Math.sqrt(length * width));
    await expectGradientOf(perturbed({ name: 'neftune' }), (given) => lossAt(given, delta));
  });

  it('FGM: at the embeddings and one step uphill', async () => {
    const delta = climbed(still, slope(still), 0.7);
    const loss = await expectGradientOf(
      perturbed({ name: 'fgm', epsilon: 0.7 }),
      (given) => lossAt(given, still) + lossAt(given, delta),
    );
    expect(loss).toBeCloseTo(lossAt(weights, still), 5);
    expect(lossAt(weights, delta)).toBeGreaterThan(loss);
  });

  it('PGD: at the embeddings and three steps uphill, within the ball', async () => {
    let delta: Float64Array = still;
    for (let k = 0; k < 3; k++) {
      delta = climbed(delta, slope(delta), 0.3);
      for (const [start, length] of spans) {
        const part = delta.subarray(start * width, (start + length) * width);
        const norm = Math.hypot(...part);
        for (let i = 0; i < part.length; i++) part[i] *= Math.min(1, 0.5 / norm);
      }
    }
    await expectGradientOf(
      perturbed({ name: 'pgd', epsilon: 0.5 }),
      (given) => lossAt(given, still) + lossAt(given, delta),
    );
  });

  it('FreeLB: the mean along the way uphill', async () => {
    const first = drawn(uniform(stream('freelb')), (length) => 0.6 / Math.sqrt(length * width));
    const second = climbed(first, slope(first), 0.1);
    const third = climbed(second, slope(second), 0.1);
    await expectGradientOf(
      perturbed({ name: 'freelb', steps: 3 }),
      (given) => [first, second, third].reduce((sum, delta) => sum + lossAt(given, delta), 0) / 3,
    );
  });

  it('R3F: the loss, and how far noise moves the answers, through both sides', async () => {
    const s = stream('r3f');
    const delta = drawn(
      () => s.normal(),
      () => 0.2,
    );
    await expectGradientOf(
      perturbed({ name: 'r3f', noise: 'normal', epsilon: 0.2, weight: 2 }),
      (given) => lossAt(given, still) + 2 * divergence(logsAt(given, still), logsAt(given, delta)),
    );
  });

  it('SMART: the loss, how far the worst noise moves the answers, and how far they are from the average’s', async () => {
    const s = stream('smart');
    const start = drawn(
      () => s.normal(),
      () => 0.02,
    );
    const clean = logsAt(weights, still);
    const ascent = graphOf(trainGraph, { delta: true, consistency: true });
    const g = output(ascent['grad.delta'], {
      ...weights,
      delta: start,
      answer_weight: new Float64Array(8),
      reference: clean,
      consistency_weight: [1, 1, 1, 1, 1, 1, 0, 0].map((w) => w / 6),
    });
    const delta = start.map((x, i) => {
      const token = Math.floor(i / width) * width;
      const top = Math.max(...Array.from(g.subarray(token, token + width), Math.abs));
      const moved = x + (0.1 * g[i]) / (top + 1e-6);
      return top === 0 ? 0 : Math.min(0.08, Math.max(-0.08, moved));
    });
    const averaged = Object.fromEntries(
      Object.entries(weights).map(([name, w]) => [name, name.includes('lora') ? w.map((x) => 0.9 * x) : w]),
    );
    const average = logsAt(averaged, still);
    const smart = { name: 'smart', weight: 3, stepSize: 0.1, noise: 0.02, maxNorm: 0.08, proximal: 0.5 };
    await expectGradientOf(
      spec({ ema: 0.99, regularisation: { perturbation: smart } }),
      (given) =>
        lossAt(given, still) +
        3 * divergence(logsAt(given, still), logsAt(given, delta)) +
        0.5 * divergence(logsAt(given, still), average),
    );
  });

  it('R-Drop: the mean of two losses with other dropout, and how far they are apart', async () => {
    const options = { hiddenDropout: 0.3, loraDropout: 0.2 };
    const graph = graphOf(trainGraph, options);
    const reference = graphOf(referenceGraph as typeof trainGraph, options);
    const names = new Map<string, number>();
    const visit = (value: Value, seen: Set<Value>) => {
      if (seen.has(value)) return;
      seen.add(value);
      if (value.name?.startsWith('mask.')) names.set(value.name, sizeOf(value.shape));
      for (const x of value.inputs) visit(x, seen);
    };
    visit(graph['loss'], new Set());
    expect(names.size).toBe(9);
    const masks = (draw: number): Feeds =>
      Object.fromEntries(
        [...names].map(([name, length]) => {
          const own = Rng.of(seed, 'mask', place.step, place.micro).child(name, draw);
          return [name, Stream.of(own).kept(new Uint8Array(length), name.includes('hidden') ? 0.3 : 0.2)];
        }),
      );
    const [first, second] = [masks(0), masks(1)];
    expect(first).not.toEqual(second);
    const logs = (given: Feeds) => output(reference['log_probabilities'], given);
    await expectGradientOf(
      perturbed({ name: 'rdrop', weight: 3 }, { dropout: { hidden: 0.3, lora: 0.2 } }),
      (given) =>
        (output(graph['loss'], { ...given, ...first })[0] +
          output(graph['loss'], { ...given, ...second })[0]) /
          2 +
        (3 / 2) * divergence(logs({ ...given, ...first }), logs({ ...given, ...second })),
    );
  });

  it('mixup: two answers for each mixed row', async () => {
    const mix = drawMix(batch, 0.5, Rng.of(seed, 'mixup', place.step, place.micro));
    // One cycle through all rows, aligned where the answers begin.
    expect([...mix.partner].sort()).toEqual([0, 1, 2]);
    expect(mix.partner.every((partner, r) => partner !== r)).toBe(true);
    const mixed = Object.fromEntries(
      Object.entries(mixedFeeds(batch, feedsOf(batch), mix)).map(([name, { data }]) => [
        name,
        Array.from(data as ArrayLike<number | bigint>, Number),
      ]),
    );
    batch.rows.forEach(({ answerStart }, r) => {
      const other = batch.rows[mix.partner[r]];
      expect(mixed['mix_index'][batch.starts[r] + answerStart]).toBe(
        batch.starts[mix.partner[r]] + other.answerStart,
      );
      expect(mixed['mix_target'].slice(2 * r, 2 * r + 2)).toEqual([...other.tokens.subarray(-2)]);
    });
    await expectGradientOf(
      perturbed({ name: 'mixup', alpha: 0.5 }),
      (given) => output(graphOf(trainGraph, { mixup: true })['loss'], { ...given, ...mixed })[0],
    );
  });
});
