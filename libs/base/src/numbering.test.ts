import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Numbering } from './numbering.js';

it('numbers keys as a map does, however many there are', () => {
  const word = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 2 ** 32 - 1 }));
  fc.assert(
    fc.property(fc.array(fc.tuple(word, word), { maxLength: 5000, size: 'max' }), (keys) => {
      const numbering = new Numbering(2);
      const known = new Map<string, number>();
      for (const key of keys) {
        expect(numbering.get(key)).toBe(known.get(`${key}`));
        if (!known.has(`${key}`)) known.set(`${key}`, known.size);
        expect(numbering.add(key)).toBe(known.get(`${key}`));
        expect(numbering.size).toBe(known.size);
      }
    }),
    { numRuns: 30 },
  );
});
