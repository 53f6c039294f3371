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
