import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { makeFolder } from './folder.js';

it('makes a folder and those above it, and ends where none can be made', async () => {
  const root = await mkdtemp(join(tmpdir(), 'emotune-folder-'));
  onTestFinished(() => rm(root, { recursive: true }));
  const folder = join(root, 'a', 'b', 'c');
  await Promise.all([makeFolder(folder), makeFolder(folder)]);
  await makeFolder(folder);
  expect((await stat(folder)).isDirectory()).toBe(true);
  await writeFile(join(root, 'file'), '');
  await expect(makeFolder(join(root, 'file', 'a', 'b'))).rejects.toThrow('ENOTDIR');
  // On Linux, Node's own would try for ever.
  await expect(makeFolder('/proc/absent/a')).rejects.toThrow(/ENOENT|EACCES|EROFS|EPERM/);
});
