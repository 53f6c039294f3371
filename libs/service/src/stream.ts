/** The server's side of streams: pulled only as fast as the caller reads, ended when the caller has gone. */
import { once } from 'node:events';
import { Observable } from 'rxjs';

/** What Nest hands a streaming method as its third argument. */
export interface ServerStreamCall {
  readonly writableNeedDrain: boolean;
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  off(event: string, listener: (...args: unknown[]) => void): unknown;
}

/** Sends what `source` yields. Its signal aborts when the caller cancels, its deadline passes or the connection breaks. */
export function streamOf<T>(
  call: ServerStreamCall,
  source: (signal: AbortSignal) => AsyncIterable<T>,
): Observable<T> {
  return new Observable((subscriber) => {
    const abort = new AbortController();
    const send = async () => {
      for await (const item of source(abort.signal)) {
        if (abort.signal.aborted) return;
        subscriber.next(item);
        if (call.writableNeedDrain) await once(call as never, 'drain', { signal: abort.signal });
      }
      subscriber.complete();
    };
    send().catch((error) => {
      if (!abort.signal.aborted) subscriber.error(error);
    });
    return () => abort.abort();
  });
}

/** Requests of a streaming method one by one. Buffers what has come and was not read yet. */
export async function* requestsOf<T>(requests: Observable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const waiting: T[] = [];
  let ended = false;
  let failure: unknown;
  let wake = () => {};
  const subscription = requests.subscribe({
    next: (request) => {
      waiting.push(request);
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
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    signal.removeEventListener('abort', stop);
    subscription.unsubscribe();
  }
}
