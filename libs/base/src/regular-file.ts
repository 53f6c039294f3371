/**
 * Files that users name or that lie in folders from anywhere. Only regular ones are opened, without waiting for what they are; links
 * lead to nothing outside of the folder that was named; and a file system that gives no answer holds up nobody else.
 */
import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, open, realpath, stat } from 'node:fs/promises';
import { basename, sep } from 'node:path';
import { InvalidArgument, Unavailable } from './errors.js';
import { Lanes } from './lanes.js';
import { chunkBytes } from './sent-files.js';

const answerMs = 60_000;
/** Node.js has four threads for files and names of hosts: two are left to others, whatever becomes of files. */
const lanes = new Lanes(2);

/**
 * One call of the file system. One that never ends keeps its thread, but not its caller.
 * @param discard Takes what comes too late.
 * @throws Unavailable when there is no answer in time.
 */
export async function fileWork<T>(
  path: string,
  work: () => Promise<T>,
  discard: (late: T) => unknown = () => {},
  withinMs = answerMs,
): Promise<T> {
  const noAnswer = () =>
    new Unavailable(
      `${path}: the file system gave no answer within ${withinMs / 1000} s; see whether its disk is there`,
    );
  let over = false;
  const result = lanes.run(async () => {
    if (over) throw noAnswer();
    const value = await work();
    if (over) await discard(value);
    return value;
  });
  return new Promise<T>((resolve, reject) => {
    const timer = setTimeout(() => {
      over = true;
      reject(noAnswer());
    }, withinMs);
    result.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

function kindOf(info: Stats): string {
  if (info.isDirectory()) return 'a folder';
  if (info.isFIFO()) return 'a pipe';
  return info.isSocket() ? 'a socket' : 'a device';
}

function refusal(path: string, expected: string, got: string): InvalidArgument {
  return InvalidArgument.at(basename(path), `expected ${expected}, got ${got}: ${path}`);
}

/** An error of the file system in our words where links are to blame; else as it is. */
async function linkError(error: NodeJS.ErrnoException, path: string): Promise<unknown> {
  if (error.code === 'ELOOP') return refusal(path, 'a file', 'links that lead in a circle');
  if (error.code !== 'ENOENT') return error;
  const link = await fileWork(path, () => lstat(path)).catch(() => undefined);
  return link?.isSymbolicLink() ? refusal(path, 'a file', 'a link that leads nowhere') : error;
}

/** Snapshots in a cache of the Hub hold links to the blobs beside them. */
const snapshot = /^(.*[/\\](?:models|datasets)--[^/\\]+)[/\\]snapshots[/\\][^/\\]+/;

async function checkInside(path: string, within: string, opened: Stats): Promise<void> {
  const folder = await fileWork(within, () => realpath(within));
  const root = snapshot.exec(folder)?.[1] ?? folder;
  const real = await fileWork(path, () => realpath(path));
  const there = await fileWork(real, () => stat(real));
  // The file that was opened is the one that was looked for.
  const same = there.ino === opened.ino && there.dev === opened.dev;
  if (!same || !real.startsWith(root.endsWith(sep) ? root : root + sep))
    throw refusal(
      path,
      `a file within ${within}`,
      `a link to ${real}, which is outside; put the file itself there`,
    );
}

export interface RegularFile {
  readonly handle: FileHandle;
  readonly bytes: number;
}

export interface OpenOptions {
  /** The folder that links may not lead out of; without one they may lead anywhere. */
  readonly within?: string;
}

/**
 * Opens a regular file to read it. Close its handle.
 * @throws InvalidArgument when it is a folder, pipe, socket or device, or a link to nowhere or outside; Unavailable when the file
 *   system gives no answer; else the file system's error, as ENOENT.
 */
export async function openRegularFile(path: string, { within }: OpenOptions = {}): Promise<RegularFile> {
  const checked = (info: Stats): Stats => {
    if (!info.isFile()) throw refusal(path, 'a file', kindOf(info));
    return info;
  };
  // A device may do something when it is opened: it is looked at before.
  checked(
    await fileWork(path, () => stat(path)).catch(async (error) => {
      throw await linkError(error, path);
    }),
  );
  const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);
  const handle = await fileWork(
    path,
    () => open(path, flags),
    (late) => late.close(),
  );
  try {
    const opened = checked(await fileWork(path, () => handle.stat()));
    if (within !== undefined) await checkInside(path, within, opened);
    return { handle, bytes: opened.size };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** A file's bytes from one place to another, as many as are there, in pieces. */
export async function* piecesOf(
  handle: FileHandle,
  path: string,
  from = 0,
  to = Number.POSITIVE_INFINITY,
): AsyncGenerator<Uint8Array> {
  for (let at = from; at < to; ) {
    const buffer = Buffer.allocUnsafe(Math.min(chunkBytes, to - at));
    const { bytesRead } = await fileWork(path, () => handle.read(buffer, 0, buffer.length, at));
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
  }
}

const sizeText = (bytes: number) => (bytes % 2 ** 20 === 0 ? `${bytes / 2 ** 20} MiB` : `${bytes} bytes`);

/** The content of a file. @throws as `openRegularFile`; InvalidArgument when it has more bytes. */
export async function readRegularFile(
  path: string,
  { mostBytes, ...options }: OpenOptions & { readonly mostBytes: number },
): Promise<Buffer> {
  const { handle, bytes } = await openRegularFile(path, options);
  try {
    if (bytes > mostBytes) throw refusal(path, `at most ${sizeText(mostBytes)}`, sizeText(bytes));
    const pieces: Uint8Array[] = [];
    for await (const piece of piecesOf(handle, path, 0, mostBytes)) pieces.push(piece);
    return Buffer.concat(pieces);
  } finally {
    await handle.close();
  }
}
