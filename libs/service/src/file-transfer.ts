/**
 * Files between this machine and the platform: hashed, sent in chunks, gone on with after a broken connection, and checked
 * at the other end. Only regular files are read; what is written appears whole or not at all.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, normalize } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  Aborted,
  callersMode,
  EmotuneError,
  FailedPrecondition,
  InvalidArgument,
  largestRowFileBytes,
  makeFolder,
  NotFound,
  openRegularFile,
  piecesOf,
  type RegularFile,
  ResourceExhausted,
  syncToDisk,
  tooLarge,
  Unavailable,
} from '@emotune/base';
import type { files } from '@emotune/proto';
import type { Channel, Client } from './channel.js';

/** Tries in a row that bring nothing further. */
const mostFailures = 6;
const firstPauseMs = 100;

export interface Transfer {
  readonly signal?: AbortSignal;
  /** Bytes so far, of all. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** What a file system says of a place, in our words; anything else as it is. */
function fileError(error: unknown, field: string, path: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  const cause = { cause: error };
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new ResourceExhausted(
      `${path}: the disk is full (${code}); free some space, then try again`,
      cause,
    );
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
    return new FailedPrecondition(
      `${path}: access is refused (${code}); give this user access or choose another folder`,
      cause,
    );
  if (code === 'ENOTDIR' || code === 'ENOENT')
    return InvalidArgument.at(field, `expected a place for a folder, got ${path} (${code})`, cause);
  return error;
}

async function openGiven(path: string, field: string, within: string | undefined): Promise<RegularFile> {
  return openRegularFile(path, within === undefined ? {} : { within }).catch((cause) => {
    if (cause instanceof InvalidArgument)
      throw InvalidArgument.at(field, cause.violations[0].description, { cause });
    if (cause instanceof EmotuneError) throw cause;
    throw new NotFound(`${field}: expected a readable file, got ${path} (${cause.code ?? cause.message})`, {
      cause,
    });
  });
}

/** Repeats `attempt` while the connection breaks, as long as it gets further now and then. */
async function persist<T>(
  progress: () => number,
  signal: AbortSignal | undefined,
  attempt: () => Promise<T>,
): Promise<T> {
  let failures = 0;
  for (let before = progress(); ; ) {
    try {
      return await attempt();
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      if (!(error instanceof Unavailable || error instanceof Aborted)) throw error;
      if (progress() > before) failures = 0;
      before = progress();
      if (++failures >= mostFailures) throw error;
      await delay(firstPauseMs * 2 ** failures, undefined, signal ? { signal } : {});
    }
  }
}

const clientOf = (channel: Channel): Client<files.FileServiceClient> => channel.client('FileService');

/** All of them, in chunks. @throws FailedPrecondition where the file has become shorter. */
async function* chunksOf({ handle, bytes }: RegularFile, path: string, from = 0): AsyncGenerator<Uint8Array> {
  let at = from;
  for await (const piece of piecesOf(handle, path, from, bytes)) {
    yield piece;
    at += piece.length;
  }
  if (at < bytes) throw new FailedPrecondition('the file became shorter while it was read; send it again');
}

/**
 * Sends a file; one that is there already costs only its hash. Gives that hash.
 * @param field names the file in errors
 * @throws NotFound; InvalidArgument when it is no regular file or changes meanwhile; Unavailable when the platform stays
 *   out of reach.
 */
export async function upload(
  channel: Channel,
  path: string,
  field: string,
  {
    signal,
    onProgress,
    check,
    within,
  }: Transfer & { readonly check?: (bytes: number) => void; readonly within?: string } = {},
): Promise<string> {
  const file = await openGiven(path, field, within);
  const { handle, bytes } = file;
  try {
    check?.(bytes);
  } catch (error) {
    await handle.close();
    throw error;
  }
  const service = clientOf(channel);
  const options = signal ? { signal } : {};
  try {
    const digest = createHash('sha256');
    for await (const piece of chunksOf(file, path)) {
      signal?.throwIfAborted();
      digest.update(piece);
    }
    const sha256 = digest.digest('hex');
    let furthest = 0;
    let resumed = false;
    const send = async () => {
      const { complete, received, limitBytes } = await service.call('getUpload', { sha256 }, options);
      if (complete) return;
      if (bytes > limitBytes)
        throw InvalidArgument.at(field, `expected at most ${limitBytes} bytes, got ${bytes}: ${path}`);
      const offset = Math.min(received, bytes);
      furthest = Math.max(furthest, offset);
      resumed = offset > 0;
      await service.send(
        'upload',
        (async function* () {
          yield { header: { sha256, bytes, offset } };
          let sent = offset;
          for await (const chunk of chunksOf(file, path, offset)) {
            yield { chunk };
            sent += chunk.length;
            onProgress?.(sent, bytes);
          }
        })(),
        options,
      );
    };
    await persist(
      () => furthest,
      signal,
      () =>
        send().catch((error) => {
          // What somebody else had sent of it was wrong, and is forgotten now.
          if (error instanceof InvalidArgument && resumed) throw new Aborted(error.message, { cause: error });
          throw error;
        }),
    );
    return sha256;
  } finally {
    await handle.close();
  }
}

/** As `upload`, for a file of labelled rows. @throws InvalidArgument also when it is too large to be read at once. */
export function uploadRows(
  channel: Channel,
  path: string,
  field: string,
  transfer: Transfer = {},
): Promise<string> {
  const check = (bytes: number) => {
    if (bytes > largestRowFileBytes) throw tooLarge(field, path, bytes);
  };
  return upload(channel, path, field, { ...transfer, check });
}

/**
 * Fetches an artifact to a path, whose folder is made; it replaces what is there, whole and checked or not at all.
 * @throws NotFound when it is gone; Unavailable when the platform stays out of reach.
 */
export async function download(
  channel: Channel,
  artifact: string,
  path: string,
  { signal, onProgress }: Transfer = {},
): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.part`);
  try {
    await makeFolder(dirname(path), callersMode(0o777));
    const handle = await open(temporary, 'w');
    try {
      await handle.chmod(callersMode(0o666));
      await fetchInto(handle, clientOf(channel), artifact, { signal, onProgress });
    } finally {
      await handle.close();
    }
    await syncToDisk(temporary);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw fileError(error, 'path', path);
  }
}

async function fetchInto(
  handle: FileHandle,
  service: Client<files.FileServiceClient>,
  artifact: string,
  { signal, onProgress }: { [K in keyof Transfer]: Transfer[K] | undefined },
): Promise<void> {
  let digest = createHash('sha256');
  let [done, total, expected] = [0, 0, ''];
  const restart = async () => {
    await handle.truncate(0);
    [digest, done] = [createHash('sha256'), 0];
  };
  const receive = async () => {
    const request = { artifact, offset: done };
    for await (const { header, chunk } of service.stream('download', request, signal ? { signal } : {})) {
      if (header) {
        // It was made anew since the connection broke.
        if (expected !== '' && header.sha256 !== expected && done > 0) {
          [total, expected] = [header.bytes, header.sha256];
          await restart();
          throw new Aborted(`${artifact} was replaced while it was fetched`);
        }
        [total, expected] = [header.bytes, header.sha256];
      }
      if (!chunk) continue;
      await handle.write(chunk, 0, chunk.length, done);
      digest.update(chunk);
      done += chunk.length;
      onProgress?.(done, total);
    }
    if (done < total)
      throw new Unavailable(`${artifact}: the connection broke after ${done} of ${total} bytes`);
    if (digest.copy().digest('hex') === expected) return;
    await restart();
    throw new Aborted(`${artifact} was damaged on its way`);
  };
  await persist(() => done, signal, receive);
}

/** A file of a folder to fetch. */
interface DownloadedFile {
  /** Within the folder, with "/". */
  readonly path: string;
  readonly bytes: number;
  /** Of the artifact. */
  readonly name: string;
}

/** @throws InvalidArgument, FailedPrecondition. */
async function checkTarget(folder: string, field: string): Promise<void> {
  const names = await readdir(folder).catch((error) => {
    if (error.code === 'ENOENT') return [];
    if (error.code === 'ENOTDIR')
      throw InvalidArgument.at(field, `expected a folder, got a file at ${folder}`);
    throw fileError(error, field, folder);
  });
  if (names.length > 0)
    throw InvalidArgument.at(
      field,
      `expected an empty or missing folder, got ${names.length} files in ${folder}`,
    );
}

/**
 * Fetches files to a folder, which must be empty or missing and appears whole or not at all. Gives their paths.
 * `list` tells the files once the folder has been looked at; `field` names the folder in errors.
 * @throws InvalidArgument, FailedPrecondition for the folder; as `download`.
 */
export async function downloadFolder(
  channel: Channel,
  list: () => Promise<readonly DownloadedFile[]>,
  { folder, field }: { readonly folder: string; readonly field: string },
  { signal, onProgress }: Transfer = {},
): Promise<string[]> {
  await checkTarget(folder, field);
  const found = await list();
  for (const { path } of found)
    if (isAbsolute(path) || normalize(path) !== path || path.startsWith('..'))
      throw new FailedPrecondition(`the server named a file outside the folder: ${path}`);
  const target = normalize(folder).replace(/\/+$/, '');
  const temporary = `${target}.${process.pid}.tmp`;
  const total = found.reduce((sum, { bytes }) => sum + bytes, 0);
  try {
    await rm(temporary, { recursive: true, force: true });
    await makeFolder(temporary, callersMode(0o777));
    let before = 0;
    for (const { path, name, bytes } of found) {
      const reached = before;
      await download(channel, name, join(temporary, path), {
        ...(signal ? { signal } : {}),
        onProgress: (done) => onProgress?.(reached + done, total),
      });
      before += bytes;
    }
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => {});
    throw fileError(error, field, folder);
  }
  return found.map(({ path }) => join(target, path)).sort();
}
