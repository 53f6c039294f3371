import { expect, it } from 'vitest';
import { nativeOf, ratingStep, ratingValues, unitOf } from './scales.js';

it.each([
  [-4, 4, 1, [-4, -3, -2, -1, 0, 1, 2, 3, 4]],
  [0, 1, 0.25, [0, 0.25, 0.5, 0.75, 1]],
  [0, 100, 25, [0, 25, 50, 75, 100]],
  [6, 1, 1, [6, 5, 4, 3, 2, 1]],
  [0, 9, 1, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
])('people choose on %d..%d in steps of %d', (low, high, step, values) => {
  const scale = { low, high };
  expect(ratingStep(scale)).toBe(step);
  expect(ratingValues(scale, step)).toEqual(values);
  for (const value of values) expect(nativeOf(scale, unitOf(scale, value))).toBeCloseTo(value, 12);
});

it('writes decimal fractions as people do', () => {
  expect(ratingValues({ low: 0, high: 1 }, 0.1)).toEqual([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]);
});
