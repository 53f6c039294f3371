import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  DataLoss,
  FailedPrecondition,
  InvalidArgument,
  NotFound,
  ResourceExhausted,
  sha256,
} from '@emotune/base';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { storeError } from './files.js';
import { FolderStore } from './folder-store.js';
import { openObjectStore } from './open.js';
import { EvictingStore, objectStoreContract } from './testing.js';
import { isWhole } from './whole.js';

const folders: string[] = [];
function temporaryFolder(): string {
  folders.push(mkdtempSync(join(tmpdir(), 'emotune-objects-')));
  return folders.at(-1)!;
}
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

objectStoreContract('FolderStore', {
  create: () => FolderStore.open(join(temporaryFolder(), 'objects with space')),
  again: openObjectStore,
});

objectStoreContract('EvictingStore', {
  create: async () => new EvictingStore(await FolderStore.open(temporaryFolder())),
  again: async (url) => new EvictingStore(await openObjectStore(url)),
});

describe('EvictingStore', () => {
  it('keeps a copy only while it is held', async () => {
    const store = new EvictingStore(await FolderStore.open(temporaryFolder()));
    await store.put('m/a', 'x');
    const [one, two] = [await store.folder('m'), await store.folder('m')];
    await one.release();
    await one.release();
    expect([store.held, existsSync(join(two.path, 'a'))]).toEqual([1, true]);
    await two.release();
    expect([store.held, existsSync(two.path)]).toEqual([0, false]);
    await expect(store.folder('none')).rejects.toThrow('expected objects below none');
    expect(store.held).toBe(0);
  });
});

describe('FolderStore', () => {
  let root: string;
  beforeEach(() => {
    root = temporaryFolder();
  });

  it('removes what a killed writer left long ago and spares what is being written', async () => {
    await FolderStore.open(root);
    const incoming = join(root, '.incoming');
    for (const name of ['old', 'new']) writeFileSync(join(incoming, name), 'part');
    const twoHoursAgo = Date.now() / 1000 - 7200;
    utimesSync(join(incoming, 'old'), twoHoursAgo, twoHoursAgo);
    const store = await FolderStore.open(root);
    expect(readdirSync(incoming)).toEqual(['new']);
    expect(await store.list('')).toEqual([]);
    // Also while it is open.
    utimesSync(join(incoming, 'new'), twoHoursAgo, twoHoursAgo);
    expect(await store.leftovers(10_000_000, true)).toEqual([]);
    const left = [{ key: '.incoming/new', bytes: expect.any(Number), putMs: expect.any(Number) }];
    expect(await store.leftovers(3_600_000, false)).toEqual(left);
    expect(await store.leftovers(3_600_000, true)).toEqual(left);
    expect(readdirSync(incoming)).toEqual([]);
    for (const folder of ['.incoming', '.sums'])
      await expect(store.put(`${folder}/x`, 'y')).rejects.toThrow(InvalidArgument);
  });

  it('removes nothing that comes in the place of what is old just then', async () => {
    const store = await FolderStore.open(root);
    for (let i = 0; i < 200; i++) {
      await store.put('v/a', 'old');
      utimesSync(join(root, 'v', 'a'), 1000, 1000);
      await Promise.all([store.deleteOld('v', 2_000_000), store.put('v/a', 'new')]);
      expect(Buffer.from(await store.get('v/a')).toString()).toBe('new');
    }
    expect(await store.list('')).toMatchObject([{ key: 'v/a' }]);
    await store.deleteOld('v', Date.now() + 60_000);
    expect([...readdirSync(root), ...readdirSync(join(root, '.sums'))]).toEqual(['.incoming', '.sums']);
  });

  it('says what is in the way, and leaves nothing half-written', async () => {
    const store = await FolderStore.open(root);
    await store.put('a', 'file');
    const failed = await store.put('a/b', 'x').catch((error) => error);
    expect(failed).toBeInstanceOf(FailedPrecondition);
    expect(failed.message).toContain(join(root, 'a', 'b'));
    expect(readdirSync(join(root, '.incoming'))).toEqual([]);
    writeFileSync(join(root, 'plain'), '');
    await expect(FolderStore.open(join(root, 'plain'))).rejects.toThrow(FailedPrecondition);
  });

  it.skipIf(process.getuid?.() === 0)('names a folder that may not be written', async () => {
    const store = await FolderStore.open(root);
    mkdirSync(join(root, 'models'));
    chmodSync(join(root, 'models'), 0o500);
    await expect(store.put('models/a', 'x')).rejects.toThrow(
      `${join(root, 'models', 'a')}: expected a place that may be written, got EACCES`,
    );
    chmodSync(join(root, 'models'), 0o700);
  });

  it.each([
    ['ENOSPC', ResourceExhausted, '/data/x: the disk is full (ENOSPC); free some space, then try again'],
    ['EDQUOT', ResourceExhausted, '/data/x: the disk is full (EDQUOT); free some space, then try again'],
    ['EROFS', FailedPrecondition, '/data/x: expected a place that may be written, got EROFS'],
    ['ENAMETOOLONG', InvalidArgument, 'key: expected shorter parts, got /data/x'],
  ])('tells %s in our words', (code, kind, message) => {
    const cause = Object.assign(new Error(code), { code });
    const told = storeError(cause, '/data/x') as Error;
    expect(told).toBeInstanceOf(kind);
    expect(told.message).toContain(message);
    expect(told.cause).toBe(cause);
  });
});

describe('damage of a FolderStore', () => {
  const whole = 'weights '.repeat(500_000);
  let root: string;
  let store: FolderStore;
  const path = (key: string) => join(root, key);
  beforeEach(async () => {
    root = temporaryFolder();
    store = await FolderStore.open(root);
    await store.put('models/m/v1/model.safetensors', whole);
    await store.put('models/m/v1/config.json', '{"model_type":"opt"}');
    // As a process finds them that has checked them before.
    await new Promise((resolve) => setTimeout(resolve, 150));
    await store.folder('models/m/v1');
  });

  const weights = 'models/m/v1/model.safetensors';
  const config = 'models/m/v1/config.json';
  const flip = (key: string) => {
    const times = statSync(path(key));
    const file = openSync(path(key), 'r+');
    writeSync(file, 'X', 5);
    closeSync(file);
    // Even where the time of the last change is what it was.
    utimesSync(path(key), times.atime, times.mtime);
  };

  it.each<[string, string, () => void]>([
    ['changed bytes', weights, () => flip(weights)],
    ['a shorter file', weights, () => truncateSync(path(weights), 1_000_000)],
    ['a longer file', config, () => writeFileSync(path(config), ' ', { flag: 'a' })],
    ['an empty file', config, () => truncateSync(path(config), 0)],
    ['a missing file', weights, () => rmSync(path(weights))],
    ['another file in its place', weights, () => copyFileSync(path(config), path(weights))],
    [
      'files that changed places',
      weights,
      () => {
        renameSync(path(weights), path('other'));
        renameSync(path(config), path(weights));
        renameSync(path('other'), path(config));
      },
    ],
    [
      'a link in its place',
      weights,
      () => {
        rmSync(path(weights));
        symlinkSync(path(config), path(weights));
      },
    ],
  ])('names %s, uses nothing of it, and is mended by putting it again', async (_, key, harm) => {
    const lease = await store.folder('models/m/v1');
    harm();
    const read = async () => {
      for await (const _ of store.read(key)) throw new Error('it was read');
    };
    for (const use of [
      () => lease.intact(),
      () => store.folder('models/m/v1'),
      () => store.get(key),
      read,
      async () => (await FolderStore.open(root)).folder('models/m'),
    ]) {
      const error = await use().catch((failure: unknown) => failure);
      expect(error).toBeInstanceOf(DataLoss);
      expect((error as Error).message).toContain(`${key}: expected `);
      expect((error as Error).message).toContain('import the model again');
    }
    if (existsSync(path('other'))) rmSync(path('other'));
    await store.put(weights, whole);
    await store.put(config, '{"model_type":"opt"}');
    await expect(lease.intact()).rejects.toThrow('models/m/v1: its files were replaced while');
    expect(readFileSync(join((await store.folder('models/m/v1')).path, 'model.safetensors'), 'utf8')).toBe(
      whole,
    );
  });

  it('tells what it expected and found', async () => {
    flip(config);
    const now = readFileSync(path(config));
    await expect(store.get(config)).rejects.toThrow(
      `${config}: expected 20 bytes with SHA-256 ${sha256('{"model_type":"opt"}')}, got 20 bytes with SHA-256 ${sha256(now)}: damaged, and not used; import`,
    );
  });

  it('misses nothing that was deleted, replaced, or never came', async () => {
    await store.put(config, '{}');
    expect(Buffer.from(await store.get(config)).toString()).toBe('{}');
    await store.delete(weights);
    await store.folder('models/m/v1');
    await store.delete('models/m');
    await expect(store.get(config)).rejects.toThrow('expected an object');
    await expect(store.folder('models/m/v1')).rejects.toThrow('expected objects below');
    const broken = async function* () {
      yield Buffer.from('begun');
      throw new Error('killed');
    };
    await expect(store.put('models/n/a', broken())).rejects.toThrow('killed');
    await expect(store.get('models/n/a')).rejects.toThrow('expected an object');
  });

  it('misses nothing that goes while it is read', async () => {
    const reader = await FolderStore.open(root);
    for (let i = 0; i < 300; i++) {
      await store.put('held', `${i}`);
      let gone = false;
      // In one way or the other.
      const going = (i % 2 ? store.delete('held') : store.deleteOld('held', Date.now() + 60_000)).then(() => {
        gone = true;
      });
      const looking = Array.from({ length: 3 }, async () => {
        while (!gone)
          await reader.get('held').catch((error: unknown) => expect(error).toBeInstanceOf(NotFound));
      });
      await Promise.all([going, ...looking]);
      await expect(reader.get('held')).rejects.toThrow(NotFound);
    }
  });

  it('holds what a writer left that was killed between two steps to be one of what was put', async () => {
    // Its sum is written, the object is the older one.
    const sums = path(`.sums/${config}`);
    writeFileSync(sums, `\n${sha256('later')} 5\n`, { flag: 'a' });
    expect(Buffer.from(await store.get(config)).toString()).toBe('{"model_type":"opt"}');
    // It had nothing there before.
    writeFileSync(path(`.sums/models/m/v1/new`), `\n${sha256('new')} 3\n`);
    await store.folder('models/m/v1');
    // The sum of what lies there was lost with the power.
    writeFileSync(sums, '');
    utimesSync(path(config), 1, 1);
    await store.folder('models/m/v1');
    flip(config);
    await expect(store.folder('models/m/v1')).rejects.toThrow(DataLoss);
  });
});

describe('isWhole', () => {
  it('says no of what is deleted while it is looked at', async () => {
    const store = await FolderStore.open(temporaryFolder());
    const missing: unknown[] = [];
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 20; i++) await store.put(`features/f/${i}`, `${round}`);
      const looks = Array.from({ length: 8 }, () => isWhole(store, 'features/f'));
      const gone = store.delete('features/f');
      missing.push(...(await Promise.all(looks)).filter((whole) => !whole));
      await gone;
      expect(await isWhole(store, 'features/f')).toBe(false);
    }
    expect(missing.length).toBeGreaterThan(0);
  });
});

describe('openObjectStore', () => {
  it('names the stores it supports, and shows no secret', async () => {
    const failed = await openObjectStore('gs://key:secret@bucket/x').catch((error) => error);
    expect(failed).toBeInstanceOf(InvalidArgument);
    expect(failed.message).toBe(
      'objects: expected the URL of a supported store (file:///folder, s3://bucket/prefix), got scheme "gs"',
    );
    await expect(openObjectStore('folder')).rejects.toThrow('got no URL');
    await expect(openObjectStore('file://elsewhere/folder')).rejects.toThrow(InvalidArgument);
  });

  it('opens again what it opened', async () => {
    const root = temporaryFolder();
    expect((await openObjectStore(pathToFileURL(root).href)).url).toBe(pathToFileURL(root).href);
  });
});
