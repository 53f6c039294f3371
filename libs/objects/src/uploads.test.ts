import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Aborted, chunkBytes, InvalidArgument, ManualClock, Rng, sha256, systemClock } from '@emotune/base';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { artifactKey } from './artifacts.js';
import { FolderStore } from './folder-store.js';
import { Uploads, uploadKey, whileHeld } from './uploads.js';

let folder: string;
let objects: FolderStore;
let uploads: Uploads;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'emotune-uploads-'));
  objects = await FolderStore.open(folder);
  uploads = new Uploads(objects, systemClock);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** More than two parts. */
const content = Buffer.alloc(36 * chunkBytes + 5);
const rng = Rng.of('upload');
for (let i = 0; i < content.length; i += 4096)
  content.writeUInt32LE(rng.int(2 ** 31), Math.min(i, content.length - 4));
const hash = sha256(content);

async function* chunksOf(bytes: Uint8Array, end?: Error): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
  if (end) throw end;
}

const headerAt = (offset: number, bytes = content.length) => ({ sha256: hash, bytes, offset });
const keys = async () => (await objects.list('')).map(({ key }) => key);
const stored = async () => Buffer.from(await objects.get(uploadKey(hash, ''))).equals(content);

describe('an upload', () => {
  it('is whole or absent, and leaves nothing beside it', async () => {
    expect(await uploads.status(hash)).toEqual({ received: 0, complete: false });
    const whole = { received: content.length, complete: true };
    expect(await uploads.receive(headerAt(0), chunksOf(content))).toEqual(whole);
    expect(await uploads.status(hash)).toEqual(whole);
    expect([await stored(), await keys()]).toEqual([true, [`uploads/${hash}`]]);
  });

  it('may be empty', async () => {
    const empty = { sha256: sha256(''), bytes: 0, offset: 0 };
    await uploads.receive(empty, chunksOf(Buffer.alloc(0)));
    expect(await objects.get(`uploads/${empty.sha256}`)).toHaveLength(0);
  });

  it('goes on where it broke off, at another replica too, whether its chunks failed or only ended', async () => {
    const broken = new Error('connection lost');
    await expect(
      uploads.receive(headerAt(0), chunksOf(content.subarray(0, 20 * chunkBytes), broken)),
    ).rejects.toBe(broken);
    expect(await uploads.status(hash)).toEqual({ received: 20 * chunkBytes, complete: false });
    const other = new Uploads(await FolderStore.open(folder), systemClock);
    const more = content.subarray(20 * chunkBytes, 25 * chunkBytes);
    await expect(other.receive(headerAt(20 * chunkBytes), chunksOf(more))).rejects.toBeInstanceOf(Aborted);
    expect(await uploads.status(hash)).toEqual({ received: 25 * chunkBytes, complete: false });
    // From before the end: what comes twice is taken once.
    await uploads.receive(headerAt(24 * chunkBytes), chunksOf(content.subarray(24 * chunkBytes)));
    expect([await stored(), await keys()]).toEqual([true, [`uploads/${hash}`]]);
  });

  it('that is there already costs nothing', async () => {
    await uploads.receive(headerAt(0), chunksOf(content));
    const unread = chunksOf(content, new Error('must not be read'));
    expect(await uploads.receive(headerAt(content.length), unread)).toMatchObject({ complete: true });
  });

  it('by several at once is one', async () => {
    await expect(
      uploads.receive(headerAt(0), chunksOf(content.subarray(0, 3 * chunkBytes))),
    ).rejects.toBeInstanceOf(Aborted);
    const ends = await Promise.allSettled(
      [0, chunkBytes, 3 * chunkBytes].map((offset) =>
        uploads.receive(headerAt(offset), chunksOf(content.subarray(offset))),
      ),
    );
    // One whose parts another removed at its end is asked to look again, and finds the file.
    for (const end of ends) if (end.status === 'rejected') expect(end.reason).toBeInstanceOf(Aborted);
    expect(await uploads.status(hash)).toMatchObject({ complete: true });
    expect([await stored(), await keys()]).toEqual([true, [`uploads/${hash}`]]);
  });

  it('that another ends while it is asked for is whole', async () => {
    await expect(
      uploads.receive(headerAt(0), chunksOf(content.subarray(0, 3 * chunkBytes))),
    ).rejects.toBeInstanceOf(Aborted);
    const list = objects.list.bind(objects);
    let asked = false;
    // Between one look and the next.
    const racing = Object.assign(Object.create(objects) as FolderStore, {
      list: async (prefix: string) => {
        if (!asked) {
          asked = true;
          await uploads.receive(headerAt(0), chunksOf(content));
        }
        return list(prefix);
      },
    });
    expect(await new Uploads(racing, systemClock).status(hash)).toEqual({
      received: content.length,
      complete: true,
    });
  });

  it('with another content than it should have is refused and forgotten', async () => {
    const other = Buffer.from(content);
    other[17]++;
    await expect(
      uploads.receive(headerAt(0), chunksOf(other.subarray(0, 20 * chunkBytes))),
    ).rejects.toBeInstanceOf(Aborted);
    await expect(
      uploads.receive(headerAt(20 * chunkBytes), chunksOf(other.subarray(20 * chunkBytes))),
    ).rejects.toThrow(`header.sha256: expected bytes whose SHA-256 is ${hash}, got ${sha256(other)}`);
    expect([await keys(), await uploads.status(hash)]).toEqual([[], { received: 0, complete: false }]);
  });

  it('is refused when it is too large, begins beyond what came, or is no hash', async () => {
    const small = new Uploads(objects, systemClock, 10);
    const none = () => chunksOf(Buffer.alloc(0));
    await expect(small.receive(headerAt(0, 11), none())).rejects.toThrow(
      'header.bytes: expected 0 to 10, got 11',
    );
    await expect(small.receive(headerAt(0, -1), none())).rejects.toThrow('header.bytes');
    await expect(small.receive(headerAt(1, 5), none())).rejects.toThrow('header.offset: expected at most 0');
    await expect(small.receive(headerAt(0, 5), chunksOf(Buffer.alloc(6)))).rejects.toThrow(
      'chunk: expected 5',
    );
    await expect(
      small.receive(
        headerAt(0, 5),
        (async function* () {
          yield Buffer.alloc(chunkBytes + 1);
        })(),
      ),
    ).rejects.toThrow('chunk: expected at most 1048576 bytes at once');
    for (const wrong of ['', 'x', '../a', hash.toUpperCase(), `${hash}0`])
      await expect(small.status(wrong)).rejects.toThrow('sha256: expected a SHA-256');
    expect(await keys()).toEqual([]);
  });

  it('is held by who reads it, for a day if they die, and no hold is an upload', async () => {
    const clock = new ManualClock(Date.now());
    const timed = new Uploads(objects, clock);
    await timed.receive({ sha256: sha256('x'), bytes: 1, offset: 0 }, chunksOf(Buffer.from('x')));
    const held = () => Promise.all([sha256('x'), sha256('y')].map((each) => timed.isHeld(each)));
    await whileHeld(objects, [sha256('x')], async () => {
      expect([await held(), (await timed.list()).length]).toEqual([[true, false], 1]);
      clock.advance(86_460_000);
      expect(await held()).toEqual([false, false]);
    });
    expect(await keys()).toEqual([`uploads/${sha256('x')}`]);
  });

  it('is removed with its parts after seven days, and sent again after six', async () => {
    const day = 86_400_000;
    const clock = new ManualClock(Date.now());
    const timed = new Uploads(objects, clock);
    await timed.receive({ sha256: sha256('x'), bytes: 1, offset: 0 }, chunksOf(Buffer.from('x')));
    await timed.receive(headerAt(0), chunksOf(content.subarray(0, 5))).catch(() => {});
    await objects.put('datasets/a', 'x');
    clock.advance(5.9 * day);
    await timed.sweep();
    expect([(await timed.status(sha256('x'))).complete, (await keys()).length]).toEqual([true, 3]);
    clock.advance(0.2 * day);
    expect([(await timed.status(sha256('x'))).complete, (await keys()).length]).toEqual([false, 3]);
    clock.advance(day);
    await timed.sweep();
    expect(await keys()).toEqual(['datasets/a']);
  });
});

it('artifacts are what was made for users, and nothing else of the store', () => {
  for (const name of ['evaluations/e1/report.html', 'exports/m/v/onnx/model.onnx', 'models/m/v/config.json'])
    expect(artifactKey(name, 'artifact')).toBe(name);
  for (const name of [
    '',
    'evaluations',
    'evaluations/',
    '/etc/passwd',
    'trials/e/1/model/config.json',
    `uploads/${hash}`,
    'evaluations/../trials/e',
    'models/a/../../x',
    'models//a',
    'models\\a',
    'modelsx/a',
    './models/a',
  ])
    expect(() => artifactKey(name, 'artifact')).toThrow(InvalidArgument);
});
