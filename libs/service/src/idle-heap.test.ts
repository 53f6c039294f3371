import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { collectAtRest } from './idle-heap.js';

let stop = () => {};
afterEach(() => stop());

it('collects what was left when the process came to rest', async () => {
  const garbage = () => new WeakRef(Array.from({ length: 4_000_000 }, (_, i) => ({ i })));
  stop = collectAtRest(200);
  const left = garbage();
  await expect.poll(() => left.deref() === undefined).toBe(true);
});

it('collects what is small on the heap, too, when the process has worked', async () => {
  const everyMs = 100;
  let forced = 0;
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { flags } = (entry as PerformanceEntry & { readonly detail: { readonly flags: number } }).detail;
      if ((flags & constants.NODE_PERFORMANCE_GC_FLAGS_FORCED) > 0) forced++;
    }
  });
  observer.observe({ entryTypes: ['gc'] });
  stop = collectAtRest(everyMs);
  await expect.poll(() => forced).toBeGreaterThan(0);
  await delay(5 * everyMs);
  const before = forced;
  await delay(10 * everyMs);
  expect(forced).toBe(before);
  const { user, system } = process.cpuUsage();
  for (let used = user + system; used < user + system + 1000 * everyMs; )
    used = Object.values(process.cpuUsage()).reduce((sum, part) => sum + part);
  await delay(10 * everyMs);
  observer.disconnect();
  expect(forced).toBeGreaterThan(before);
});
