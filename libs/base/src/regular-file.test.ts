import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InvalidArgument, Unavailable } from './errors.js';
import { sha256, sha256OfFile } from './hash.js';
import { fileWork, openRegularFile, readRegularFile } from './regular-file.js';

const root = mkdtempSync(join(tmpdir(), 'emotune-files-'));
const folder = join(root, 'model');
const at = (name: string) => join(folder, name);
const server = createServer();

beforeAll(async () => {
  mkdirSync(folder);
  writeFileSync(join(root, 'secret'), 'secret');
  writeFileSync(at('file'), 'content');
  mkdirSync(at('folder'));
  execFileSync('mkfifo', [at('pipe')]);
  await new Promise<void>((done) => server.listen(at('socket'), done));
  for (const [name, target] of [
    ['device', '/dev/zero'],
    ['nowhere', 'missing'],
    ['one', 'other'],
    ['other', 'one'],
    ['inside', 'file'],
    ['outside', '../secret'],
    ['absolute', join(root, 'secret')],
    ['to-pipe', 'pipe'],
  ])
    symlinkSync(target, at(name));
});
afterAll(() => {
  server.close();
  rmSync(root, { recursive: true, force: true });
});

describe('a file of a folder', () => {
  it.each([
    ['folder', 'a folder'],
    ['pipe', 'a pipe'],
    ['to-pipe', 'a pipe'],
    ['socket', 'a socket'],
    ['device', 'a device'],
    ['nowhere', 'a link that leads nowhere'],
    ['one', 'links that lead in a circle'],
    ['outside', 'which is outside'],
    ['absolute', 'which is outside'],
  ])('is refused by name when it is no file there: %s', async (name, got) => {
    for (const attempt of [
      () => openRegularFile(at(name), { within: folder }),
      () => readRegularFile(at(name), { within: folder, mostBytes: 100 }),
      () => sha256OfFile(at(name), { within: folder }),
    ]) {
      await expect(attempt()).rejects.toThrow(InvalidArgument);
      await expect(attempt()).rejects.toThrow(got);
      await expect(attempt()).rejects.toThrow(at(name));
    }
  });

  it('is read, by a link within the folder too, and by any link where no folder is named', async () => {
    const read = async (name: string, options = {}) =>
      String(await readRegularFile(at(name), { mostBytes: 100, ...options }));
    expect(await read('file', { within: folder })).toBe('content');
    expect(await read('inside', { within: folder })).toBe('content');
    expect(await read('outside')).toBe('secret');
    expect(await sha256OfFile(at('inside'))).toBe(sha256('content'));
    await expect(read('file', { mostBytes: 6 })).rejects.toThrow('expected at most 6 bytes, got 7 bytes');
    await expect(read('missing')).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('may be a blob of the same repository in a cache of the Hub', async () => {
    const repository = join(root, 'models--org--name');
    const snapshot = join(repository, 'snapshots', 'abc');
    for (const path of [snapshot, join(repository, 'blobs')]) mkdirSync(path, { recursive: true });
    writeFileSync(join(repository, 'blobs', 'hash'), '{}');
    symlinkSync('../../blobs/hash', join(snapshot, 'config.json'));
    symlinkSync('../../../secret', join(snapshot, 'tokenizer.json'));
    const options = { within: snapshot, mostBytes: 100 };
    expect(String(await readRegularFile(join(snapshot, 'config.json'), options))).toBe('{}');
    await expect(readRegularFile(join(snapshot, 'tokenizer.json'), options)).rejects.toThrow('outside');
  });
});

it('does not wait for a file system that gives no answer, and closes what it gives too late', async () => {
  let answer: (value: string) => void = () => {};
  const stuck = () => new Promise<string>((resolve) => (answer = resolve));
  const late: string[] = [];
  await expect(fileWork('/far/file', stuck, (value) => late.push(value), 10)).rejects.toThrow(Unavailable);
  answer('handle');
  await expect.poll(() => late).toEqual(['handle']);
  const never = () => new Promise<string>(() => {});
  const attempts = Array.from({ length: 9 }, () => fileWork('/far/file', never, undefined, 10));
  for (const { status } of await Promise.allSettled(attempts)) expect(status).toBe('rejected');
});
