/** What graphs take of memory on ONNX Runtime, by following them in the order in which it computes them. Pure. */
import { bytesOf } from '@emotune/graph';
import type { ExecutorMemory, GraphMemory, Outputs } from '../executor.js';
import { arenaBytes, executionOrder, liveness } from './schedule.js';

/** Node.js with this program and ONNX Runtime, bytes; for each thread that sweeps; and for each node of a compiled graph. */
const processBytes = 178 * 2 ** 20;
const sweeperBytes = 13 * 2 ** 20;
const bytesPerNode = 28 * 2 ** 10;

/** Elements of a sweep's piece: what is computed from them stays in a processor's cache. */
export const piece = 2 ** 15;

/** Threads that sweep, beside those of ONNX Runtime. Many more would wait for the memory together. */
export function sweepersOf(threads: number): number {
  return Math.min(threads, 8);
}

function followed(outputs: Outputs): GraphMemory {
  const values = Object.values(outputs);
  const order = executionOrder(values);
  const { peak } = liveness(order, values);
  return {
    compiled: bytesPerNode * order.length,
    running: peak,
    // Every output is handed over as a copy.
    replacing: Math.max(peak, 2 * values.reduce((sum, value) => sum + bytesOf(value), 0)),
    kept: arenaBytes(order, values),
  };
}

/** The memory of an executor with so many threads. */
export function onnxMemory(threads: number, pieceElements = piece): ExecutorMemory {
  return {
    base: processBytes + sweeperBytes * sweepersOf(threads),
    of: followed,
    ofSweep: (graph, elements) => followed(graph(Math.min(pieceElements, elements))),
  };
}
