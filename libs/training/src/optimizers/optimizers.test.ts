/** Each optimizer's updates on a matrix and a vector, against its reference implementation. */
import { parse } from '@emotune/base';
import { type Executor, float32, OnnxExecutor } from '@emotune/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Sessions } from '../sessions.js';
import { trainSpec } from '../spec.js';
import { Update } from './update.js';
import { clipFactor } from './update-graph.js';

const parameters = [
  { name: 'w', shape: [2, 3] },
  { name: 'b', shape: [2] },
];
const weights = { w: [0.5, -1, 0.25, 2, 0.125, -0.75], b: [1, -0.5] };
const gradients = (t: number) => ({
  w: Array.from({ length: 6 }, (_, i) => Math.sin(1 + i + t)),
  b: Array.from({ length: 2 }, (_, i) => Math.cos(t + i)),
});
const rate = 0.01;
const optimizer = (more: object) => parse(trainSpec.shape.optimizer, { learningRate: rate, ...more });

let executor: Executor;
beforeAll(() => {
  executor = OnnxExecutor.create();
});
afterAll(() => executor.close());

async function put(values: Readonly<Record<string, readonly number[]>>, prefix = ''): Promise<void> {
  for (const { name, shape } of parameters)
    await executor.put(prefix + name, float32(shape, values[name] as number[]));
}
const get = async (name: string) => Array.from((await executor.get(name)).data as Float32Array);

/** Three unclipped updates, norms and biases decayed as PyTorch does. */
async function threeSteps(more: object): Promise<Record<string, number[]>> {
  const sessions = new Sessions(executor);
  const unclipped = Number.MAX_VALUE;
  const spec = { optimizer: optimizer({ ...more, clipNorm: unclipped }) };
  const update = new Update(sessions, parameters, spec, { decayVectors: true });
  await put(weights);
  await update.begin(undefined);
  for (let t = 0; t < 3; t++) {
    await put(gradients(t), 'grad.');
    await update.apply({ update: t + 1, rate, norm: await update.norm(), scale: 1 });
  }
  await sessions.release();
  return { w: await get('w'), b: await get('b') };
}

function close(got: readonly number[], want: readonly number[]): void {
  // float32 on both sides, weights up to 2: a few roundings of 1e-7.
  got.forEach((x, i) => {
    expect(Math.abs(x - want[i])).toBeLessThan(1e-6);
  });
}

describe('three updates', () => {
  // torch 2.15.0 (AdamW) and transformers 5.23.0 (Adafactor with relative_step=False), printed to seven places.
  it.each([
    [
      { name: 'adamw', beta1: 0.9, beta2: 0.95, weightDecay: 0.1 },
      [0.4700186, -1.0154082, 0.2530942, 2.0229676, 0.1452058, -0.7489457],
      [0.9728181, -0.5043806],
    ],
    [
      { name: 'adafactor', weightDecay: 0.1 },
      [0.4755844, -0.9975989, 0.269135, 2.0183511, 0.1293642, -0.7600157],
      [0.986097, -0.4869244],
    ],
    [
      { name: 'adafactor', weightDecay: 0.1, scaleParameter: true },
      [0.475779, -0.9975526, 0.2690476, 2.0182064, 0.1292735, -0.7600081],
      [0.9889804, -0.4898181],
    ],
    [
      { name: 'adafactor', clipThreshold: 0.5, weightDecay: 0 },
      [0.4883924, -1.0002275, 0.2602077, 2.0123451, 0.1273381, -0.7563729],
      [0.9936327, -0.4930871],
    ],
  ])('of %j are those of the reference', async (more, w, b) => {
    const got = await threeSteps(more);
    close(got['w'], w);
    close(got['b'], b);
  });

  it('of lion are those of the paper’s algorithm 2 in float64', async () => {
    const [beta1, beta2, decay] = [0.8, 0.95, 0.1];
    const got = await threeSteps({ name: 'lion', beta1, beta2, weightDecay: decay });
    for (const name of ['w', 'b'] as const) {
      const want = [...weights[name]];
      const m = want.map(() => 0);
      for (let t = 0; t < 3; t++)
        gradients(t)[name].forEach((g, i) => {
          want[i] -= rate * (Math.sign(beta1 * m[i] + (1 - beta1) * g) + decay * want[i]);
          m[i] = beta2 * m[i] + (1 - beta2) * g;
        });
      close(got[name], want);
    }
  });
});

describe('Update', () => {
  const spec = {
    optimizer: optimizer({ name: 'lion', beta1: 0, clipNorm: 1, weightDecay: 0.5 }),
    ema: 0.75,
  };

  it('clips by the norm over all weights, decays matrices alone, averages, and knows single weights’ rates', async () => {
    const update = new Update(new Sessions(executor), parameters, spec, {
      rateScale: (name) => (name === 'b' ? 4 : 1),
    });
    await put(weights);
    await update.begin(undefined);
    await put({ w: [3, 0, 0, 0, 0, 0], b: [0, -4] }, 'grad.');
    expect(await update.norm()).toBeCloseTo(5, 6);
    // Twice what it is: a loss scale.
    await update.apply({ update: 1, rate, norm: 5, scale: 2 });
    // β₂ = 0.99 of nothing and 0.01 of the gradient, unscaled and clipped to 1.
    close(await get('m.b'), [0, -0.01 * 4 * clipFactor(2.5, 1) * 0.5]);
    const first = [0.5 - rate * 1.25, -1 + rate * 0.5];
    close((await get('w')).slice(0, 2), first);
    close(await get('b'), [1, -0.5 + 4 * rate]);
    expect(await get('ema.w')).toEqual(await get('w'));
    await update.apply({ update: 2, rate, norm: 5, scale: 2 });
    const second = first[0] - rate * (1 + 0.5 * first[0]);
    close((await get('ema.w')).slice(0, 1), [0.75 * first[0] + 0.25 * second]);
  });
});
