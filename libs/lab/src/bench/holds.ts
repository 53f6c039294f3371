/** How long an event loop is held at a stretch, by the processor's time of its thread: what other processes take meanwhile does not count. */
import { createHistogram } from 'node:perf_hooks';

export interface Holds {
  readonly p99Ms: number;
  readonly longestMs: number;
}

/** What is done in so many milliseconds counts as one. */
const resolutionMs = 5;

/** Watches this thread. @returns what gives its holds since it was asked last */
export function watchHolds(): () => Holds {
  const microseconds = createHistogram();
  let before = process.threadCpuUsage();
  setInterval(() => {
    const { user, system } = process.threadCpuUsage(before);
    microseconds.record(Math.max(1, user + system));
    before = process.threadCpuUsage();
  }, resolutionMs).unref();
  return () => {
    const holds = { p99Ms: microseconds.percentile(99) / 1000, longestMs: microseconds.max / 1000 };
    microseconds.reset();
    return holds;
  };
}
