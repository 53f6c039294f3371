import { chmod, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidArgument } from '@emotune/base';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeToken, tokenIn, tokenOf } from './token.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'emotune-token-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it('is made once, by whoever comes first, for its owner alone', async () => {
  const file = join(folder, 'token');
  const made = await Promise.all(Array.from({ length: 16 }, () => makeToken(file)));
  expect(new Set(made).size).toBe(1);
  expect(Buffer.from(made[0], 'base64url')).toHaveLength(32);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(await readdir(folder)).toEqual(['token']);
  expect(await makeToken(file)).toBe(made[0]);
});

it('is made anew where others could have read it', async () => {
  const file = join(folder, 'read');
  const first = await makeToken(file);
  await chmod(file, 0o644);
  const second = await makeToken(file);
  expect(second).not.toBe(first);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
});

it('comes from the environment, or a file that it names, and never into a message', async () => {
  const token = 'a-token-of-thirty-two-characters';
  const file = join(folder, 'mine');
  await writeFile(file, `${token}\n`);
  expect(await tokenOf({ EMOTUNE_TOKEN: token, EMOTUNE_TOKEN_FILE: 'nowhere' })).toBe(token);
  expect(await tokenOf({ EMOTUNE_TOKEN: '', EMOTUNE_TOKEN_FILE: file })).toBe(token);
  expect(await tokenOf({})).toBeUndefined();
  await writeFile(file, 'too short');
  for (const [given, message] of [
    [{ EMOTUNE_TOKEN: 'too short' }, 'EMOTUNE_TOKEN: expected 32 to 8192 letters'],
    [{ EMOTUNE_TOKEN_FILE: file }, 'EMOTUNE_TOKEN_FILE: expected 32 to 8192 letters'],
    [
      { EMOTUNE_TOKEN_FILE: join(folder, 'none') },
      'EMOTUNE_TOKEN_FILE: expected a file that can be read, got ENOENT',
    ],
  ] as const) {
    const error = await tokenOf(given).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(InvalidArgument);
    expect(error.message).toContain(message);
    expect(error.message).not.toContain('too short');
  }
  expect(await tokenIn(join(folder, 'none'))).toBeUndefined();
});
