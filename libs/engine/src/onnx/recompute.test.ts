/** What recomputation saves shows in the order in which the runtime computes. */
import { Rng } from '@emotune/base';
import {
  build as b,
  bytesOf,
  evaluate,
  gradients,
  listed,
  type Recompute,
  sizeOf,
  type Value,
} from '@emotune/graph';
import { describe, expect, it } from 'vitest';
import { executionOrder, liveness } from './schedule.js';

const width = 4;
const rows = 8;
/** Values of [rows, width] that the gradient of a block reads: its input and those between its ops. */
const depth = 6;

/** `blocks` blocks of `depth` layers x + tanh(x·W), the gradient of every W, bottom first. */
function stack(blocks: number, recompute: Recompute): Value[] {
  const weights: Value[] = [];
  let x = b.input('x', 'float32', [rows, width]);
  for (let block = 0; block < blocks; block++) {
    x = b.boundary(x);
    for (let layer = 0; layer < depth; layer++) {
      const w = b.input(`w${block}.${layer}`, 'float32', [width, width]);
      weights.push(w);
      x = b.add(x, b.tanh(b.matmul(x, w)));
    }
  }
  const loss = b.reshape(b.reduceSum(b.mul(x, x), [0, 1]), []);
  return [loss, ...gradients(loss, weights, { recompute })];
}

function feedsOf(outputs: readonly Value[]): Record<string, number[]> {
  const feeds: Record<string, number[]> = {};
  for (const value of listed(outputs)) {
    if (value.op !== 'Input') continue;
    const rng = Rng.of('recompute', value.name!);
    feeds[value.name!] = Array.from({ length: sizeOf(value.shape) }, () => rng.uniform() - 0.5);
  }
  return feeds;
}

function peakOf(outputs: readonly Value[]): number {
  return liveness(executionOrder(outputs), outputs).peak;
}

/** How often each op of the forward pass runs. */
function count(outputs: readonly Value[], op: string): number {
  return executionOrder(outputs).filter((value) => value.op === op).length;
}

describe('recomputation', () => {
  it.each(['blocks', 'full'] as const)('%s changes no gradient, bit for bit', (mode) => {
    const kept = stack(7, 'none');
    const again = stack(7, mode);
    const feeds = feedsOf(kept);
    expect(evaluate(again, feeds)).toEqual(evaluate(kept, feeds));
  });

  it('computes every block but the last once more, or twice', () => {
    const blocks = 9;
    const forward = blocks * depth;
    expect(count(stack(blocks, 'none'), 'Tanh')).toBe(forward);
    expect(count(stack(blocks, 'blocks'), 'Tanh')).toBe(forward + (blocks - 1) * depth);
    // Three groups of three blocks: the inputs of the second and third come from a pass of their own, but for the last.
    expect(count(stack(blocks, 'full'), 'Tanh')).toBe(forward + (blocks - 1) * depth + (3 * 2 - 1) * depth);
  });

  it('keeps what the order says: all blocks, their inputs and one block, or √n of both', () => {
    const blocks = 16;
    const activation = bytesOf({ dtype: 'float32', shape: [rows, width] });
    const weightGradients = blocks * depth * bytesOf({ dtype: 'float32', shape: [width, width] });
    // A layer keeps its input and its tanh; a few more values are under way.
    expect(peakOf(stack(blocks, 'none'))).toBeGreaterThan(blocks * depth * 2 * activation);
    expect(peakOf(stack(blocks, 'blocks'))).toBeLessThan(
      weightGradients + (blocks + depth * 2 + 6) * activation,
    );
    expect(peakOf(stack(blocks, 'full'))).toBeLessThan(
      weightGradients + (2 * Math.sqrt(blocks) + depth * 2 + 6) * activation,
    );
  });
});

/** Values of a gated layer between its two halves, in widths of its input. */
const wide = 3;

/** Layers x + (silu(n·W₁) ⊙ n·W₂)·W₃ with n the normed x, the gradient of every weight, bottom first. */
function gated(layers: number, recompute: Recompute): Value[] {
  const weights: Value[] = [];
  let x = b.input('x', 'float32', [rows, width]);
  for (let layer = 0; layer < layers; layer++) {
    const weight = (name: string, shape: readonly number[]) => {
      weights.push(b.input(`${name}${layer}`, 'float32', shape));
      return weights[weights.length - 1];
    };
    const n = b.rmsNorm(x, weight('norm', [width]), 1e-5);
    const gate = b.matmul(n, weight('gate', [width, wide * width]));
    const up = b.matmul(n, weight('up', [width, wide * width]));
    x = b.add(x, b.matmul(b.mul(b.silu(gate), up), weight('down', [wide * width, width])));
  }
  const loss = b.reshape(b.reduceSum(b.mul(x, x), [0, 1]), []);
  return [loss, ...gradients(loss, weights, { recompute })];
}

describe('selective recomputation', () => {
  it('gives the same gradients, to the bit', () => {
    const [kept, again] = (['none', 'selective'] as const).map((mode) => gated(5, mode));
    const feeds = feedsOf(kept);
    expect(evaluate(again, feeds)).toEqual(evaluate(kept, feeds));
  });

  it('computes what is cheap once more, and no product', () => {
    const layers = 5;
    const counts = (mode: Recompute) => {
      const outputs = gated(layers, mode);
      return ['MatMul', 'RmsNorm', 'Silu', 'After'].map((op) => count(outputs, op));
    };
    const products = 9 * layers;
    expect(counts('none')).toEqual([products, layers, layers, 0]);
    // The norm and the gate hang on a gradient; what follows from the gate hangs on the gate.
    expect(counts('selective')).toEqual([products, 2 * layers, 2 * layers, 2 * layers]);
  });

  it('keeps the input of a layer and of its gate, and not the norm, the gate and its product', () => {
    const layers = 16;
    const activation = bytesOf({ dtype: 'float32', shape: [rows, width] });
    const weightGradients = layers * bytesOf({ dtype: 'float32', shape: [width + 3 * wide * width ** 2] });
    expect(peakOf(gated(layers, 'none'))).toBeGreaterThan(layers * (2 + 4 * wide) * activation);
    expect(peakOf(gated(layers, 'selective'))).toBeLessThan(
      weightGradients + (layers * (1 + 2 * wide) + 6 * wide) * activation,
    );
  });

  it('keeps a cheap value whose own input nothing else needs', () => {
    const w = b.input('w', 'float32', [width, width]);
    const v = b.input('v', 'float32', [width, width]);
    const y = b.matmul(b.relu(b.matmul(b.input('x', 'float32', [rows, width]), w)), v);
    const loss = b.reshape(b.reduceSum(b.mul(y, y), [0, 1]), []);
    const outputs = [loss, ...gradients(loss, [w, v], { recompute: 'selective' })];
    expect(count(outputs, 'Relu')).toBe(1);
  });
});
