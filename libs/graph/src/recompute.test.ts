import { Rng } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import { gradients } from './autodiff.js';
import * as b from './build.js';
import { evaluate } from './evaluate.js';
import { sizeOf, type Value } from './ir.js';
import type { Recompute } from './recompute.js';
import { bytesOf, executionOrder, listed, liveness } from './schedule.js';

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
  return liveness(executionOrder(listed(outputs)), outputs).peak;
}

/** How often each op of the forward pass runs. */
function count(outputs: readonly Value[], op: string): number {
  return executionOrder(listed(outputs)).filter((value) => value.op === op).length;
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
