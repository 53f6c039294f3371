import { FailedPrecondition, policyOf, systemClock } from '@emotune/base';
import { SchemaBehind } from '@emotune/database';
import type { Log } from './log.js';

const firstPauseMs = 250;
const longestPauseMs = 10_000;
/** Who migrates may have to wait for the database itself, and for large tables. */
const schemaPatienceMs = 30 * 60_000;
/** Whoever waits for a schema is to serve soon after. */
const schemaPauseMs = 1_000;

interface Patience {
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Without, for as long as it takes. */
  readonly limitMs?: number;
}

/**
 * Tries again, with growing pauses, while what it needs is away, or others have still to migrate its schema.
 * @throws FailedPrecondition when they have not for half an hour; what came last when it was away for `limitMs`
 */
export async function patiently<T>(
  what: string,
  attempt: () => Promise<T>,
  { log, signal, limitMs = Number.POSITIVE_INFINITY }: Patience,
): Promise<T> {
  const began = systemClock.now();
  let behindSince: number | undefined;
  let told = '';
  for (let pauseMs = firstPauseMs; ; ) {
    signal.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      if (!policyOf(error).retryable) throw error;
      const reason = (error as Error).message;
      const now = systemClock.now();
      const isBehind = error instanceof SchemaBehind;
      behindSince = isBehind ? (behindSince ?? now) : undefined;
      if (behindSince !== undefined && now - behindSince > schemaPatienceMs)
        throw new FailedPrecondition(`${reason}, which did not happen for 30 minutes`, { cause: error });
      if (now - began > limitMs) throw error;
      if (reason !== told) log.warn(`waiting for ${what}`, { reason });
      told = reason;
      pauseMs = Math.min(2 * pauseMs, isBehind ? schemaPauseMs : longestPauseMs);
    }
    await systemClock.sleep(pauseMs, signal);
  }
}
