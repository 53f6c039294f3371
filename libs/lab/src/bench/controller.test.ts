import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { benchController } from './controller.js';

const folders = () =>
  readdirSync(tmpdir()).filter((name) => name.startsWith(`emotune-bench-controller-${process.pid}-`));

it('fills every place, stops when it is told to, and leaves nothing behind', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'emotune-machine-'));
  const machine = join(folder, 'machine.mjs');
  // Trainers that are started and never end.
  writeFileSync(machine, "process.on('message', () => {}); process.on('disconnect', () => process.exit(0));");
  const stop = new AbortController();
  const running = benchController({
    trials: 20,
    trialSeconds: 3600,
    seconds: 1,
    signal: stop.signal,
    machine,
    threadArguments: [
      '--conditions=source',
      '--import',
      new URL('../../../../scripts/source-loader.mjs', import.meta.url).href,
    ],
  });
  setTimeout(() => stop.abort(new Error('enough')), 3000);
  await expect(running).rejects.toThrow('aborted');
  expect(folders()).toEqual([]);
  rmSync(folder, { recursive: true });
});
