import { fork } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DataLoss, ManualClock, ResourceExhausted } from '@emotune/base';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FolderCache } from './folder-cache.js';
import { smallDisk } from './testing.js';

let root: string;
let folder: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'emotune-folder-cache-'));
  folder = join(root, 'cache');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const open = (limitBytes = 100, clock?: ManualClock) =>
  FolderCache.open({ folder, limitBytes, ...(clock ? { clock } : {}) });
const fills: string[] = [];
beforeEach(() => void fills.splice(0));
const lend = (cache: FolderCache, id: string, text = 'x'.repeat(40)) =>
  cache.lend(id, id, text.length, async (files) => {
    fills.push(id);
    mkdirSync(join(files, 'nested'));
    writeFileSync(join(files, 'nested', 'file'), text);
  });
const namesIn = (part: string) =>
  existsSync(join(folder, part)) ? readdirSync(join(folder, part)).sort() : [];
const kept = () => namesIn('entries');
const onTheWay = () => namesIn('incoming');
const older = (id: string, ms: number) => {
  const at = (Date.now() - ms) / 1000;
  for (const name of readdirSync(join(folder, 'holders', id)))
    utimesSync(join(folder, 'holders', id, name), at, at);
  utimesSync(join(folder, 'holders', id), at, at);
};

describe('FolderCache', () => {
  it('fetches a folder once, for all who open the cache, also after a start', async () => {
    const cache = await open();
    const one = await lend(cache, 'a');
    const two = await lend(await open(), 'a');
    expect(readFileSync(join(two.path, 'nested', 'file'), 'utf8')).toBe('x'.repeat(40));
    await one.intact();
    await Promise.all([one.release(), one.release(), two.release()]);
    await (await lend(await open(), 'a')).release();
    expect([fills, kept(), onTheWay()]).toEqual([['a'], ['a'], []]);
  });

  it('fetches once for those who ask at the same time', async () => {
    const caches = await Promise.all([open(), open(), open()]);
    const leases = await Promise.all([...caches, ...caches].map((cache) => lend(cache, 'a')));
    expect(fills).toEqual(['a']);
    await Promise.all(leases.map((lease) => lease.release()));
  });

  it('removes what was used longest ago, and nothing that somebody holds', async () => {
    const cache = await open();
    const held = await lend(cache, 'held');
    older('held', 300_000);
    for (const [id, age] of [
      ['old', 200_000],
      ['new', 100_000],
    ] as const) {
      await (await lend(cache, id)).release();
      older(id, age);
    }
    expect(kept()).toEqual(['held', 'new']);
    await (await lend(await open(), 'newest')).release();
    expect(kept()).toEqual(['held', 'newest']);
    await held.intact();
    expect(existsSync(join(held.path, 'nested', 'file'))).toBe(true);
    await held.release();
  });

  it('lends what is larger than all that it may keep, and removes it when it is given back', async () => {
    const cache = await open(10);
    const lease = await lend(cache, 'a');
    expect(kept()).toEqual(['a']);
    await lease.release();
    expect([kept(), readdirSync(join(folder, 'holders'))]).toEqual([[], []]);
  });

  it('takes a holder for dead only after a second look: clocks are set, machines sleep', async () => {
    const clock = new ManualClock();
    const cache = await open(50, clock);
    await lend(cache, 'dead');
    older('dead', 3_600_000);
    await (await lend(cache, 'b')).release();
    expect(kept()).toContain('dead');
    clock.advance(40_000);
    await (await lend(cache, 'c')).release();
    expect(kept()).not.toContain('dead');
  });

  it('never has a folder whose fetch failed', async () => {
    const cache = await open();
    const failing = cache.lend('a', 'a', 5, async (files) => {
      writeFileSync(join(files, 'half'), 'half');
      throw new Error('broken off');
    });
    await expect(failing).rejects.toThrow('broken off');
    expect([kept(), onTheWay(), readdirSync(join(folder, 'holders', 'a'))]).toEqual([[], [], []]);
    await (await lend(cache, 'a')).release();
    expect(kept()).toEqual(['a']);
  });

  it.each([
    ['changed', (file: string) => writeFileSync(file, 'y'.repeat(40))],
    ['removed', (file: string) => rmSync(file)],
    ['joined by another', (file: string) => writeFileSync(`${file}2`, '')],
  ])('tells who holds it of a file that was %s, and fetches it again for the next', async (_, harm) => {
    const cache = await open();
    const lease = await lend(cache, 'a');
    harm(join(lease.path, 'nested', 'file'));
    await expect(lease.intact()).rejects.toThrow(DataLoss);
    const again = await lend(cache, 'a');
    expect(readFileSync(join(again.path, 'nested', 'file'), 'utf8')).toBe('x'.repeat(40));
    expect(fills).toEqual(['a', 'a']);
    await expect(lease.intact()).rejects.toThrow('a: its files were replaced while they were in use');
    await Promise.all([lease.release(), again.release()]);
  });

  it('goes on where somebody has emptied its folder', async () => {
    const cache = await open();
    await (await lend(cache, 'a')).release();
    rmSync(folder, { recursive: true });
    await (await lend(cache, 'a')).release();
    expect(kept()).toEqual(['a']);
  });

  it('waits for a fetch of another process, and takes over when that is dead', async () => {
    const cache = await open();
    const lock = join(folder, 'incoming', 'a.lock');
    mkdirSync(join(folder, 'incoming'), { recursive: true });
    writeFileSync(lock, '');
    const lent = lend(cache, 'a');
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(fills).toEqual([]);
    utimesSync(lock, 1, 1);
    await (await lent).release();
    expect([fills, onTheWay()]).toEqual([['a'], []]);
  });

  it('makes room where the disk has less than it may take', async ({ skip }) => {
    const unmount = smallDisk(folder, 2 ** 20);
    if (!unmount) return skip('this user may not mount a disk');
    try {
      const cache = await open(2 ** 30);
      const text = 'x'.repeat(600_000);
      await (await lend(cache, 'a', text)).release();
      const lease = await lend(cache, 'b', text);
      expect(kept()).toEqual(['b']);
      await expect(lend(cache, 'c', text)).rejects.toThrow(ResourceExhausted);
      await lease.intact();
      await lease.release();
      expect(onTheWay()).toEqual([]);
    } finally {
      unmount();
    }
  });

  it('is not taken from a link to somewhere else, nor in the place of a file', async () => {
    writeFileSync(join(root, 'file'), '');
    folder = join(root, 'file');
    await expect(open()).rejects.toThrow('expected a folder of this user');
    folder = join(root, 'link');
    symlinkSync(root, folder);
    await expect(open()).rejects.toThrow('expected a folder of this user');
  });

  it('is shared by processes that are killed: no folder is half there, none is removed that is held', async () => {
    const program = join(root, 'sharer.mjs');
    writeFileSync(
      program,
      `import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
      import { join } from 'node:path';
      import { FolderCache } from ${JSON.stringify(import.meta.resolve('./folder-cache.ts'))};
      const cache = await FolderCache.open({ folder: ${JSON.stringify(folder)}, limitBytes: 200 });
      for (let i = 0; ; i++) {
        const id = String(Math.floor(Math.random() * 6));
        const lease = await cache.lend(id, id, 80, async (files) => {
          for (const name of ['a', 'b']) writeFileSync(join(files, name), id.repeat(40));
        });
        for (let look = 0; look < 3; look++) {
          for (const name of ['a', 'b'])
            if (readFileSync(join(lease.path, name), 'utf8') !== id.repeat(40)) throw new Error('half');
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
        await lease.release();
        if (i % 5 === 0) process.send(i);
      }`,
    );
    const begin = () =>
      fork(program, {
        execArgv: [
          '--conditions=source',
          ...['--import', new URL('../../../scripts/source-loader.mjs', import.meta.url).href],
        ],
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      });
    for (let round = 0; round < 3; round++) {
      const sharers = [begin(), begin(), begin()];
      let errors = '';
      for (const { stderr } of sharers) stderr!.on('data', (text) => (errors += text));
      for (const sharer of sharers)
        for (let i = 0; i < 3; i++) await Promise.race([once(sharer, 'message'), once(sharer, 'exit')]);
      for (const sharer of sharers) {
        expect(sharer.exitCode, errors).toBe(null);
        sharer.kill('SIGKILL');
        await once(sharer, 'exit');
      }
      // What they were fetching is another's after a while.
      for (const name of onTheWay()) utimesSync(join(folder, 'incoming', name), 1, 1);
      for (const id of namesIn('holders'))
        if (namesIn(join('holders', id)).includes('going')) older(id, 60_000);
    }
    const cache = await open();
    for (const id of kept()) {
      const lease = await cache.lend(id, id, 80, () => Promise.reject(new Error('it was whole')));
      expect(readFileSync(join(lease.path, 'b'), 'utf8')).toBe(id.repeat(40));
      await lease.release();
    }
  });
});
