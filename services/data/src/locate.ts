/**
 * Finds a corpus's files: in the folder that the user names, then in the cache, then by download. A download
 * resumes where it stopped, is checked against the published hash, and becomes visible only when it is whole.
 */
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { exists, FailedPrecondition, sha256OfFile, Unavailable } from '@emotune/base';
import { fetchPart } from '@emotune/hub';
import type { Corpus, CorpusFile } from './corpora.js';

/** A host that does not answer within this time is taken as unreachable. */
const connectMs = 3_000;

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
  const part = `${target}.part`;
  const { signal, onProgress } = options;
  await fetchPart(file.url, part, {
    connectMs,
    signal,
    onProgress: (done, total) => onProgress?.(file.path, done, total),
  });
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
    const got = await sha256OfFile(paths[i], { within: folder });
    if (got !== file.sha256) {
      throw new FailedPrecondition(
        `${paths[i]}: expected SHA-256 ${file.sha256}, got ${got}: not the published file; remove it to have it fetched again`,
      );
    }
  }
  return paths;
}
