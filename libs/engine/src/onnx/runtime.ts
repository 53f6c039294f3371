/**
 * What both kinds of threads do with ONNX Runtime alike. Node runs them from their sources too: only erasable TypeScript, and
 * imports that name the file as it is. Nothing else imports the runtime.
 */
import * as ort from 'onnxruntime-node';
import type { HostTensor } from '../tensor.js';
import { mustBeSilent } from './silence.ts';

mustBeSilent();

export { ort };

/** Options of every session. Node order is chosen for memory, and weights are used in both orientations: no rewriting. */
export const sessionOptions = {
  executionProviders: ['cpu'],
  interOpNumThreads: 1,
  executionMode: 'sequential',
  graphOptimizationLevel: 'basic',
  // A planned block of all activations would lie beside what the arena kept from the first, unplanned run.
  enableMemPattern: false,
  logSeverityLevel: 3,
} satisfies ort.InferenceSession.SessionOptions;

export function toOrt({ dtype, shape, data }: HostTensor): ort.Tensor {
  return new ort.Tensor(dtype, data as never, [...shape]);
}

/** Gives memory back now: what waits for the garbage collector is memory that the next run's results need besides. */
export function free(tensor: ort.Tensor | undefined): void {
  type Movable = ArrayBufferLike & { transfer?(length: number): ArrayBuffer };
  ((tensor?.data as Float32Array | undefined)?.buffer as Movable | undefined)?.transfer?.(0);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
