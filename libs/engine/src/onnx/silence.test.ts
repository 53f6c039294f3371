import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import './silence.js';

const load = (env: NodeJS.ProcessEnv) =>
  once(new Worker(new URL('./runtime.ts', import.meta.url), { env }), 'exit');

it('the runtime loads where its process forbids it to call its maker, and nowhere else', async () => {
  expect(await load({ ...process.env })).toEqual([0]);
  await expect(load({ PATH: process.env['PATH'] })).rejects.toThrow('ORT_DISABLE_TELEMETRY is not set');
});
