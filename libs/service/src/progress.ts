/** What services tell of the work that they do in the background. */
import { type Clock, policyOf } from '@emotune/base';
import type { common } from '@emotune/proto';
import type { Log } from './log.js';
import { Outages } from './outages.js';

/** Why something failed, in words for the user. */
export function failureText(error: unknown): string {
  const { message } = error as Error;
  return policyOf(error).tellsUser ? message : `internal error: ${message}`;
}

/** A phase's progress is stored at most this often: as a reader would notice. */
const storeMs = 250;
const storing = 'storing progress';

/** Stores progress in the order it comes. What cannot be stored is logged: the work itself goes on. */
export class ProgressRecorder {
  private phase = '';
  private next = Number.NEGATIVE_INFINITY;
  private stored: Promise<void> = Promise.resolve();
  private readonly outages: Outages;

  constructor(
    private readonly store: (progress: string) => Promise<unknown>,
    private readonly options: { readonly clock: Clock; readonly log: Log },
  ) {
    this.outages = new Outages(options.log);
  }

  /** Resolves when what was reported so far is stored. */
  report(progress: common.Progress): Promise<void> {
    const { clock } = this.options;
    if (progress.phase === this.phase && clock.now() < this.next) return this.stored;
    [this.phase, this.next] = [progress.phase, clock.now() + storeMs];
    this.stored = this.stored
      .then(() => this.store(JSON.stringify(progress)))
      .then(
        () => this.outages.over(storing),
        (error) => this.outages.failed(storing, error),
      );
    return this.stored;
  }

  /** Nothing that was reported is stored after this has resolved. */
  settled(): Promise<void> {
    return this.stored;
  }
}
