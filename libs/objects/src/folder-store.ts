/** An object store in a folder of this machine: one file for each object. */
import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import {
  copyFile,
  type FileHandle,
  link,
  mkdir,
  open,
  rename,
  rm,
  rmdir,
  stat,
  statfs,
  writeFile,
} from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { InvalidArgument, NotFound, syncToDisk } from '@emotune/base';
import { type Damage, damaged, replaced } from './damage.js';
import { entries, filesBelow, isAbsent, storeError } from './files.js';
import { checkedFolder, checkedKey } from './key.js';
import type { FolderLease, ObjectInfo, ObjectStat, ObjectStore } from './store.js';
import { Sums, sumOf } from './sums.js';

/** Where objects are written before they are renamed to their place. */
const incoming = '.incoming';
/** What objects should hold. */
const sumsFolder = '.sums';
/** No key begins with them. */
const reserved: readonly string[] = [incoming, sumsFolder];
/** What a killed writer left there is removed when it has not changed for this long. */
const abandonedMs = 3_600_000;
/** Read at once. */
const readBytes = 2 ** 20;

async function statOf(path: string): Promise<ObjectStat | undefined> {
  try {
    const found = await stat(path);
    return found.isFile() ? { bytes: found.size, putMs: found.mtimeMs } : undefined;
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw storeError(error, path);
  }
}

/** What `use` makes of a file. */
async function opened<T>(path: string, use: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await open(path, 'r');
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

/** Removes the folder, and those in it, where they hold nothing. */
async function removeEmpty(folder: string): Promise<void> {
  for (const entry of await entries(folder))
    if (entry.isDirectory()) await removeEmpty(join(folder, entry.name));
  await rmdir(folder).catch((error) => {
    if (!isAbsent(error) && error.code !== 'ENOTEMPTY') throw storeError(error, folder);
  });
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
  private readonly sums: Sums;

  private constructor(private readonly root: string) {
    this.url = pathToFileURL(root).href;
    this.sums = new Sums(join(root, sumsFolder));
  }

  /** Opens the store in this folder, which is made when it is missing. @throws FailedPrecondition, ResourceExhausted. */
  static async open(root: string): Promise<FolderStore> {
    try {
      await mkdir(join(root, incoming), { recursive: true });
    } catch (error) {
      throw storeError(error, root);
    }
    const store = new FolderStore(root);
    await store.leftovers(abandonedMs, true);
    return store;
  }

  private path(key: string): string {
    const checked = checkedKey(key);
    const [first] = checked.split('/');
    if (reserved.includes(first))
      throw InvalidArgument.at('key', `expected a key outside ${first}/, got ${key}`);
    return join(this.root, checked);
  }

  /** `write` fills a temporary file, which then takes its place. */
  private async place(key: string, write: (temporary: string) => Promise<void>): Promise<void> {
    const path = this.path(key);
    const temporary = join(this.root, incoming, randomUUID());
    try {
      await write(temporary);
      await syncToDisk(temporary);
      await this.sums.expect(key, await opened(temporary, sumOf));
      await moveTo(path, temporary);
      await this.sums.placed(key);
    } catch (error) {
      await rm(temporary, { force: true });
      throw storeError(error, path);
    }
  }

  put(key: string, data: Uint8Array | string | AsyncIterable<Uint8Array>): Promise<void> {
    return this.place(key, (temporary) => writeFile(temporary, data));
  }

  /** The object's file, checked. @throws NotFound, DataLoss */
  private async openChecked(key: string): Promise<FileHandle> {
    const path = this.path(key);
    let file: FileHandle | undefined;
    try {
      file = await open(path, 'r');
      const { damage } = await this.sums.look(key, path, file);
      if (damage) throw damaged([damage]);
      return file;
    } catch (error) {
      await file?.close();
      const loss = isAbsent(error) ? await this.sums.lossOf(key) : undefined;
      throw loss ? damaged([loss]) : this.readError(error, key, path);
    }
  }

  async get(key: string): Promise<Uint8Array> {
    const file = await this.openChecked(key);
    try {
      return await file.readFile();
    } finally {
      await file.close();
    }
  }

  private readError(error: unknown, key: string, path: string): unknown {
    return isAbsent(error)
      ? new NotFound(`expected an object ${key} in ${this.url}`, { cause: error })
      : storeError(error, path);
  }

  async *read(key: string, from = 0): AsyncGenerator<Uint8Array> {
    const file = await this.openChecked(key);
    // The stream closes the file.
    yield* file.createReadStream({ start: from, highWaterMark: readBytes });
  }

  stat(key: string): Promise<ObjectStat | undefined> {
    return statOf(this.path(key));
  }

  async exists(key: string): Promise<boolean> {
    return (await this.stat(key)) !== undefined;
  }

  async freeBytes(): Promise<number> {
    try {
      const { bavail, bsize } = await statfs(this.root);
      return bavail * bsize;
    } catch (error) {
      throw storeError(error, this.root);
    }
  }

  async list(prefix: string): Promise<ObjectInfo[]> {
    const slash = prefix.lastIndexOf('/');
    const folder = slash < 0 ? this.root : this.path(prefix.slice(0, slash));
    const objects: ObjectInfo[] = [];
    for (const { name } of await entries(folder)) {
      const begin = relative(this.root, join(folder, name));
      if (reserved.includes(begin)) continue;
      if (begin.startsWith(prefix)) await this.objectsAt(begin, objects);
    }
    return objects.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** The object of that key, and those below it. */
  private async objectsAt(key: string, objects: ObjectInfo[] = []): Promise<ObjectInfo[]> {
    const path = join(this.root, key);
    for (const file of [path, ...(await filesBelow(path))]) {
      const found = await statOf(file);
      if (found) objects.push({ key: relative(this.root, file), ...found });
    }
    return objects;
  }

  async leftovers(unchangedMs: number, remove: boolean): Promise<ObjectInfo[]> {
    const folder = join(this.root, incoming);
    const left: ObjectInfo[] = [];
    for (const { name } of await entries(folder)) {
      const path = join(folder, name);
      const found = await stat(path).catch(() => undefined);
      if (!found || Date.now() - found.mtimeMs < unchangedMs) continue;
      left.push({ key: `${incoming}/${name}`, bytes: found.size, putMs: found.mtimeMs });
      try {
        if (remove) await rm(path, { force: true });
      } catch (error) {
        throw storeError(error, path);
      }
    }
    return left;
  }

  async delete(prefix: string): Promise<void> {
    const path = this.path(checkedFolder(prefix));
    try {
      await this.sums.leaving(checkedFolder(prefix));
      // Again where an object came into a folder that was about to go.
      await rm(path, { recursive: true, force: true, maxRetries: 100, retryDelay: 1 });
      await this.sums.remove(checkedFolder(prefix));
    } catch (error) {
      throw storeError(error, path);
    }
  }

  async deleteOld(prefix: string, putMs: number): Promise<void> {
    const below = checkedFolder(prefix);
    for (const object of await this.objectsAt(relative(this.root, this.path(below))))
      if (object.putMs < putMs) await this.removeOld(object.key, putMs);
    for (const root of [this.root, join(this.root, sumsFolder)]) await removeEmpty(join(root, below));
  }

  /** Takes the object away first and looks at what it took: another may have come in its place, which goes back. */
  private async removeOld(key: string, putMs: number): Promise<void> {
    const path = this.path(key);
    const taken = join(this.root, incoming, randomUUID());
    try {
      await this.sums.leaving(key);
      await rename(path, taken);
      const { mtimeMs } = await stat(taken);
      if (mtimeMs < putMs) await this.sums.remove(key);
      else {
        // Unless one has come that is newer still.
        await link(taken, path).catch((error) => {
          if (error.code !== 'EEXIST') throw error;
        });
        await this.sums.stays(key);
      }
    } catch (error) {
      if (!isAbsent(error)) throw storeError(error, path);
    } finally {
      await rm(taken, { force: true });
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

  /**
   * What tells the files below a folder of the store from others in their place.
   * @throws NotFound when there are none; DataLoss
   */
  private async contentsBelow(prefix: string): Promise<string> {
    const keysBelow = async (root: string) =>
      (await filesBelow(join(root, prefix))).map((path) => relative(root, path)).sort();
    const keys = await keysBelow(this.root);
    const there = new Set(keys);
    const damages: Damage[] = [];
    const contents: string[] = [];
    for (const key of await keysBelow(join(this.root, sumsFolder))) {
      const loss = there.has(key) ? undefined : await this.sums.lossOf(key);
      if (loss) damages.push(loss);
    }
    for (const key of keys) {
      const path = this.path(key);
      try {
        const { content, damage } = await opened(path, (file) => this.sums.look(key, path, file));
        if (damage) damages.push(damage);
        contents.push(`${key} ${content}`);
      } catch (error) {
        // It has gone since it was listed.
        const loss = isAbsent(error) ? await this.sums.lossOf(key) : undefined;
        if (!loss) throw this.readError(error, key, path);
        damages.push(loss);
      }
    }
    if (damages.length > 0) throw damaged(damages);
    if (keys.length === 0) throw new NotFound(`expected objects below ${prefix} in ${this.url}`);
    return contents.join('\n');
  }

  /** The store's own folder, which needs no release: nothing is ever evicted from it. */
  async folder(prefix: string): Promise<FolderLease> {
    const below = checkedFolder(prefix);
    const path = this.path(below);
    const lent = await this.contentsBelow(below);
    const intact = async () => {
      if ((await this.contentsBelow(below)) !== lent) throw replaced(below);
    };
    const release = async () => {};
    return { path, intact, release, [Symbol.asyncDispose]: release };
  }
}
