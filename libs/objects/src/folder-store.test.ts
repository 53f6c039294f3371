import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { FailedPrecondition, InvalidArgument, ResourceExhausted } from '@emotune/base';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { FolderStore, storeError } from './folder-store.js';
import { openObjectStore } from './open.js';
import { EvictingStore, objectStoreContract } from './testing.js';

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
    await expect(store.put('.incoming/x', 'y')).rejects.toThrow(InvalidArgument);
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

describe('openObjectStore', () => {
  it('names the stores it supports, and shows no secret', async () => {
    const failed = await openObjectStore('s3://key:secret@bucket/x').catch((error) => error);
    expect(failed).toBeInstanceOf(InvalidArgument);
    expect(failed.message).toBe(
      'objects: expected the URL of a supported store (file:///folder), got scheme "s3"',
    );
    await expect(openObjectStore('folder')).rejects.toThrow('got no URL');
    await expect(openObjectStore('file://elsewhere/folder')).rejects.toThrow(InvalidArgument);
  });

  it('opens again what it opened', async () => {
    const root = temporaryFolder();
    expect((await openObjectStore(pathToFileURL(root).href)).url).toBe(pathToFileURL(root).href);
  });
});
