/** The server's side of streams: pulled only as fast as the caller reads, ended when the caller has gone. */
import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { Aborted } from '@emotune/base';
import { Observable } from 'rxjs';

/** What Nest hands a streaming method as its third argument. */
export interface ServerStreamCall {
  readonly writableNeedDrain: boolean;
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  off(event: string, listener: (...args: unknown[]) => void): unknown;
  /** Holds back the requests of a call that streams both ways. */
  pause(): unknown;
  resume(): unknown;
}

/** What Nest hands a method that answers once as its third argument. */
export interface ServerCall {
  readonly cancelled: boolean;
  on(event: 'cancelled', listener: () => void): unknown;
}

/** Aborts when the caller leaves or waits no longer, and once it is answered. */
export function leavingOf(call: ServerCall): AbortSignal {
  const abort = new AbortController();
  const leave = () => abort.abort(new Aborted('the caller has left'));
  call.on('cancelled', leave);
  if (call.cancelled) leave();
  return abort.signal;
}

/** So long a source that never waits may hold up other calls. */
const turnMs = 10;

/** Sends what `source` yields. Its signal aborts when the caller cancels, its deadline passes or the connection breaks. */
export function streamOf<T>(
  call: ServerStreamCall,
  source: (signal: AbortSignal) => AsyncIterable<T>,
): Observable<T> {
  return new Observable((subscriber) => {
    const abort = new AbortController();
    const send = async () => {
      let turn = performance.now();
      for await (const item of source(abort.signal)) {
        if (abort.signal.aborted) return;
        subscriber.next(item);
        if (call.writableNeedDrain) await once(call as never, 'drain', { signal: abort.signal });
        if (performance.now() - turn < turnMs) continue;
        await setImmediate();
        turn = performance.now();
      }
      subscriber.complete();
    };
    send().catch((error) => {
      if (!abort.signal.aborted) subscriber.error(error);
    });
    return () => abort.abort();
  });
}

/** Requests that wait here before the caller is held back. */
const mostWaiting = 16;

/** Requests of a streaming method one by one, taken from the caller only as fast as they are read. */
export async function* requestsOf<T>(
  requests: Observable<T>,
  call: Pick<ServerStreamCall, 'pause' | 'resume'>,
  signal: AbortSignal,
): AsyncGenerator<T> {
  const waiting: T[] = [];
  let ended = false;
  let failure: unknown;
  let wake = () => {};
  const subscription = requests.subscribe({
    next: (request) => {
      if (waiting.push(request) >= mostWaiting) call.pause();
      wake();
    },
    error: (error) => {
      failure = error;
      ended = true;
      wake();
    },
    complete: () => {
      ended = true;
      wake();
    },
  });
  const stop = () => wake();
  signal.addEventListener('abort', stop);
  try {
    while (!signal.aborted) {
      if (waiting.length > 0) yield waiting.shift() as T;
      else if (failure !== undefined) throw failure;
      else if (ended) return;
      else {
        const woken = new Promise<void>((resolve) => {
          wake = resolve;
        });
        call.resume();
        await woken;
      }
    }
  } finally {
    signal.removeEventListener('abort', stop);
    subscription.unsubscribe();
    // What still comes is dropped, so that the call can end.
    call.resume();
  }
}
