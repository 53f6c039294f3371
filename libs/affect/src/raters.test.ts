import { expect, it } from 'vitest';
import { disagreement, median } from './raters.js';
import { labelGold, numberGold, ratedGold } from './tasks.js';

it('raters are apart by their spread, or by how many did not give the usual label', () => {
  expect(disagreement(ratedGold(0.5, [0.25, 0.75]))).toBe(0.25);
  expect(disagreement(numberGold(0.5, 0.1))).toBe(0.1);
  expect(disagreement(numberGold(0.5))).toBeUndefined();
  expect(disagreement(ratedGold(0.5, [0.5]))).toBeUndefined();
  expect(disagreement(labelGold(['joy'], 4, { joy: 3, fear: 1 }))).toBe(0.25);
  expect(disagreement(labelGold(['joy'], 3, { joy: 3, fear: 3 }))).toBe(0);
  expect(disagreement(labelGold(['joy'], 1, { joy: 1 }))).toBeUndefined();
  expect(disagreement(labelGold(['joy']))).toBeUndefined();
});

it('the median of an even number is between the middle two', () => {
  expect([median([3, 1, 2]), median([4, 1, 2, 3]), median([5])]).toEqual([2, 2.5, 5]);
});
