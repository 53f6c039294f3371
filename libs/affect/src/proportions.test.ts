import { expect, it } from 'vitest';
import { signTest, wilsonInterval } from './proportions.js';

it.each([
  [81, 263, 0.2553, 0.3662],
  [15, 148, 0.0624, 0.1605],
  [0, 20, 0, 0.1611],
  [1, 29, 0.0061, 0.1718],
])(
  'gives the interval of %i in %i as published (Newcombe 1998, table I, score method)',
  (k, n, low, high) => {
    const interval = wilsonInterval(k, n)!;
    // Four digits are published.
    expect(interval.low).toBeCloseTo(low, 4);
    expect(interval.high).toBeCloseTo(high, 4);
  },
);

it('tests by the exact binomial', () => {
  // 2 (1 + 10 + 45) / 1024
  expect(signTest(2, 8)).toBeCloseTo(0.109375, 12);
  expect(signTest(8, 2)).toBeCloseTo(0.109375, 12);
  expect(signTest(5, 5)).toBe(1);
  expect(signTest(0, 10)).toBeCloseTo(2 / 1024, 12);
  // The normal approximation with continuity correction: z = (100 − 1) / √2000, and the exact one differs in the fourth digit.
  expect(signTest(950, 1050)).toBeCloseTo(0.0268, 3);
});

it('says nothing of nothing', () => {
  expect(wilsonInterval(0, 0)).toBeUndefined();
  expect(signTest(0, 0)).toBeUndefined();
});
