import { expect, it } from 'vitest';
import { decay } from './decay.js';

it('is exp(−r), between the table and on it', () => {
  for (let r = 0; r < 63.9; r = r * 1.01 + 1e-5) expect(decay(r) / Math.exp(-r)).toBeCloseTo(1, 12);
  for (let i = 0; i < 640; i++) expect(decay(i / 10) / Math.exp(-i / 10)).toBeCloseTo(1, 12);
  expect([decay(0), decay(64), decay(1e9), decay(Number.POSITIVE_INFINITY)]).toEqual([1, 0, 0, 0]);
});
