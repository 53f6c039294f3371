import { type Executor, float32 } from '@emotune/engine';
import { sizeOf } from '@emotune/graph';
import { type Parameter, slotNames } from '@emotune/models';
import type { Exchange } from './exchange.js';

/** Elements that are summed in one go, at least: the next are read from the executor meanwhile. */
export const bucketElements = 2 ** 22;

/** Neighbours together. */
function buckets(parameters: readonly Parameter[]): Parameter[][] {
  const made: Parameter[][] = [];
  let elements = bucketElements;
  for (const parameter of parameters) {
    if (elements >= bucketElements) {
      made.push([]);
      elements = 0;
    }
    made[made.length - 1].push(parameter);
    elements += sizeOf(parameter.shape);
  }
  return made;
}

async function read(executor: Executor, bucket: readonly Parameter[]): Promise<Float32Array> {
  const joined = new Float32Array(bucket.reduce((n, { shape }) => n + sizeOf(shape), 0));
  let at = 0;
  for (const { name, shape } of bucket) {
    joined.set((await executor.get(slotNames.gradient(name))).data as Float32Array, at);
    at += sizeOf(shape);
  }
  return joined;
}

/** The gradients in the slots become the sums of all ranks'. @throws LostRank */
export async function sumGradients(
  executor: Executor,
  parameters: readonly Parameter[],
  exchange: Exchange,
  { swept }: { swept: boolean },
): Promise<void> {
  const all = buckets(parameters);
  let coming = read(executor, all[0]);
  for (const [i, bucket] of all.entries()) {
    const joined = await coming;
    if (i + 1 < all.length) coming = read(executor, all[i + 1]);
    await exchange.sum(joined);
    let at = 0;
    for (const { name, shape } of bucket) {
      const end = at + sizeOf(shape);
      const sum = float32(shape, joined.slice(at, end));
      await executor.put(slotNames.gradient(name), sum, { move: true, swept });
      at = end;
    }
  }
}
