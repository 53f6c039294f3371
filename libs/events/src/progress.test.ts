import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Progress } from './progress.js';

it('may commit up to the first offset that is not done with, in whatever order they are done', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(200), { minLength: 1 }), fc.nat(), (given, seed) => {
      const offsets = given.sort((a, b) => a - b);
      const progress = new Progress(0);
      for (const offset of offsets) progress.take(offset);
      const left = new Set(offsets);
      const order = [...offsets].sort((a, b) => ((a * 7919 + seed) % 101) - ((b * 7919 + seed) % 101));
      for (const offset of order) {
        expect(progress.position).toBe(Math.min(...left));
        expect(progress.span).toBe(offsets.at(-1)! + 1 - Math.min(...left));
        progress.done(offset);
        left.delete(offset);
      }
      expect(progress.position).toBe(offsets.at(-1)! + 1);
      expect(progress.span).toBe(0);
    }),
  );
});

it('passes over what ends a batch and is no event', () => {
  const progress = new Progress(5);
  expect([progress.position, progress.nextOffset]).toEqual([5, 5]);
  progress.take(5);
  progress.skipTo(9);
  expect([progress.position, progress.nextOffset]).toEqual([5, 9]);
  progress.done(5);
  progress.skipTo(7);
  expect(progress.position).toBe(9);
});
