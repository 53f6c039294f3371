import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { expect, it } from 'vitest';
import { benchBus } from './bus.js';

const folders = () =>
  readdirSync(tmpdir()).filter((name) => name.startsWith(`emotune-bench-bus-${process.pid}-`));

it('stops in the middle when it is told to, and leaves nothing behind', async () => {
  // More events than can be sent in that time.
  const stopped = benchBus({ events: 1e7, signal: AbortSignal.timeout(3000) });
  await expect(stopped).rejects.toMatchObject({ name: 'TimeoutError' });
  expect(folders()).toEqual([]);
});
