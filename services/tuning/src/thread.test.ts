import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Internal } from '@emotune/base';
import { afterAll, expect, it } from 'vitest';
import { inThread } from './thread.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-thread-'));
afterAll(() => rmSync(folder, { recursive: true }));

function thread(name: string, program: string): URL {
  const file = join(folder, `${name}.mjs`);
  writeFileSync(file, `import { parentPort, workerData } from 'node:worker_threads';\n${program}`);
  return pathToFileURL(file);
}

it('gives what a thread posts', async () => {
  const file = thread('sum', 'parentPort.postMessage(workerData.reduce((a, b) => a + b))');
  expect(await inThread<number>(file, [1, 2, 3], [])).toBe(6);
});

it.each([
  ['throws', 'throw new Error("no forest")', 'a thread failed: no forest'],
  ['ends', 'process.exit(3)', 'a thread ended without an answer, code 3'],
])('names the failure of one that %s', async (name, program, message) => {
  const failed = inThread(thread(name, program), [], []);
  await expect(failed).rejects.toBeInstanceOf(Internal);
  await expect(failed).rejects.toThrow(message);
});

it('names the failure of one that cannot be started', async () => {
  await expect(inThread(pathToFileURL(join(folder, 'missing.mjs')), [], [])).rejects.toThrow(Internal);
});
