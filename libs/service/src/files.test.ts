import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Aborted,
  FailedPrecondition,
  InvalidArgument,
  NotFound,
  sha256,
  systemClock,
  Unavailable,
  Unimplemented,
} from '@emotune/base';
import { MemoryBus } from '@emotune/events';
import { FolderStore, whileHeld } from '@emotune/objects';
import type { files } from '@emotune/proto';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Channel, type Client } from './channel.js';
import { filesModule } from './file.controller.js';
import { download, downloadFolder, upload } from './file-transfer.js';
import { Host } from './host.js';
import { jsonLog } from './log.js';

const MiB = 2 ** 20;
const folder = mkdtempSync(join(tmpdir(), 'emotune-files-'));
const objects = await FolderStore.open(join(folder, 'objects'));
let host: Host;
let service: Client<files.FileServiceClient>;

beforeAll(async () => {
  const log = jsonLog(() => {});
  host = await Host.create({
    database: () => Promise.reject(new Error('not in this test')),
    objects,
    bus: new MemoryBus(systemClock),
    clock: systemClock,
    log,
    listen: '127.0.0.1:0',
  });
  await host.start([
    filesModule({ objects, clock: systemClock, log, work: 'builds', channel: host.channel }),
  ]);
  service = host.channel.client('FileService');
});

afterAll(async () => {
  await host.close();
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(async () => {
  await objects.delete('uploads');
});

/** A way to the server that breaks after so many bytes in one direction, as often as it is told. */
class BreakingWay {
  /** Connections that broke. */
  broken = 0;
  /** Bytes in its direction, those of broken connections too. */
  passed = 0;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  channel!: Channel;

  constructor(
    direction: 'up' | 'down',
    private readonly bytes: number,
    private readonly times: number,
    /** What is waited for before it breaks. */
    private readonly until: () => Promise<unknown> = async () => {},
  ) {
    this.server = createServer((near) => {
      const [to, port] = host.address.split(':');
      const far = dial(Number(port), to);
      let left = this.bytes;
      const pass = (from: Socket, into: Socket, counts: boolean) => {
        this.sockets.add(from);
        from.on('error', () => {});
        from.on('close', () => into.destroy());
        from.on('data', (data) => {
          left -= counts ? data.length : 0;
          this.passed += counts ? data.length : 0;
          if (left < 0 && this.broken < this.times) {
            this.broken++;
            from.pause();
            void this.until().then(() => {
              for (const socket of [near, far]) socket.resetAndDestroy();
            });
          } else if (!into.write(data)) {
            from.pause();
            into.once('drain', () => from.resume());
          }
        });
      };
      pass(near, far, direction === 'up');
      pass(far, near, direction === 'down');
    });
  }

  async open(): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.channel = Channel.connect(`127.0.0.1:${(this.server.address() as { port: number }).port}`);
    return this;
  }

  close(): void {
    this.channel.close();
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
  }
}

function write(name: string, bytes: number): { path: string; content: Buffer; hash: string } {
  const content = Buffer.alloc(bytes);
  for (let i = 0; i + 4 <= bytes; i += 4096) content.writeUInt32LE(i + bytes, i);
  const path = join(folder, name);
  writeFileSync(path, content);
  return { path, content, hash: sha256(content) };
}

const keys = async () => (await objects.list('uploads/')).map(({ key }) => key);

describe('an upload', () => {
  it('is listed in pages and deleted, whole or on its way, but not while something is to be made of it', async () => {
    await objects.put(`uploads/${'a'.repeat(64)}`, 'whole');
    await objects.put(`uploads/parts/${'b'.repeat(64)}/0-3`, 'one');
    const first = await service.call('listUploads', { pageSize: 1 });
    expect(first.uploads).toMatchObject([{ sha256: 'a'.repeat(64), bytes: 5, complete: true }]);
    const { uploads, nextPageToken } = await service.call('listUploads', { pageToken: first.nextPageToken });
    expect(uploads).toMatchObject([{ sha256: 'b'.repeat(64), bytes: 3, complete: false }]);
    expect(nextPageToken).toBe('');
    const remove = (sha256: string) => service.call('deleteUpload', { sha256 });
    await whileHeld(objects, ['a'.repeat(64)], async () => {
      await expect(remove('a'.repeat(64))).rejects.toThrow('is read by an import of a model');
    });
    // Nobody serves those that may need it.
    await expect(remove('a'.repeat(64))).rejects.toBeInstanceOf(Unimplemented);
    expect(await keys()).toHaveLength(2);
  });

  it('of any size becomes an object by its content, once', async () => {
    for (const bytes of [0, 1, 20 * MiB + 3]) {
      const { path, content, hash } = write('one.bin', bytes);
      const seen: number[] = [];
      expect(await upload(host.channel, path, 'f', { onProgress: (done) => seen.push(done) })).toBe(hash);
      expect(Buffer.from(await objects.get(`uploads/${hash}`)).equals(content)).toBe(true);
      expect(seen.at(-1) ?? 0).toBe(bytes);
      seen.length = 0;
      await upload(host.channel, path, 'f', { onProgress: (done) => seen.push(done) });
      expect(seen).toEqual([]);
    }
  });

  it('goes on after the connection broke, and sends nothing twice that arrived', async () => {
    const { path, content, hash } = write('large.bin', 40 * MiB);
    const kept = async () => expect(await keys()).toHaveLength(1);
    const way = await new BreakingWay('up', 25 * MiB, 1, () => vi.waitFor(kept, { timeout: 60_000 })).open();
    expect(await upload(way.channel, path, 'f')).toBe(hash);
    expect(way.broken).toBe(1);
    expect(Buffer.from(await objects.get(`uploads/${hash}`)).equals(content)).toBe(true);
    expect(await keys()).toEqual([`uploads/${hash}`]);
    // The first part of 16 MiB.
    expect(way.passed).toBeLessThan(40 * MiB + 25 * MiB - 12 * MiB);
    way.close();
  });

  it('gives up when the connection breaks again and again without getting further', async () => {
    const { path } = write('stuck.bin', 3 * MiB);
    const way = await new BreakingWay('up', 1000, Number.POSITIVE_INFINITY).open();
    await expect(upload(way.channel, path, 'f')).rejects.toBeInstanceOf(Unavailable);
    way.close();
  });

  it('by several at once is one', async () => {
    const { path, hash } = write('shared.bin', 18 * MiB);
    const hashes = await Promise.all([1, 2, 3].map(() => upload(host.channel, path, 'f')));
    expect(hashes).toEqual([hash, hash, hash]);
    expect(await keys()).toEqual([`uploads/${hash}`]);
  });

  it('is of a regular file that stays as it is', async () => {
    mkdirSync(join(folder, 'sub'), { recursive: true });
    await expect(upload(host.channel, join(folder, 'sub'), 'f.path')).rejects.toThrow(
      /f\.path: expected a file, got a folder/,
    );
    await expect(upload(host.channel, '/dev/null', 'f.path')).rejects.toBeInstanceOf(InvalidArgument);
    const missing = upload(host.channel, join(folder, 'none'), 'f.path');
    await expect(missing).rejects.toBeInstanceOf(NotFound);
    await expect(missing).rejects.toThrow(/f\.path: expected a readable file, got .*none \(ENOENT\)/);
    const { path } = write('shrinks.bin', 30 * MiB);
    await expect(
      upload(host.channel, path, 'f', { onProgress: () => truncateSync(path, 0) }),
    ).rejects.toBeInstanceOf(FailedPrecondition);
  });

  it('goes on from what others sent, and starts anew when that was wrong', async () => {
    const { path, content, hash } = write('poisoned.bin', 5 * MiB);
    const wrong = async function* () {
      yield { header: { sha256: hash, bytes: content.length, offset: 0 } };
      yield { chunk: Buffer.alloc(MiB, 7) };
    };
    await expect(service.send('upload', wrong())).rejects.toBeInstanceOf(Aborted);
    expect(await service.call('getUpload', { sha256: hash })).toMatchObject({
      received: MiB,
      complete: false,
    });
    await upload(host.channel, path, 'f');
    expect(await service.call('getUpload', { sha256: hash })).toMatchObject({
      received: content.length,
      complete: true,
    });
  });

  it.each([
    ['no header', [{ chunk: Buffer.from('x') }], /header: expected a header first, got none/],
    ['nothing', [], /header: expected a header first/],
    ['no hash', [{ header: { sha256: '../x', bytes: 1, offset: 0 } }], /header\.sha256: expected a SHA-256/],
    [
      'another content',
      [{ header: { sha256: sha256('a'), bytes: 1, offset: 0 } }, { chunk: Buffer.from('b') }],
      /header\.sha256: expected bytes whose SHA-256/,
    ],
    [
      'two headers',
      [{ header: { sha256: sha256('a'), bytes: 1, offset: 0 } }, { header: { bytes: 1 } }],
      /chunk: expected bytes after the header/,
    ],
    [
      'too much',
      [{ header: { sha256: sha256('a'), bytes: 2 ** 50, offset: 0 } }],
      /header\.bytes: expected 0 to \d+, got 1125899906842624/,
    ],
  ])('of %s is refused', async (_, requests, message) => {
    const send = async function* () {
      yield* requests;
    };
    const error = await service.send('upload', send()).catch((e) => e);
    expect(error).toBeInstanceOf(InvalidArgument);
    expect(error.message).toMatch(message);
    expect(await keys()).toEqual([]);
  });
});

describe('a download', () => {
  const name = 'exports/m/v/model.bin';
  const fetched = () => readdirSync(join(folder, 'fetched')).sort();

  it('arrives whole, from the start and after the connection broke', async () => {
    const { content } = write('artifact.bin', 20 * MiB + 7);
    await objects.put(name, content);
    await download(host.channel, name, join(folder, 'fetched', 'a.bin'));
    expect(readFileSync(join(folder, 'fetched', 'a.bin')).equals(content)).toBe(true);
    const way = await new BreakingWay('down', 8 * MiB, 2).open();
    const seen: number[] = [];
    await download(way.channel, name, join(folder, 'fetched', 'b.bin'), {
      onProgress: (done) => seen.push(done),
    });
    expect(way.broken).toBe(2);
    expect(readFileSync(join(folder, 'fetched', 'b.bin')).equals(content)).toBe(true);
    // It went on from where it was: nothing came twice.
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(new Set(seen).size).toBe(seen.length);
    expect(fetched()).toEqual(['a.bin', 'b.bin']);
    way.close();
  });

  it('from an offset is the rest, with the size and hash of the whole', async () => {
    await objects.put(name, 'abcdef');
    const read = async (offset: number) => {
      const replies = [];
      for await (const reply of service.stream('download', { artifact: name, offset })) replies.push(reply);
      const [{ header }, ...rest] = replies;
      return [header, Buffer.concat(rest.map(({ chunk }) => chunk!)).toString()];
    };
    const header = { bytes: 6, sha256: sha256('abcdef') };
    expect([await read(0), await read(4), await read(6)]).toEqual([
      [header, 'abcdef'],
      [header, 'ef'],
      [header, ''],
    ]);
    for (const offset of [-1, 7]) await expect(read(offset)).rejects.toThrow(/offset: expected 0 to 6/);
  });

  it('is of artifacts only, and leaves nothing behind when there is none', async () => {
    await objects.put('trials/e/1/model/config.json', '{}');
    const target = join(folder, 'fetched', 'none.bin');
    for (const wrong of [
      'trials/e/1/model/config.json',
      'exports/../trials/e/1/model/config.json',
      '/etc/passwd',
      '',
    ])
      await expect(download(host.channel, wrong, target)).rejects.toThrow(
        /artifact: expected the name of an artifact/,
      );
    await expect(download(host.channel, 'exports/none', target)).rejects.toBeInstanceOf(NotFound);
    expect(fetched()).toEqual(['a.bin', 'b.bin']);
  });

  it('of a folder makes it whole or not at all', async () => {
    await objects.put('exports/m/a.json', 'one');
    await objects.put('exports/m/sub/b.bin', 'three');
    const list = [
      { path: 'sub/b.bin', bytes: 5, name: 'exports/m/sub/b.bin' },
      { path: 'a.json', bytes: 3, name: 'exports/m/a.json' },
    ];
    const out = join(folder, 'out');
    mkdirSync(out);
    const target = { folder: join(out, 'm'), field: '--out' };
    const seen: [number, number][] = [];
    const paths = await downloadFolder(host.channel, async () => list, target, {
      onProgress: (...both) => seen.push(both),
    });
    expect(paths).toEqual([join(out, 'm', 'a.json'), join(out, 'm', 'sub', 'b.bin')]);
    expect(readFileSync(paths[1], 'utf8')).toBe('three');
    expect(seen).toEqual([
      [5, 8],
      [8, 8],
    ]);
    const refused = (files: typeof list, place: string) =>
      downloadFolder(host.channel, async () => files, { folder: join(out, place), field: '--out' }).catch(
        (e) => e,
      );
    expect((await refused(list, 'm')).message).toMatch(
      /--out: expected an empty or missing folder, got 2 files/,
    );
    expect((await refused(list, 'm/a.json')).message).toMatch(/--out: expected a folder, got a file/);
    expect(await refused([...list, { path: 'c', bytes: 1, name: 'exports/gone' }], 'n')).toBeInstanceOf(
      NotFound,
    );
    for (const path of ['../x', '/x', 'a/../../x'])
      expect(await refused([{ path, bytes: 3, name: 'exports/m/a.json' }], 'n')).toBeInstanceOf(
        FailedPrecondition,
      );
    expect(readdirSync(out)).toEqual(['m']);
  });
});
