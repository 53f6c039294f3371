/** An object store in a folder of this machine: one file for each object. */
import { randomUUID } from 'node:crypto';
import { constants, createReadStream, type Dirent } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted, syncToDisk } from '@emotune/base';
import { checkedFolder, checkedKey } from './key.js';
import type { FolderLease, ObjectInfo, ObjectStat, ObjectStore } from './store.js';

/** Where objects are written before they are renamed to their place. No key begins with it. */
const incoming = '.incoming';
/** What a killed writer left there is removed when it has not changed for this long. */
const abandonedMs = 3_600_000;
/** Read at once. */
const readBytes = 2 ** 20;

/** A failure of the file system in our words; anything else as it is. */
export function storeError(error: unknown, path: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  const cause = { cause: error };
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new ResourceExhausted(
        `${path}: the disk is full (${code}); free some space, then try again`,
        cause,
      );
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new FailedPrecondition(
        `${path}: expected a place that may be written, got ${code}; give this user access to it or choose another folder`,
        cause,
      );
    case 'ENOTDIR':
    case 'EEXIST':
    case 'EISDIR':
      return new FailedPrecondition(
        `${path}: expected folders on the way to an object, and none in its place, got ${code}; move what is in the way`,
        cause,
      );
    case 'ENAMETOOLONG':
      return InvalidArgument.at('key', `expected shorter parts, got ${path}`, cause);
    default:
      return error;
  }
}

/** The object is not there: nothing by that name, a folder, or a file where a folder would be. */
function isAbsent(error: unknown): boolean {
  return ['ENOENT', 'EISDIR', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');
}

async function entries(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (isAbsent(error)) return [];
    throw storeError(error, folder);
  }
}

/** Paths of the files below a folder. */
async function filesBelow(folder: string): Promise<string[]> {
  const found = await entries(folder);
  const nested = await Promise.all(
    found.map((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? filesBelow(path) : entry.isFile() ? [path] : [];
    }),
  );
  return nested.flat();
}

/** Whoever deletes below the same prefix meanwhile may remove the folder on the way: then it is made again. */
async function moveTo(path: string, temporary: string): Promise<void> {
  for (let tries = 5; ; tries--) {
    try {
      await mkdir(dirname(path), { recursive: true });
      await rename(temporary, path);
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || tries === 0) throw error;
    }
  }
  await syncToDisk(dirname(path)).catch((error) => {
    if (!isAbsent(error)) throw error;
  });
}

export class FolderStore implements ObjectStore {
  readonly url: string;

  private constructor(private readonly root: string) {
    this.url = pathToFileURL(root).href;
  }

  /** Opens the store in this folder, which is made when it is missing. @throws FailedPrecondition, ResourceExhausted. */
  static async open(root: string): Promise<FolderStore> {
    const folder = join(root, incoming);
    try {
      await mkdir(folder, { recursive: true });
      for (const { name } of await entries(folder)) {
        const { mtimeMs } = await stat(join(folder, name)).catch(() => ({
          mtimeMs: Number.POSITIVE_INFINITY,
        }));
        if (Date.now() - mtimeMs > abandonedMs) await rm(join(folder, name), { force: true });
      }
    } catch (error) {
      throw storeError(error, root);
    }
    return new FolderStore(root);
  }

  private path(key: string): string {
    const checked = checkedKey(key);
    if (checked.split('/')[0] === incoming)
      throw InvalidArgument.at('key', `expected a key outside ${incoming}/, got ${key}`);
    return join(this.root, checked);
  }

  /** `write` fills a temporary file, which then takes its place. */
  private async place(key: string, write: (temporary: string) => Promise<void>): Promise<void> {
    const path = this.path(key);
    const temporary = join(this.root, incoming, randomUUID());
    try {
      await write(temporary);
      await syncToDisk(temporary);
      await moveTo(path, temporary);
    } catch (error) {
      await rm(temporary, { force: true });
      throw storeError(error, path);
    }
  }

  put(key: string, data: Uint8Array | string | AsyncIterable<Uint8Array>): Promise<void> {
    return this.place(key, (temporary) => writeFile(temporary, data));
  }

  async get(key: string): Promise<Uint8Array> {
    const path = this.path(key);
    try {
      return await readFile(path);
    } catch (error) {
      throw this.readError(error, key, path);
    }
  }

  private readError(error: unknown, key: string, path: string): unknown {
    return isAbsent(error)
      ? new NotFound(`expected an object ${key} in ${this.url}`, { cause: error })
      : storeError(error, path);
  }

  async *read(key: string, from = 0): AsyncGenerator<Uint8Array> {
    const path = this.path(key);
    try {
      yield* createReadStream(path, { start: from, highWaterMark: readBytes });
    } catch (error) {
      throw this.readError(error, key, path);
    }
  }

  async stat(key: string): Promise<ObjectStat | undefined> {
    const path = this.path(key);
    try {
      const found = await stat(path);
      return found.isFile() ? { bytes: found.size, putMs: found.mtimeMs } : undefined;
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw storeError(error, path);
    }
  }

  async exists(key: string): Promise<boolean> {
    return (await this.stat(key)) !== undefined;
  }

  async list(prefix: string): Promise<ObjectInfo[]> {
    const slash = prefix.lastIndexOf('/');
    const folder = slash < 0 ? this.root : this.path(prefix.slice(0, slash));
    const objects: ObjectInfo[] = [];
    for (const path of await filesBelow(folder)) {
      const key = relative(this.root, path);
      if (!key.startsWith(prefix) || key.startsWith(`${incoming}/`)) continue;
      const info = await stat(path).catch((error) => {
        if (isAbsent(error)) return undefined;
        throw storeError(error, path);
      });
      if (info) objects.push({ key, bytes: info.size });
    }
    return objects.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  async delete(prefix: string): Promise<void> {
    const path = this.path(checkedFolder(prefix));
    try {
      // Again where an object came into a folder that was about to go.
      await rm(path, { recursive: true, force: true, maxRetries: 100, retryDelay: 1 });
    } catch (error) {
      throw storeError(error, path);
    }
  }

  async putFolder(prefix: string, folder: string, last?: string): Promise<void> {
    const below = checkedFolder(prefix);
    const files = (await filesBelow(folder)).map((path) => relative(folder, path)).sort();
    if (files.length === 0) throw new NotFound(`expected files to store in ${folder}, got none`);
    if (last !== undefined && !files.includes(last))
      throw InvalidArgument.at('last', `expected a file of ${basename(folder)}, got ${last}`);
    for (const file of [...files.filter((name) => name !== last), ...(last === undefined ? [] : [last])]) {
      await this.place(`${below}/${file}`, (temporary) =>
        copyFile(join(folder, file), temporary, constants.COPYFILE_FICLONE),
      );
    }
  }

  /** The store's own folder, which needs no release: nothing is ever evicted from it. */
  async folder(prefix: string): Promise<FolderLease> {
    const path = this.path(checkedFolder(prefix));
    if ((await filesBelow(path)).length === 0)
      throw new NotFound(`expected objects below ${prefix} in ${this.url}`);
    const release = async () => {};
    return { path, release, [Symbol.asyncDispose]: release };
  }
}
