/** Work that would hold up every call of the service, in a thread of its own. */
import { Worker } from 'node:worker_threads';
import { Internal } from '@emotune/base';

/** Beside this file, with the ending that this one has: a source is run as it is where Node.js was told how. */
export function threadFile(name: string): URL {
  return new URL(`./${name}${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);
}

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
