import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { InvalidArgument, isAlive, NotFound, ResourceExhausted, Unavailable } from '@emotune/base';
import { afterAll, expect, it } from 'vitest';
import { BuildDied, BuildProcesses } from './build-process.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-build-process-'));
const module = pathToFileURL(join(folder, 'works.mjs'));
const base = new URL('../../base/src/index.ts', import.meta.url).href;
writeFileSync(
  module,
  `import { tmpdir } from 'node:os';
   import { writeFileSync } from 'node:fs';
   import { InvalidArgument, NotFound } from ${JSON.stringify(base)};
   export const pid = async () => process.pid;
   export const temporary = async () => (writeFileSync(tmpdir() + '/left', ''), tmpdir());
   export const secret = async () => process.env.EMOTUNE_DATABASE_URL;
   export const sum = async (numbers, report) => {
     numbers.forEach((_, i) => report({ phase: 'adding ' + i, done: i, total: numbers.length, unit: 'numbers' }));
     return numbers.reduce((a, b) => a + b);
   };
   export const refuse = async () => { throw InvalidArgument.at('rows[2]', 'expected less'); };
   export const miss = async () => { throw new NotFound('expected a file'); };
   export const buffers = async () => { const all = []; for (;;) all.push(Buffer.alloc(2 ** 24, 1)); };
   export const objects = async () => { const all = []; for (;;) all.push({ n: all.length }); };
   export const crash = async () => process.abort();
   export const leave = async () => process.exit(3);
   export const killed = async () => process.kill(process.pid, 'SIGKILL');
   export const spin = async (_, report) => {
     report({ phase: String(process.pid), done: 0, total: 0, unit: '' });
     setTimeout(() => { for (;;); }, 10);
     await new Promise(() => {});
   };`,
);
const processes = new BuildProcesses({ memoryMiB: 300, hours: 1 });
afterAll(async () => {
  await processes.close();
  rmSync(folder, { recursive: true });
});

it('gives what the work answers, with its progress, and keeps the process for the next', async () => {
  const phases: string[] = [];
  const onProgress = ({ phase }: { phase: string }) => phases.push(phase);
  expect(await processes.run(module, 'sum', [1, 2, 3], { onProgress })).toBe(6);
  expect(phases).toEqual(['adding 0', 'adding 1', 'adding 2']);
  const pid = await processes.run(module, 'pid', null);
  expect(pid).not.toBe(process.pid);
  expect(await processes.run(module, 'pid', null)).toBe(pid);
});

it('throws what the work throws, with its fields, and tells it no secrets', async () => {
  await expect(processes.run(module, 'refuse', null)).rejects.toEqual(
    InvalidArgument.at('rows[2]', 'expected less'),
  );
  await expect(processes.run(module, 'miss', null)).rejects.toBeInstanceOf(NotFound);
  process.env['EMOTUNE_DATABASE_URL'] = 'postgres://secret';
  const fresh = new BuildProcesses({ memoryMiB: 300, hours: 1 });
  expect(await fresh.run(module, 'secret', null)).toBe(undefined);
  await fresh.close();
  delete process.env['EMOTUNE_DATABASE_URL'];
});

it.each([
  ['buffers', /took more memory than the 300 MiB that a build may take \(EMOTUNE_BUILD_MEMORY_MIB\)/],
  ['objects', /took more memory than the 300 MiB/],
  ['killed', /took more memory than the 300 MiB that a build may take .*, or than the machine has/],
  ['crash', /its process ended by itself \(SIGABRT\)/],
  ['leave', /its process ended by itself \(exit code 3\)/],
])('survives one that ends by %s and says why, and does the next', async (work, why) => {
  const failed = processes.run(module, work, null);
  await expect(failed).rejects.toBeInstanceOf(BuildDied);
  await expect(failed).rejects.toThrow(why);
  expect(await processes.run(module, 'sum', [1, 2])).toBe(3);
});

it('ends one whose time is over', async () => {
  const brief = new BuildProcesses({ memoryMiB: 300, hours: 1e-5 });
  await expect(brief.run(module, 'spin', null)).rejects.toThrow(
    'it took longer than 0.00001 h, which a build may take',
  );
  await brief.close();
});

it('kills one that nobody wants any more, though it listens to nobody, and removes what it wrote', async () => {
  const stop = new AbortController();
  let pid = 0;
  const running = processes.run(module, 'spin', null, {
    signal: stop.signal,
    onProgress: ({ phase }) => {
      pid = Number(phase);
      setTimeout(() => stop.abort(new Error('deleted')), 100);
    },
  });
  await expect(running).rejects.toThrow('deleted');
  expect(isAlive(pid)).toBe(false);
  const temporary = await processes.run<null, string>(module, 'temporary', null);
  expect(readdirSync(temporary)).toEqual(['left']);
  await processes.close();
  expect(() => readdirSync(temporary)).toThrow('ENOENT');
  await expect(processes.run(module, 'pid', null)).rejects.toBeInstanceOf(Unavailable);
});

it('refuses more calls than may wait', async () => {
  const busy = new BuildProcesses({ memoryMiB: 300, hours: 1 });
  const all = Array.from({ length: 101 }, () => busy.run(module, 'spin', null));
  const outcomes = Promise.allSettled(all);
  await expect(all[100]).rejects.toBeInstanceOf(ResourceExhausted);
  await busy.close();
  expect((await outcomes).every(({ status }) => status === 'rejected')).toBe(true);
});
