import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { closedLoop } from './closed-loop.js';

const signal = new AbortController().signal;

it('has every caller wait for its answer before it asks again, and counts what is refused', async () => {
  const open = new Set<number>();
  let most = 0;
  const figures = await closedLoop(
    async (caller, n) => {
      expect(open.has(caller)).toBe(false);
      most = Math.max(most, open.add(caller).size);
      await delay(1);
      open.delete(caller);
      if (n % 2 === 1) throw new Error('refused');
    },
    { callers: 5, seconds: 0.1, signal },
  );
  expect(most).toBe(5);
  expect(open.size).toBe(0);
  expect(figures.callers).toBe(5);
  expect(figures.perSecond).toBeGreaterThan(0);
  expect(figures.refused).toBeGreaterThan(0);
  expect(figures.p50Ms).toBeLessThanOrEqual(figures.p99Ms);
});

it('stops when it is told to', async () => {
  const stop = new AbortController();
  const loop = closedLoop(() => delay(1), { callers: 2, seconds: 3600, signal: stop.signal });
  stop.abort(new Error('enough'));
  await expect(loop).rejects.toThrow('enough');
});
