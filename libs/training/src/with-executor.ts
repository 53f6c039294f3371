import { createExecutor, type Device, type Executor } from '@emotune/engine';
import type { TrainSpec } from './spec.js';

/**
 * Gives a run an executor on its device, as training wants it, and closes it when `work` has ended. `profile`: a folder for
 * timings of every node of the graphs, see the executor's option; `onDevice` hears what was chosen.
 * @throws FailedPrecondition where the device is not there.
 */
export async function withExecutor<T>(
  {
    device = 'auto',
    threads,
    profile,
    onDevice,
  }: Pick<TrainSpec, 'threads'> & {
    readonly device?: Device | undefined;
    readonly profile?: string | undefined;
    readonly onDevice?: ((device: string) => void) | undefined;
  },
  work: (executor: Executor) => Promise<T>,
): Promise<T> {
  const chosen = await createExecutor({ device, threads, spin: true, profile });
  onDevice?.(chosen.device);
  try {
    return await work(chosen.executor);
  } finally {
    await chosen.executor.close();
  }
}
