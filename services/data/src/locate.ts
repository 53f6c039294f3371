/**
 * Finds a corpus's files: in the folder that the user names, then in the cache, then by download. A download
 * resumes where it stopped, is checked against the published hash, and becomes visible only when it is whole.
 */
import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { exists, FailedPrecondition, sha256OfFile, Unavailable } from '@emotune/base';
import type { Corpus, CorpusFile } from './corpora.js';

/** A host that does not answer within this time is taken as unreachable. */
const connectMs = 3_000;
/** A download that moves no byte for this time has failed; the next try resumes it. */
const stallMs = 30_000;

export interface LocateOptions {
  /** A folder that holds corpora as published; the first place to look. */
  readonly corporaDir?: string | undefined;
  readonly cacheDir: string;
  /** May files be fetched? */
  readonly download: boolean;
  readonly onProgress?: (file: string, doneBytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Fetches `file` to `target`.
 * @throws Unavailable when the host cannot be reached or breaks off; FailedPrecondition when what came has another hash.
 */
export async function download(file: CorpusFile, target: string, options: LocateOptions): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  const part = `${target}.part`;
  const have = await stat(part).then(
    (s) => s.size,
    () => 0,
  );
  const abort = new AbortController();
  const give = (ms: number, what: string) =>
    setTimeout(() => abort.abort(new Unavailable(`${file.url}: ${what}`)), ms);
  let timer = give(connectMs, `no answer within ${connectMs / 1000} s`);
  const signal = options.signal ? AbortSignal.any([abort.signal, options.signal]) : abort.signal;
  try {
    const response = await fetch(file.url, { signal, headers: have > 0 ? { range: `bytes=${have}-` } : {} });
    clearTimeout(timer);
    if (response.status === 416) {
      await rm(part, { force: true });
      throw new Unavailable(`${file.url}: the part already fetched does not fit; try again`);
    }
    if (!response.ok || response.body === null) throw new Unavailable(`${file.url}: HTTP ${response.status}`);
    const resumed = response.status === 206;
    let done = resumed ? have : 0;
    const total = done + Number(response.headers.get('content-length') ?? 0);
    timer = give(stallMs, `no data for ${stallMs / 1000} s`);
    const meter = new Transform({
      transform(chunk, _, next) {
        timer.refresh();
        done += chunk.length;
        options.onProgress?.(file.path, done, total);
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
    if (cause instanceof Unavailable) throw cause;
    if (abort.signal.aborted) throw abort.signal.reason;
    throw new Unavailable(`${file.url}: ${(cause as Error).message}`, { cause });
  } finally {
    clearTimeout(timer);
  }
  const got = await sha256OfFile(part);
  if (got !== file.sha256) {
    await rm(part, { force: true });
    throw new FailedPrecondition(
      `${file.url}: expected SHA-256 ${file.sha256}, got ${got}: the file has changed since it was pinned`,
    );
  }
  await rename(part, target);
}

/** Where the corpus is found without a download: the folder, "cache", "bundled", or nothing. */
export async function locationOf(
  corpus: Corpus,
  options: Pick<LocateOptions, 'corporaDir' | 'cacheDir'>,
): Promise<string | undefined> {
  if (corpus.files.length === 0) return 'bundled';
  for (const [folder, name] of [
    [options.corporaDir, options.corporaDir],
    [options.cacheDir, 'cache'],
  ] as const) {
    if (folder === undefined) continue;
    const found = await Promise.all(corpus.files.map((file) => exists(join(folder, file.path))));
    if (found.every(Boolean)) return name;
  }
  return undefined;
}

/**
 * Paths of the corpus's files, in order.
 * @throws Unavailable when they are nowhere and cannot be fetched; FailedPrecondition when a file has the wrong hash.
 */
export async function locate(corpus: Corpus, options: LocateOptions): Promise<string[]> {
  const location = await locationOf(corpus, options);
  const folder =
    location !== undefined && location !== 'cache' && location !== 'bundled' ? location : options.cacheDir;
  if (location === undefined) {
    if (!options.download) {
      throw new Unavailable(
        `${corpus.name}: not found in ${options.corporaDir ?? 'EMOTUNE_CORPORA (not set)'} or the cache, and downloads are off`,
      );
    }
    for (const file of corpus.files) {
      const target = join(options.cacheDir, file.path);
      if (!(await exists(target))) await download(file, target, options);
    }
  }
  const paths = corpus.files.map((file) => join(folder, file.path));
  for (const [i, file] of corpus.files.entries()) {
    const got = await sha256OfFile(paths[i]);
    if (got !== file.sha256) {
      throw new FailedPrecondition(
        `${paths[i]}: expected SHA-256 ${file.sha256}, got ${got}: not the published file; remove it to have it fetched again`,
      );
    }
  }
  return paths;
}
