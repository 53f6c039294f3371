/** Processes that would never end by themselves. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'emotune-last-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const pipe = join(folder, 'pipe');
execFileSync('mkfifo', [pipe]);

const lastResort = new URL('./last-resort.ts', import.meta.url).href;

it.each([
  [
    'waits for a pipe in a thread, and calls process.exit',
    `open(${JSON.stringify(pipe)}); setTimeout(() => process.exit(0), 100);`,
  ],
  ['never gives back its thread', 'setTimeout(() => { for (;;); }, 100);'],
  ['waits for ever', 'setInterval(() => {}, 1000);'],
])('a process that %s ends at a signal', async (_, code) => {
  const source = `
    import { open } from 'node:fs/promises';
    import { endWithin } from ${JSON.stringify(lastResort)};
    process.once('SIGTERM', () => { endWithin(1); ${code} });
    setInterval(() => {}, 1000);
    process.stdout.write('ready');
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await once(child.stdout, 'data');
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
});

it('lets a process that ends in order end so, and leaves nothing behind', async () => {
  const source = `
    import { endWithin } from ${JSON.stringify(lastResort)};
    endWithin(100);
    process.exitCode = 7;
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], { stdio: 'ignore' });
  expect(await once(child, 'exit')).toEqual([7, null]);
});
