/** A server process that is started again when it ends without being told to. */
import type { ChildProcess } from 'node:child_process';
import { systemClock } from '@emotune/base';

/** What becomes of the server between its first start and its stop: one `ended` an outage, and one `back`. */
export type ServerNews =
  | { readonly type: 'ended'; readonly reason: string }
  /** It cannot be started: told once for each reason. */
  | { readonly type: 'waiting'; readonly reason: string }
  | { readonly type: 'back'; readonly pid: number; readonly starts: number };

export interface KeptServerOptions {
  /** Starts it; resolves when it serves. Rejects, with nothing left running, also when the signal aborts. */
  readonly launch: (signal: AbortSignal) => Promise<ChildProcess>;
  /** Why it has ended, in its own words. */
  readonly lastWords: () => string;
  readonly tell: (news: ServerNews) => void;
}

/** Before a start; doubles from start to start, until the server has run for `steadyMs`. */
const firstPauseMs = 100;
const longestPauseMs = 5_000;
const steadyMs = 5_000;

/** Of a stop: when it is urged, and when it is killed. What is committed survives either. */
const urgeMs = 5_000;
const killMs = 8_000;

export function hasExited(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function gone(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (hasExited(child)) resolve();
    else child.once('exit', () => resolve());
  });
}

function howEnded({ exitCode, signalCode }: ChildProcess, lastWords: string): string {
  const how = signalCode === null ? `with code ${exitCode}` : `by ${signalCode}`;
  return `it ended ${how}${lastWords === '' ? '' : `: ${lastWords}`}`;
}

export class KeptServer {
  private readonly kept: Promise<void>;
  private readonly killAtExit = () => void this.child.kill('SIGQUIT');

  private constructor(
    private child: ChildProcess,
    private readonly options: KeptServerOptions,
    private readonly stopping: AbortController,
  ) {
    process.once('exit', this.killAtExit);
    this.kept = this.keep();
  }

  /** @throws What `launch` throws the first time. */
  static async start(options: KeptServerOptions): Promise<KeptServer> {
    const stopping = new AbortController();
    return new KeptServer(await options.launch(stopping.signal), options, stopping);
  }

  /** Of the process that serves, or did last. */
  get pid(): number {
    return this.child.pid!;
  }

  /** Ends it in order: sessions are ended, everything is written. One that does not end in time is killed. */
  async stop(): Promise<void> {
    this.stopping.abort();
    const { child } = this;
    if (!hasExited(child)) {
      child.kill('SIGINT');
      const timers = [
        setTimeout(() => child.kill('SIGQUIT'), urgeMs),
        setTimeout(() => child.kill('SIGKILL'), killMs),
      ];
      await gone(child);
      for (const timer of timers) clearTimeout(timer);
    }
    await this.kept;
    process.removeListener('exit', this.killAtExit);
  }

  private async keep(): Promise<void> {
    const { signal } = this.stopping;
    let pauseMs = firstPauseMs;
    for (;;) {
      const started = systemClock.now();
      await gone(this.child);
      if (signal.aborted) return;
      if (systemClock.now() - started >= steadyMs) pauseMs = firstPauseMs;
      this.options.tell({ type: 'ended', reason: howEnded(this.child, this.options.lastWords()) });
      pauseMs = await this.restart(pauseMs);
      if (signal.aborted) return;
    }
  }

  /** Until it serves, or is to stop; the pause before the next start. */
  private async restart(firstMs: number): Promise<number> {
    const { launch, tell } = this.options;
    const { signal } = this.stopping;
    const told = new Set<string>();
    let pauseMs = firstMs;
    for (let starts = 1; ; starts++) {
      await systemClock.sleep(pauseMs, signal).catch(() => {});
      pauseMs = Math.min(2 * pauseMs, longestPauseMs);
      if (signal.aborted) return pauseMs;
      try {
        this.child = await launch(signal);
        tell({ type: 'back', pid: this.pid, starts });
        return pauseMs;
      } catch (error) {
        if (signal.aborted) return pauseMs;
        const reason = (error as Error).message;
        if (!told.has(reason)) tell({ type: 'waiting', reason });
        told.add(reason);
      }
    }
  }
}
