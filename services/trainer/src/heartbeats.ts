/** Reports beside the training loop, which never waits for them, and what comes back: directives, and the loss of the trial. */
import {
  Aborted,
  type Clock,
  FailedPrecondition,
  InvalidArgument,
  NotFound,
  PermissionDenied,
} from '@emotune/base';
import { tuning } from '@emotune/proto';
import type { Draft } from '@emotune/service/client';
import type { Directive, Measurement } from '@emotune/training';

export interface HeartbeatOptions {
  readonly send: (
    measurements: readonly Draft<tuning.Measurement>[],
    checkpoint: string,
  ) => Promise<tuning.HeartbeatResponse>;
  readonly leaseSeconds: number;
  readonly clock: Clock;
  /** The trial belongs to somebody else, or to nobody: end at once. */
  readonly onLost: (error: Error) => void;
  /** No heartbeat came through for as long as the lease lasts. */
  readonly onUnreachable: (error: Error) => void;
}

/** Between two heartbeats, unless the answer says otherwise; a validation is reported at once. */
const everyMs = 1000;
const firstRetryMs = 250;

/** An answer that will not change by asking again. */
export function isFinal(error: unknown): boolean {
  return [Aborted, PermissionDenied, NotFound, InvalidArgument, FailedPrecondition].some(
    (kind) => error instanceof kind,
  );
}

function valuesOf(kind: string, byTask: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(byTask).map(([task, value]) => [`${kind}/${task}`, value]));
}

/** What happened between two reports, as one message. Losses are averaged over the steps. */
function summary(steps: readonly Measurement[], before: Measurement | undefined): Draft<tuning.Measurement> {
  const last = steps[steps.length - 1];
  const { objective, objectives = {}, forgetting } = last;
  const tokens = last.tokens - (before?.tokens ?? 0);
  const seconds = last.seconds - (before?.seconds ?? 0);
  return {
    step: last.step,
    tokens: last.tokens,
    examples: last.examples,
    elapsedSeconds: last.seconds,
    trainLoss: steps.reduce((n, { trainLoss }) => n + trainLoss, 0) / steps.length,
    ...(objective === undefined ? {} : { objective }),
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
  private steps: Measurement[] = [];
  private reported: Measurement | undefined;
  private unsent: Draft<tuning.Measurement>[] = [];
  private directive: Directive = 'continue';
  private checkpoint = '';
  private wake = () => {};
  private closed = false;
  private running: Promise<void> = Promise.resolve();

  constructor(private readonly options: HeartbeatOptions) {}

  start(): void {
    this.running = this.run();
  }

  /** Takes note of a step; the newest directive. */
  observe(measurement: Measurement): Directive {
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

  /** Waits for the heartbeat under way; none follows. */
  async close(): Promise<void> {
    this.closed = true;
    this.wake();
    await this.running;
  }

  private async run(): Promise<void> {
    const { send, clock, leaseSeconds, onLost, onUnreachable } = this.options;
    let heardAt = clock.now();
    let retryMs = firstRetryMs;
    while (!this.closed) {
      const measurements = this.take();
      let pauseMs = everyMs;
      try {
        const { directive, everySeconds } = await send(measurements, this.checkpoint);
        if (everySeconds > 0) pauseMs = Math.min(1000 * everySeconds, (1000 * leaseSeconds) / 3);
        if (directive === tuning.Directive.DIRECTIVE_STOP) this.directive = 'stop';
        if (directive === tuning.Directive.DIRECTIVE_CHECKPOINT && this.directive !== 'stop')
          this.directive = 'checkpoint';
        heardAt = clock.now();
        retryMs = firstRetryMs;
      } catch (error) {
        this.unsent.unshift(...measurements);
        if (isFinal(error)) return onLost(error as Error);
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
