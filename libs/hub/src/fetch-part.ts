/** A download that goes on where it stopped. */
import { createWriteStream } from 'node:fs';
import { mkdir, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { policyOf, ResourceExhausted, Unavailable } from '@emotune/base';

/** A download that moves no byte for this time has failed; the next try resumes it. */
const stallMs = 30_000;

export interface FetchPartOptions {
  /** A host that does not answer within this time is taken as unreachable. */
  readonly connectMs: number;
  readonly fetch?: typeof fetch;
  /** Bytes so far, of all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Fetches what a file at `part` lacks of a URL's content; what came is kept, whatever ends it.
 * @throws Unavailable when the host cannot be reached or breaks off; ResourceExhausted when the disk is full; what `fetch`
 *   throws of our own.
 */
export async function fetchPart(url: string, part: string, options: FetchPartOptions): Promise<void> {
  const { connectMs, fetch: ask = fetch, onProgress } = options;
  await mkdir(dirname(part), { recursive: true });
  const have = await stat(part).then(
    (s) => s.size,
    () => 0,
  );
  const abort = new AbortController();
  const give = (ms: number, what: string) =>
    setTimeout(() => abort.abort(new Unavailable(`${url}: ${what}`)), ms);
  let timer = give(connectMs, `no answer within ${connectMs / 1000} s`);
  const signal = options.signal ? AbortSignal.any([abort.signal, options.signal]) : abort.signal;
  try {
    const response = await ask(url, { signal, headers: have > 0 ? { range: `bytes=${have}-` } : {} });
    clearTimeout(timer);
    const from = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1];
    if (response.status === 416 || (response.status === 206 && from !== undefined && Number(from) !== have)) {
      await response.body?.cancel();
      await rm(part, { force: true });
      throw new Unavailable(`${url}: the part already fetched does not fit; try again`);
    }
    if (!response.ok || response.body === null) throw new Unavailable(`${url}: HTTP ${response.status}`);
    const resumed = response.status === 206;
    let done = resumed ? have : 0;
    const total = done + Number(response.headers.get('content-length') ?? 0);
    timer = give(stallMs, `no data for ${stallMs / 1000} s`);
    const meter = new Transform({
      transform(chunk, _, next) {
        timer.refresh();
        done += chunk.length;
        onProgress?.(done, total);
        next(null, chunk);
      },
    });
    await pipeline(
      Readable.fromWeb(response.body as never),
      meter,
      createWriteStream(part, { flags: resumed ? 'a' : 'w' }),
      { signal },
    );
  } catch (cause) {
    if (options.signal?.aborted) throw options.signal.reason;
    if (policyOf(cause).tellsUser) throw cause;
    if (abort.signal.aborted) throw abort.signal.reason;
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT')
      throw new ResourceExhausted(`${part}: the disk is full (${code}); free some space, then try again`, {
        cause,
      });
    throw new Unavailable(`${url}: ${message}`, { cause });
  } finally {
    clearTimeout(timer);
  }
}
