/**
 * Finds the files of a corpus or lexicon: in the folder that the user names, then in the cache, then by download. A download
 * resumes where it stopped, is checked against the published hash, and becomes visible only when it is whole.
 */
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { exists, FailedPrecondition, sha256OfFile, Unavailable } from '@emotune/base';
import { fetchPart } from '@emotune/hub';
import type { CorpusFile } from './corpora.js';

/** What is published under one name; without files, it is part of what npm installs. */
export interface Published {
  readonly name: string;
  readonly files: readonly PublishedFile[];
}

/** A file without URL and hash is the user's own: any version that can be read will do, and nobody fetches it. */
type PublishedFile = Pick<CorpusFile, 'path'> & Partial<CorpusFile>;

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

/** The folder in which a file lies: the user's, else the cache; undefined where it is in neither. */
async function folderOf(
  { path }: PublishedFile,
  { corporaDir, cacheDir }: Pick<LocateOptions, 'corporaDir' | 'cacheDir'>,
): Promise<string | undefined> {
  if (corporaDir !== undefined && (await exists(join(corporaDir, path)))) return corporaDir;
  return (await exists(join(cacheDir, path))) ? cacheDir : undefined;
}

/** Where it is found without a download: the folder, "cache" where any of it is there, "bundled", or nothing. */
export async function locationOf(
  { files }: Published,
  options: Pick<LocateOptions, 'corporaDir' | 'cacheDir'>,
): Promise<string | undefined> {
  if (files.length === 0) return 'bundled';
  const folders = await Promise.all(files.map((file) => folderOf(file, options)));
  if (folders.includes(undefined)) return undefined;
  return folders.every((folder) => folder === options.corporaDir) ? options.corporaDir : 'cache';
}

/**
 * Paths of the files, in order.
 * @throws Unavailable when they are nowhere and cannot be fetched; FailedPrecondition when a file has the wrong hash.
 */
export async function locate({ name, files }: Published, options: LocateOptions): Promise<string[]> {
  const paths: string[] = [];
  for (const file of files) {
    const { path, url, sha256 } = file;
    let folder = await folderOf(file, options);
    if (folder === undefined) {
      const theirs = options.corporaDir ?? 'EMOTUNE_CORPORA (not set)';
      if (url === undefined || sha256 === undefined)
        throw new Unavailable(
          `${name}: expected your own copy as ${path} in ${theirs}, got none; its terms do not let it be fetched for you`,
        );
      if (!options.download)
        throw new Unavailable(`${name}: not found in ${theirs} or the cache, and downloads are off`);
      folder = options.cacheDir;
      await download({ path, url, sha256 }, join(folder, path), options);
    }
    const found = join(folder, path);
    paths.push(found);
    // Also of a file without a hash: it has to be a regular one within the folder.
    const got = await sha256OfFile(found, { within: folder });
    if (sha256 !== undefined && got !== sha256)
      throw new FailedPrecondition(
        `${found}: expected SHA-256 ${sha256}, got ${got}: not the published file; remove it to have it fetched again`,
      );
  }
  return paths;
}
