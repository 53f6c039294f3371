import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha256 } from '@emotune/base';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Sums } from './sums.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'emotune-sums-'));
});
afterEach(() => rm(folder, { recursive: true }));

it('an object that is deleted between its place and its note is not missed, and one that is put again is', async () => {
  const sums = new Sums(folder);
  const sum = { sha256: sha256('a'), bytes: 1 };
  await sums.expect('key', sum);
  await sums.placed('key');
  expect(await sums.lossOf('key')).toMatchObject({ expected: sum });
  await sums.expect('key', sum);
  await sums.leaving('key');
  await sums.placed('key');
  expect(await sums.lossOf('key')).toBeUndefined();
  await sums.expect('key', sum);
  await sums.placed('key');
  expect(await sums.lossOf('key')).toMatchObject({ expected: sum });
  await sums.leaving('key');
  await sums.stays('key');
  expect(await sums.lossOf('key')).toMatchObject({ expected: sum });
});
