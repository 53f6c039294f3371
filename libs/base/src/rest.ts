/** How a loop rests between two rounds. */
import type { Clock } from './clock.js';

/** A rest that ends early when there is news. News that come while the loop works end the next rest at once. */
export class Rest {
  private woken = false;
  private nap: AbortController | undefined;

  constructor(private readonly clock: Clock) {}

  wake(): void {
    this.woken = true;
    this.nap?.abort();
  }

  /** Resolves after `ms` milliseconds, when it is woken, or when the signal aborts. */
  async take(ms: number, signal: AbortSignal): Promise<void> {
    if (!this.woken && !signal.aborted) {
      this.nap = new AbortController();
      await this.clock.sleep(ms, AbortSignal.any([this.nap.signal, signal])).catch(() => {});
      this.nap = undefined;
    }
    this.woken = false;
  }
}

/**
 * Calls `work` every `ms` milliseconds, one call after another, until what it returns is called, which waits for the
 * call that runs. `work` must not throw.
 */
export function every(ms: number, clock: Clock, work: () => Promise<void>): () => Promise<void> {
  const ending = new AbortController();
  const loop = async () => {
    for (;;) {
      await clock.sleep(ms, ending.signal).catch(() => {});
      if (ending.signal.aborted) return;
      await work();
    }
  };
  const ended = loop();
  return () => {
    ending.abort();
    return ended;
  };
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
