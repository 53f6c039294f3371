/** Callers that each send a request, wait for its answer, and send the next. */
import { setTimeout as delay } from 'node:timers/promises';
import { pause, quantile } from './timing.js';

export interface LoopFigures {
  readonly callers: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  /** Calls that were refused, for good or for the moment. */
  readonly refused: number;
}

export interface ClosedLoop {
  readonly callers: number;
  /** That are measured, after half as many that are not; up to four times as long until there are as many answers as callers. */
  readonly seconds: number;
  readonly signal: AbortSignal;
}

/** @param call of a caller, its how-manieth */
export async function closedLoop(
  call: (caller: number, n: number) => Promise<unknown>,
  { callers, seconds, signal }: ClosedLoop,
): Promise<LoopFigures> {
  const latencies: number[] = [];
  let [refused, answered, counting, over] = [0, 0, false, false];
  const run = async (caller: number) => {
    for (let n = 0; !over; n++) {
      const began = performance.now();
      const fine = await call(caller, n).then(
        () => true,
        () => false,
      );
      answered++;
      if (!counting) continue;
      if (fine) latencies.push(performance.now() - began);
      else refused++;
    }
  };
  const running = Promise.all(Array.from({ length: callers }, (_, caller) => run(caller)));
  const passed = async (ms: number) => {
    const began = performance.now();
    const elapsed = () => performance.now() - began;
    while (elapsed() < ms || (answered < callers && elapsed() < 4 * ms)) {
      await pause(signal);
      await delay(5);
    }
    return elapsed() / 1000;
  };
  try {
    await passed(500 * seconds);
    [counting, answered] = [true, 0];
    const elapsed = await passed(1000 * seconds);
    counting = false;
    const of = latencies.length > 0 ? latencies : [Number.NaN];
    return {
      callers,
      perSecond: latencies.length / elapsed,
      p50Ms: quantile(of, 0.5),
      p95Ms: quantile(of, 0.95),
      p99Ms: quantile(of, 0.99),
      refused,
    };
  } finally {
    over = true;
    await running;
  }
}
