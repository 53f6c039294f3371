/** The contract that every object store keeps. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidArgument, NotFound } from '@emotune/base';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ObjectStore } from './store.js';

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

    it('says what is not there', async () => {
      await store.put('a/b', 'x');
      expect(await store.exists('a/b')).toBe(true);
      for (const key of ['a', 'a/c', 'a/b/c', 'c']) {
        expect(await store.exists(key)).toBe(false);
        await expect(store.get(key)).rejects.toThrow(NotFound);
      }
      await expect(store.folder('c')).rejects.toThrow(NotFound);
    });

    it('lists by beginning of the key, in order, with sizes', async () => {
      for (const key of ['b/2', 'b/10', 'a', 'b/1/x', 'bc']) await store.put(key, key);
      expect(await store.list('')).toEqual([
        { key: 'a', bytes: 1 },
        { key: 'b/1/x', bytes: 5 },
        { key: 'b/10', bytes: 4 },
        { key: 'b/2', bytes: 3 },
        { key: 'bc', bytes: 2 },
      ]);
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
      const folder = await store.folder('models/m/v1');
      expect(readFileSync(join(folder, 'a.json'), 'utf8')).toBe('manifest');
      expect([...readFileSync(join(folder, 'nested', 'b.bin'))]).toEqual([7]);
      await expect(store.putFolder('x', local, 'none.json')).rejects.toThrow(InvalidArgument);
      await expect(store.putFolder('x', join(local, 'none'))).rejects.toThrow(NotFound);
      expect(await keys('x')).toEqual([]);
    });
  });
}
