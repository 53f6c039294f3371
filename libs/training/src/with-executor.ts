import { type Executor, OnnxExecutor } from '@emotune/engine';
import type { TrainSpec } from './spec.js';

/**
 * Gives a run an executor as training wants it, and closes it when `work` has ended. `profile`: a folder for timings of
 * every node of the graphs, see the executor's option.
 */
export async function withExecutor<T>(
  { threads, profile }: Pick<TrainSpec, 'threads'> & { readonly profile?: string | undefined },
  work: (executor: Executor) => Promise<T>,
): Promise<T> {
  const executor = OnnxExecutor.create({ threads, spin: true, profile });
  try {
    return await work(executor);
  } finally {
    await executor.close();
  }
}
