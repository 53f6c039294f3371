/** What graphs take of memory on TensorFlow.js, by following them in the order in which it computes them. Pure. */
import { isLeaf, listed, sizeOf, traitsOf, type Value } from '@emotune/graph';
import type { ExecutorMemory, GraphMemory, Outputs } from '../executor.js';
import { readBy } from './reads.js';

/** Node.js with this program and the native library, bytes. */
const processBytes = 330 * 2 ** 20;

/** Of an element, whatever its type. */
const bytes = ({ shape }: Value) => 4 * sizeOf(shape);

/** The most bytes of values that live at once, with those of the op under way. */
function peakOf(outputs: readonly Value[]): number {
  const order = listed(outputs).filter((value) => !isLeaf(value));
  const lastRead = new Map<Value, number>();
  for (const [at, value] of order.entries()) for (const read of readBy(value)) lastRead.set(read, at);
  const counted = (value: Value) => !isLeaf(value) && !traitsOf(value).view;
  const ending = order.map(() => 0);
  for (const [value, at] of lastRead)
    if (counted(value) && !outputs.includes(value)) ending[at] += bytes(value);
  let [living, peak] = [0, 0];
  for (const [at, value] of order.entries()) {
    if (counted(value)) living += bytes(value);
    // Ops of several steps have about as much again on the way.
    peak = Math.max(peak, living + bytes(value));
    living -= ending[at];
  }
  return peak;
}

function followed(outputs: Outputs): GraphMemory {
  const values = Object.values(outputs);
  const running = peakOf(values);
  // What replaces a slot is there before the slot is given back.
  const replacing = Math.max(running, 2 * values.reduce((sum, value) => sum + bytes(value), 0));
  return { compiled: 0, running, replacing, kept: 0 };
}

export const tfjsMemory: ExecutorMemory = {
  base: processBytes,
  of: followed,
  ofSweep: (graph, elements) => followed(graph(elements)),
};
