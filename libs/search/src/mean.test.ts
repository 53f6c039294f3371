import { expect, it } from 'vitest';
import { mean, standardError } from './mean.js';

it('means and their standard errors', () => {
  expect(mean([1, 2, 6])).toBe(3);
  expect(mean([])).toBeNaN();
  // √((4 + 1 + 9) / 2 / 3)
  expect(standardError([1, 2, 6])).toBeCloseTo(Math.sqrt(7 / 3), 12);
  expect(standardError([5, 5])).toBe(0);
  expect(standardError([1])).toBeUndefined();
});
