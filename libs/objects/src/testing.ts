/** The contract that every object store keeps. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InvalidArgument, NotFound, sha256 } from '@emotune/base';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FolderLease, ObjectStore } from './store.js';
import { uploadKey } from './uploads.js';

/** `create` gives an empty store; `again` another client of the store at that URL. */
export function objectStoreContract(
  name: string,
  { create, again }: { create: () => Promise<ObjectStore>; again: (url: string) => Promise<ObjectStore> },
): void {
  describe(`${name} keeps the object store contract`, () => {
    let store: ObjectStore;
    let local: string;
    beforeEach(async () => {
      store = await create();
      local = mkdtempSync(join(tmpdir(), 'emotune-local-'));
    });
    afterEach(() => rmSync(local, { recursive: true, force: true }));

    const text = async (key: string, from = store) => Buffer.from(await from.get(key)).toString();
    const keys = async (prefix: string) => (await store.list(prefix)).map(({ key }) => key);

    it('gives back what was put, to every client of its URL, and replaces it', async () => {
      await store.put('a/b.txt', 'one');
      expect(await text('a/b.txt')).toBe('one');
      expect(await text('a/b.txt', await again(store.url))).toBe('one');
      await store.put('a/b.txt', Uint8Array.from([0, 255, 10]));
      expect([...(await store.get('a/b.txt'))]).toEqual([0, 255, 10]);
      await store.put('empty', '');
      expect(await store.get('empty')).toHaveLength(0);
    });

    it('takes an object in pieces, and none of it when they end in an error', async () => {
      async function* pieces(end?: Error) {
        yield Buffer.from('one ');
        yield Buffer.from('two');
        if (end) throw end;
      }
      await store.put('a', pieces());
      expect(await text('a')).toBe('one two');
      const failure = new Error('broken off');
      await expect(store.put('a', pieces(failure))).rejects.toBe(failure);
      await expect(store.put('b', pieces(failure))).rejects.toBe(failure);
      expect(await text('a')).toBe('one two');
      expect(await keys('')).toEqual(['a']);
    });

    it('reads an object from anywhere, and goes on with the one that it began', async () => {
      const collect = async (key: string, from?: number) => {
        const all: Uint8Array[] = [];
        for await (const piece of store.read(key, from)) all.push(piece);
        return Buffer.concat(all).toString();
      };
      await store.put('a', 'abc');
      expect([await collect('a'), await collect('a', 2), await collect('a', 3)]).toEqual(['abc', 'c', '']);
      await expect(collect('b')).rejects.toThrow(NotFound);
      await store.put('folder/a', 'x');
      await expect(collect('folder')).rejects.toThrow(NotFound);
      await store.put('big', 'o'.repeat(5_000_000));
      let seen = 0;
      for await (const piece of store.read('big')) {
        if (seen === 0) await store.put('big', 'n'.repeat(5_000_000));
        seen += piece.length;
        expect(piece.every((byte) => byte === 111)).toBe(true);
      }
      expect(seen).toBe(5_000_000);
    });

    it('tells how large an object is and when it was put', async () => {
      await store.put('a/b', 'xyz');
      const found = await store.stat('a/b');
      expect(found?.bytes).toBe(3);
      expect(Math.abs(Date.now() - found!.putMs)).toBeLessThan(600_000);
      expect([await store.stat('a'), await store.stat('c')]).toEqual([undefined, undefined]);
    });

    it('tells how much room there is', async () => {
      expect(await store.freeBytes()).toBeGreaterThan(0);
    });

    it('says what is not there', async () => {
      await store.put('a/b', 'x');
      expect(await store.exists('a/b')).toBe(true);
      for (const key of ['a', 'a/c', 'a/b/c', 'c']) {
        expect(await store.exists(key)).toBe(false);
        await expect(store.get(key)).rejects.toThrow(NotFound);
      }
      await expect(store.folder('c')).rejects.toThrow(NotFound);
    });

    it('lists by beginning of the key, in order, with sizes and when each was put', async () => {
      for (const key of ['b/2', 'b/10', 'a', 'b/1/x', 'bc']) await store.put(key, key);
      const putMs = expect.any(Number);
      expect(await store.list('')).toEqual([
        { key: 'a', bytes: 1, putMs },
        { key: 'b/1/x', bytes: 5, putMs },
        { key: 'b/10', bytes: 4, putMs },
        { key: 'b/2', bytes: 3, putMs },
        { key: 'bc', bytes: 2, putMs },
      ]);
      // Some stores tell whole seconds to one of the two.
      expect(Math.abs((await store.list('a'))[0].putMs - (await store.stat('a'))!.putMs)).toBeLessThan(1000);
      expect(await keys('b/')).toEqual(['b/1/x', 'b/10', 'b/2']);
      expect(await keys('b')).toEqual(['b/1/x', 'b/10', 'b/2', 'bc']);
      expect(await keys('b/1')).toEqual(['b/1/x', 'b/10']);
      expect(await keys('c/')).toEqual([]);
    });

    it('removes an object, or all below a prefix, and nothing whose name only begins alike', async () => {
      for (const key of ['v1/a', 'v1/b/c', 'v10/a', 'v2']) await store.put(key, 'x');
      await store.delete('v1');
      await store.delete('v2');
      await store.delete('none/');
      expect(await keys('')).toEqual(['v10/a']);
    });

    it('removes what was put before a time, and leaves what came since', async () => {
      for (const key of ['v1/a', 'v1/b/c', 'v10/a']) await store.put(key, 'old');
      const before = (await store.stat('v10/a'))!.putMs;
      const renewed = async () => {
        await store.put('v1/b/c', 'new');
        return (await store.stat('v1/b/c'))!.putMs;
      };
      await expect.poll(renewed, { timeout: 10_000 }).toBeGreaterThan(before);
      await store.deleteOld('v1', (await store.stat('v1/b/c'))!.putMs);
      await store.deleteOld('none', Date.now());
      expect(await keys('')).toEqual(['v1/b/c', 'v10/a']);
      expect(await text('v1/b/c')).toBe('new');
    });

    it('takes objects while others remove what lies beside them', async () => {
      let putting = true;
      const removed = (async () => {
        while (putting) await store.delete('busy');
      })();
      for (let i = 0; i < 50; i++) await store.put(`busy/${i}/a`, 'x');
      putting = false;
      await removed;
      await store.put('busy/a', 'x');
      expect(await store.exists('busy/a')).toBe(true);
    });

    it('refuses keys that are no paths inside it', async () => {
      for (const key of [
        '',
        '/a',
        'a/',
        'a//b',
        '../a',
        'a/../b',
        'a/./b',
        'a\\b',
        'a\0b',
        'x'.repeat(1025),
      ]) {
        await expect(store.put(key, 'x')).rejects.toThrow(InvalidArgument);
        await expect(store.get(key)).rejects.toThrow(InvalidArgument);
      }
      await expect(store.delete('')).rejects.toThrow(InvalidArgument);
      await expect(store.delete('..')).rejects.toThrow(InvalidArgument);
      expect(await keys('')).toEqual([]);
    });

    it('shows a reader whole objects only, whoever writes meanwhile', async () => {
      const versions = ['a', 'b'].map((letter) => letter.repeat(2_000_000));
      await store.put('big', versions[0]);
      let writing = true;
      const writers = versions.map(async (version) => {
        for (let i = 0; i < 4; i++) await store.put('big', version);
      });
      const done = Promise.all(writers).finally(() => {
        writing = false;
      });
      while (writing) {
        expect(versions.includes(await text('big'))).toBe(true);
        expect(await keys('')).toEqual(['big']);
      }
      await done;
    });

    it('stores a folder, the file named last at the end, and gives it back as one', async () => {
      mkdirSync(join(local, 'nested'));
      writeFileSync(join(local, 'a.json'), 'manifest');
      writeFileSync(join(local, 'nested', 'b.bin'), Uint8Array.from([7]));
      const seen: string[][] = [];
      let storing = true;
      const stored = store.putFolder('models/m/v1', local, 'a.json').finally(() => {
        storing = false;
      });
      while (storing) seen.push(await keys('models/'));
      await stored;
      const all = ['models/m/v1/a.json', 'models/m/v1/nested/b.bin'];
      expect(await keys('models/')).toEqual(all);
      for (const found of seen) if (found.includes(all[0])) expect(found).toEqual(all);
      await using folder = await store.folder('models/m/v1');
      expect(readFileSync(join(folder.path, 'a.json'), 'utf8')).toBe('manifest');
      expect([...readFileSync(join(folder.path, 'nested', 'b.bin'))]).toEqual([7]);
      await expect(store.putFolder('x', local, 'none.json')).rejects.toThrow(InvalidArgument);
      await expect(store.putFolder('x', join(local, 'none'))).rejects.toThrow(NotFound);
      expect(await keys('x')).toEqual([]);
    });

    it('keeps a folder for as long as one of its leases is not released, twice or at the end of a block', async () => {
      await store.put('models/m/config.json', 'v1');
      const read = ({ path }: FolderLease) => readFileSync(join(path, 'config.json'), 'utf8');
      const kept = await store.folder('models/m');
      {
        await using short = await store.folder('models/m');
        expect(read(short)).toBe('v1');
      }
      const other = await store.folder('models/m');
      await other.release();
      await other.release();
      expect(read(kept)).toBe('v1');
      await kept.release();
      await using later = await store.folder('models/m');
      expect(read(later)).toBe('v1');
    });
  });
}

/** Makes these bytes an upload without sending them; gives their hash. */
export async function putUpload(objects: ObjectStore, content: Uint8Array | string): Promise<string> {
  const hash = sha256(content);
  await objects.put(uploadKey(hash, 'sha256'), content);
  return hash;
}

/** A disk of so many bytes at a folder, which is made; undefined where this user may not mount one. */
export function smallDisk(folder: string, bytes: number): (() => void) | undefined {
  mkdirSync(folder, { recursive: true });
  const run = (...command: [string, ...string[]]) =>
    spawnSync(command[0], command.slice(1), { stdio: 'ignore' }).status === 0;
  if (!run('mount', '-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', folder)) return undefined;
  return () => {
    if (!run('umount', folder)) run('umount', '-l', folder);
  };
}

/** Changes bytes in the middle of an object that lies in a folder, as a failing disk does. */
export function damageObject({ url }: ObjectStore, key: string): void {
  const path = join(fileURLToPath(url), key);
  const bytes = readFileSync(path);
  const middle = Math.floor(bytes.length / 2);
  bytes.subarray(middle, middle + 200).forEach((byte, i, part) => {
    part[i] = byte ^ 0xff;
  });
  writeFileSync(path, bytes);
}

/**
 * A store whose folders are copies that are gone once nobody holds them, as those of a cache may be at any time: code that
 * goes on reading after its release fails, and `held` tells what was never released.
 */
export class EvictingStore implements ObjectStore {
  /** Leases that are not released. */
  held = 0;
  readonly url: string;
  readonly put: ObjectStore['put'];
  readonly get: ObjectStore['get'];
  readonly read: ObjectStore['read'];
  readonly stat: ObjectStore['stat'];
  readonly exists: ObjectStore['exists'];
  readonly freeBytes: ObjectStore['freeBytes'];
  readonly list: ObjectStore['list'];
  readonly leftovers: ObjectStore['leftovers'];
  readonly delete: ObjectStore['delete'];
  readonly deleteOld: ObjectStore['deleteOld'];
  readonly putFolder: ObjectStore['putFolder'];
  private readonly copies = new Map<string, { readonly path: Promise<string>; users: number }>();

  constructor(private readonly store: ObjectStore) {
    this.url = store.url;
    this.put = store.put.bind(store);
    this.get = store.get.bind(store);
    this.read = store.read.bind(store);
    this.stat = store.stat.bind(store);
    this.exists = store.exists.bind(store);
    this.freeBytes = store.freeBytes.bind(store);
    this.list = store.list.bind(store);
    this.leftovers = store.leftovers.bind(store);
    this.delete = store.delete.bind(store);
    this.deleteOld = store.deleteOld.bind(store);
    this.putFolder = store.putFolder.bind(store);
  }

  private async copyOf(prefix: string): Promise<string> {
    await using folder = await this.store.folder(prefix);
    const path = mkdtempSync(join(tmpdir(), 'emotune-cached-'));
    cpSync(folder.path, path, { recursive: true });
    return path;
  }

  async folder(prefix: string): Promise<FolderLease> {
    const copy = this.copies.get(prefix) ?? { path: this.copyOf(prefix), users: 0 };
    this.copies.set(prefix, copy);
    copy.users++;
    const leave = async () => {
      if (--copy.users > 0) return;
      if (this.copies.get(prefix) === copy) this.copies.delete(prefix);
      await copy.path.then(
        (path) => rmSync(path, { recursive: true, force: true }),
        () => {},
      );
    };
    const path = await copy.path.catch(async (error) => {
      await leave();
      throw error;
    });
    this.held++;
    let released: Promise<void> | undefined;
    const release = () => {
      if (!released) {
        this.held--;
        released = leave();
      }
      return released;
    };
    // Nobody changes a copy.
    const intact = async () => {};
    return { path, intact, release, [Symbol.asyncDispose]: release };
  }
}
