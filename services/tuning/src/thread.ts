/** Work that would hold up every call of the service, in a thread of its own. */
import { once } from 'node:events';
import { Worker, type WorkerOptions } from 'node:worker_threads';
import { Idle, Internal, ResourceExhausted } from '@emotune/base';

/**
 * What a thread posts that is given `data`. It does not keep the process alive.
 * @param nodeArguments Of the thread; those of the process where they are left out.
 * @throws Internal where it failed, as for want of memory, or ended without an answer.
 */
export function inThread<T>(file: URL, data: unknown, nodeArguments?: readonly string[]): Promise<T> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(file, {
      workerData: data,
      ...(nodeArguments ? { execArgv: [...nodeArguments] } : {}),
    });
    worker.unref();
    worker.once('message', resolve);
    worker.once('error', (cause) => reject(new Internal(`a thread failed: ${cause.message}`, { cause })));
    worker.once('exit', (code) => reject(new Internal(`a thread ended without an answer, code ${code}`)));
  });
}

/** Of one thread, with the one that is being answered. */
const mostWaiting = 32;

/** A thread that answers one question after the other. It is started with the first, and again after it failed or rested; it does not keep the process alive. */
export class AnsweringThread<Question, Answer> {
  private worker: Worker | undefined;
  private last: Promise<unknown> = Promise.resolve();
  private waiting = 0;
  /** A thread that rests keeps all the memory that it has taken. */
  private readonly idle = new Idle(() => void this.end());

  private readonly options: WorkerOptions;

  /** @param nodeArguments As for `inThread`. */
  constructor(
    private readonly file: URL,
    nodeArguments?: readonly string[],
  ) {
    this.options = nodeArguments ? { execArgv: [...nodeArguments] } : {};
  }

  /**
   * What it posts that is sent `question`, which it is not once `signal` has aborted.
   * @throws Internal as `inThread`; ResourceExhausted when too many wait; the reason of `signal`.
   */
  async ask(question: Question, signal?: AbortSignal): Promise<Answer> {
    if (this.waiting >= mostWaiting)
      throw new ResourceExhausted(`${this.waiting} questions wait for an answer; ask again in 1 s`, {
        retryAfterMs: 1000,
      });
    this.waiting++;
    this.idle.use();
    const answer = this.last.then(() => {
      signal?.throwIfAborted();
      return this.exchange(question);
    });
    this.last = answer
      .catch(() => {})
      .then(() => {
        if (--this.waiting === 0) this.idle.rest();
      });
    return answer;
  }

  private async end(): Promise<void> {
    const ending = this.worker;
    this.worker = undefined;
    await ending?.terminate();
  }

  private async exchange(question: Question): Promise<Answer> {
    this.worker ??= this.start();
    const over = new AbortController();
    const happens = (event: string) => once(this.worker!, event, { signal: over.signal });
    const end = async (): Promise<never> => {
      const [code] = await happens('exit');
      throw new Error(`it ended without an answer, code ${code}`);
    };
    try {
      this.worker.postMessage(question);
      const [answer] = await Promise.race([happens('message'), end()]);
      return answer;
    } catch (cause) {
      throw new Internal(`a thread failed: ${(cause as Error).message}`, { cause });
    } finally {
      over.abort();
    }
  }

  private start(): Worker {
    const worker = new Worker(this.file, this.options);
    const gone = () => {
      if (this.worker === worker) this.worker = undefined;
    };
    worker.on('error', gone).on('exit', gone);
    worker.unref();
    return worker;
  }

  /** Ends it; what was asked fails. */
  async close(): Promise<void> {
    this.idle.use();
    await this.end();
  }
}
