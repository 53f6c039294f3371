/** The background loop of a service: takes up what its tables say is to be done, now and after a restart. */
import { type Clock, Rest } from '@emotune/base';
import type { Log } from './log.js';
import { Outages } from './outages.js';

export interface WorkerOptions {
  readonly name: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Looks again after this time even if nobody woke it. */
  readonly everyMs: number;
}

export class Worker {
  private readonly abort = new AbortController();
  private running: Promise<void> | undefined;
  private readonly rest: Rest;

  /** @param work One round; true when it did something, so that another round may find more. */
  constructor(
    private readonly work: (signal: AbortSignal) => Promise<boolean>,
    private readonly options: WorkerOptions,
  ) {
    this.rest = new Rest(options.clock);
  }

  start(): void {
    this.running ??= this.loop();
  }

  /** Looks for work soon. */
  wake(): void {
    this.rest.wake();
  }

  private async loop(): Promise<void> {
    const { name, log, everyMs } = this.options;
    const { signal } = this.abort;
    const outages = new Outages(log);
    while (!signal.aborted) {
      let busy = false;
      try {
        busy = await this.work(signal);
        outages.over(name);
      } catch (error) {
        if (!signal.aborted) outages.failed(name, error);
      }
      if (!busy) await this.rest.take(everyMs, signal);
    }
  }

  /** Ends the loop; the round that runs sees its signal abort. */
  async close(): Promise<void> {
    this.abort.abort();
    await this.running;
  }
}
