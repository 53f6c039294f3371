/** How every benchmark measures: something uncounted first, then several repetitions, of which the median counts. */
import { setImmediate } from 'node:timers/promises';

const repetitions = 5;

/** The value that a share of `values` does not exceed, by linear interpolation; `values` not empty, `share` on 0..1. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const low = sorted[Math.floor(at)];
  return low + (at - Math.floor(at)) * (sorted[Math.ceil(at)] - low);
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

export async function secondsOf(work: () => unknown): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}

/** Lets signals and other work in between. @throws the signal's reason when it has aborted. */
export async function pause(signal: AbortSignal): Promise<void> {
  await setImmediate();
  signal.throwIfAborted();
}

/** Median of the seconds that `work` takes. The first call is not counted. */
export async function medianSeconds(work: () => unknown, signal: AbortSignal): Promise<number> {
  const seconds: number[] = [];
  for (let i = 0; i <= repetitions; i++) {
    await pause(signal);
    seconds.push(await secondsOf(work));
  }
  return median(seconds.slice(1));
}
