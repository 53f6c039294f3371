/**
 * What a pod writes, each line once however often the stream breaks. The API server goes on from a second only, so some
 * lines come again; they are known by their times, which have nanoseconds.
 */
import type { Clock } from '@emotune/base';
import { type Api, ApiError, pauseMs } from './api.js';
import { containerName } from './manifest.js';

/** "2026-12-01T04:00:00.123456789Z text" */
const stamped = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\S*) ?(.*)$/s;

/** Lines of two streams come in another order than they were stamped in, by less than this. */
const disorderMs = 1_000;

/** Leaves out the lines that a stream which begins at `since` repeats. */
export class LinesOnce {
  /** From which second a stream must go on; undefined: from the beginning. */
  since: string | undefined;
  /** How often a line of that second or later has come, by time. */
  private seen = new Map<string, number>();
  private again = new Map<string, number>();

  /** A stream begins, at `since`. */
  begin(): void {
    this.again = new Map(this.seen);
  }

  /** The line without its time; undefined for one that has come before, and for what a kubelet says in place of a log. */
  take(line: string): string | undefined {
    const [, second, fraction, text] = stamped.exec(line) ?? [];
    if (second === undefined) return undefined;
    const time = second + fraction;
    const repeated = this.again.get(time) ?? 0;
    if (repeated > 0) {
      this.again.set(time, repeated - 1);
      return undefined;
    }
    this.seen.set(time, (this.seen.get(time) ?? 0) + 1);
    const since = new Date(Date.parse(`${second}Z`) - disorderMs).toISOString().replace('.000Z', 'Z');
    if (this.since === undefined || since > this.since) {
      this.since = since;
      for (const old of this.seen.keys()) if (old < since.slice(0, -1)) this.seen.delete(old);
    }
    return text;
  }
}

export interface PodLogOptions {
  readonly api: Api;
  readonly clock: Clock;
  readonly namespace: string;
  readonly pod: string;
  readonly follow: boolean;
  /** Whether its trainer still writes, as far as is known. */
  readonly writes: () => boolean;
  readonly signal: AbortSignal;
}

/** Nobody can read it any more: the pod is gone, or its container never began. */
function isOver(error: unknown): boolean {
  return error instanceof ApiError && (error.code === 404 || error.code === 400);
}

/** Tries to read the log of a pod whose trainer has ended. */
const mostFailures = 8;
/** Between two requests for the log of a trainer that runs, at most: who refuses it now may do so for long, and there are many. */
const longestRefusalMs = 60_000;
/** How soon the end of a trainer is noticed meanwhile. */
const noticeMs = 1_000;

/** Before the next request for a log that was refused so many times in turn. */
function refusalMs(failures: number): number {
  return Math.max(pauseMs(failures), Math.min(longestRefusalMs, 250 * 2 ** Math.min(failures, 16)));
}

/** Lines with their newlines, until the trainer has ended; `signal` ends it, too. */
export async function* podLines(options: PodLogOptions): AsyncGenerator<string> {
  const { api, clock, namespace, pod, follow, writes, signal } = options;
  const path = `/api/v1/namespaces/${namespace}/pods/${pod}/log`;
  const once = new LinesOnce();
  for (let failures = 0; ; ) {
    // What was written before it ended is read after that.
    const last = !writes();
    try {
      once.begin();
      const query = {
        container: containerName,
        follow,
        timestamps: true,
        ...(once.since === undefined ? {} : { sinceTime: once.since }),
      };
      for await (const line of api.lines(path, query, signal)) {
        const text = once.take(line);
        // What a kubelet says in place of a log is none.
        if (text === undefined) continue;
        failures = 0;
        yield `${text}\n`;
      }
      if (!follow || last) return;
      // A stream that ends while its trainer writes has broken, or was nothing.
      failures++;
    } catch (error) {
      // A kubelet may not know yet that a container has begun.
      if (signal.aborted || (last && (isOver(error) || failures >= mostFailures))) return;
      failures++;
    }
    const until = clock.now() + (last ? pauseMs(failures) : refusalMs(failures));
    for (let left = until - clock.now(); left > 0; left = until - clock.now()) {
      await clock.sleep(Math.min(left, noticeMs), signal).catch(() => {});
      if (signal.aborted) return;
      if (last || writes()) continue;
      failures = 0;
      break;
    }
  }
}
