/** Reports beside the training loop, which never waits for them, and what comes back: directives, and the loss of the trial. */
import { type Clock, policyOf } from '@emotune/base';
import { tuning } from '@emotune/proto';
import type { Draft } from '@emotune/service/client';
import type { Directive, Measurement } from '@emotune/training';

export interface HeartbeatOptions {
  readonly send: (
    measurements: readonly Draft<tuning.Measurement>[],
    checkpoint: string,
    folds: readonly tuning.FoldResult[],
  ) => Promise<tuning.HeartbeatResponse>;
  readonly leaseSeconds: number;
  readonly clock: Clock;
  /** The trial belongs to somebody else, or to nobody: end at once. */
  readonly onLost: (error: Error) => void;
  /** No heartbeat came through for as long as the lease lasts. */
  readonly onUnreachable: (error: Error) => void;
}

/** A measurement; with `fold`, from 0, its counts are of all folds so far and its objectives of that fold. */
export type Observed = Measurement & { readonly fold?: number };

/** Between two heartbeats, unless the answer says otherwise; a validation is reported at once. */
const everyMs = 1000;
const firstRetryMs = 250;

function valuesOf(kind: string, byTask: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(byTask).map(([task, value]) => [`${kind}/${task}`, value]));
}

/** What happened between two reports, as one message. Losses are averaged over the steps. */
function summary(steps: readonly Observed[], before: Measurement | undefined): Draft<tuning.Measurement> {
  const last = steps[steps.length - 1];
  const { objective, objectives = {}, forgetting, fold } = last;
  const tokens = last.tokens - (before?.tokens ?? 0);
  const seconds = last.seconds - (before?.seconds ?? 0);
  return {
    step: last.step,
    tokens: last.tokens,
    examples: last.examples,
    elapsedSeconds: last.seconds,
    trainLoss: steps.reduce((n, { trainLoss }) => n + trainLoss, 0) / steps.length,
    ...(objective === undefined ? {} : { objective }),
    ...(fold === undefined ? {} : { fold }),
    stage: last.stage,
    learningRate: last.learningRate,
    tokensPerSecond: seconds > 0 ? tokens / seconds : 0,
    values: {
      ...valuesOf('objective', objectives),
      ...(forgetting
        ? {
            'forgetting/average': forgetting.average,
            'forgetting/backward-transfer': forgetting.backwardTransfer,
            'forgetting/maximum': forgetting.maximum,
            ...valuesOf('forgetting', forgetting.tasks),
          }
        : {}),
    },
  };
}

export class Heartbeats {
  private steps: Observed[] = [];
  private reported: Measurement | undefined;
  private unsent: Draft<tuning.Measurement>[] = [];
  private directive: Directive = 'continue';
  private checkpoint = '';
  private wake = () => {};
  /** Folds that have ended, those of earlier attempts included. */
  private folds: readonly tuning.FoldResult[] = [];
  /** Resolve those who wait until everything so far was heard. */
  private settled: (() => void)[] = [];
  private closed = false;
  private ended = false;
  private running: Promise<void> = Promise.resolve();

  constructor(private readonly options: HeartbeatOptions) {}

  start(): void {
    this.running = this.run().finally(() => {
      this.ended = true;
      for (const settled of this.settled) settled();
    });
  }

  /** Takes note of a step; the newest directive. */
  observe(measurement: Observed): Directive {
    this.steps.push(measurement);
    if (measurement.objective !== undefined) {
      this.summarise();
      this.wake();
    }
    const { directive } = this;
    if (directive === 'checkpoint') this.directive = 'continue';
    return directive;
  }

  /** Where the newest checkpoint lies. */
  checkpointed(place: string): void {
    this.checkpoint = place;
  }

  /**
   * Tells of all folds that have ended and waits until that was heard, `signal` aborts, or nobody will hear it; the newest
   * directive then.
   */
  async foldsEnded(folds: readonly tuning.FoldResult[], signal: AbortSignal): Promise<Directive> {
    this.folds = folds;
    if (!this.ended && !signal.aborted)
      await new Promise<void>((resolve) => {
        const over = () => {
          signal.removeEventListener('abort', over);
          resolve();
        };
        signal.addEventListener('abort', over);
        this.settled.push(over);
        this.wake();
      });
    return this.directive;
  }

  private summarise(): void {
    if (this.steps.length === 0) return;
    this.unsent.push(summary(this.steps, this.reported));
    this.reported = this.steps[this.steps.length - 1];
    this.steps = [];
  }

  /** What has not been reported. */
  take(): Draft<tuning.Measurement>[] {
    this.summarise();
    return this.unsent.splice(0);
  }

  /** Waits for the heartbeat under way; none follows by itself. */
  async close(): Promise<void> {
    this.closed = true;
    this.wake();
    await this.running;
  }

  /** Tells once more, of all that nobody has heard: the next attempt goes on after it. @throws when it is not heard */
  async tellLast(): Promise<void> {
    await this.options.send(this.take(), this.checkpoint, this.folds);
  }

  private async run(): Promise<void> {
    const { send, clock, leaseSeconds, onLost, onUnreachable } = this.options;
    let heardAt = clock.now();
    let retryMs = firstRetryMs;
    while (!this.closed) {
      const measurements = this.take();
      const settled = this.settled.splice(0);
      let pauseMs = everyMs;
      try {
        const { directive, everySeconds } = await send(measurements, this.checkpoint, this.folds);
        if (everySeconds > 0) pauseMs = Math.min(1000 * everySeconds, (1000 * leaseSeconds) / 3);
        if (directive === tuning.Directive.DIRECTIVE_STOP) this.directive = 'stop';
        if (directive === tuning.Directive.DIRECTIVE_CHECKPOINT && this.directive !== 'stop')
          this.directive = 'checkpoint';
        heardAt = clock.now();
        retryMs = firstRetryMs;
        for (const heard of settled) heard();
        if (this.settled.length > 0) continue;
      } catch (error) {
        this.unsent.unshift(...measurements);
        this.settled.unshift(...settled);
        if (policyOf(error).final) {
          this.directive = 'stop';
          return onLost(error as Error);
        }
        if (clock.now() - heardAt >= leaseSeconds * 1000) return onUnreachable(error as Error);
        pauseMs = retryMs;
        retryMs = Math.min(2 * retryMs, 2 * everyMs);
      }
      if (!this.closed) await this.pause(pauseMs);
    }
  }

  private async pause(ms: number): Promise<void> {
    const over = new AbortController();
    const woken = new Promise<void>((resolve) => {
      this.wake = resolve;
    });
    await Promise.race([woken, this.options.clock.sleep(ms, over.signal).catch(() => {})]);
    over.abort();
  }
}
