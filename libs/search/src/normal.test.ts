import { expect, it } from 'vitest';
import { cdf, logCdf, logMass, quantileOfLog, truncatedQuantile } from './normal.js';

it('Φ and log Φ have their published values, in both tails', () => {
  const table: [x: number, cdf: number][] = [
    [0, 0.5],
    [1, 0.8413447460685429],
    [-1, 0.15865525393145707],
    [1.96, 0.9750021048517795],
    [-3, 0.0013498980316300946],
    [-5, 2.8665157187919391e-7],
    [-10, 7.619853024160527e-24],
  ];
  for (const [x, want] of table) {
    expect(Math.abs(cdf(x) / want - 1)).toBeLessThan(1e-13);
    expect(Math.abs(logCdf(x) - Math.log(want))).toBeLessThan(1e-12 * Math.max(1, x * x));
  }
  // scipy.special.log_ndtr(-30)
  expect(logCdf(-30)).toBeCloseTo(-454.3212439563432, 9);
  expect(logCdf(40)).toBeCloseTo(0, 15);
  expect(logCdf(-Infinity)).toBe(-Infinity);
});

it('masses on either side of 0 mirror each other and add up', () => {
  for (const [a, b, c] of [
    [-2, -0.5, 1],
    [-9, -8.5, -8],
    [7, 7.25, 9],
  ]) {
    expect(logMass(a, c)).toBeCloseTo(Math.log(Math.exp(logMass(a, b)) + Math.exp(logMass(b, c))), 11);
    expect(logMass(a, c)).toBeCloseTo(logMass(-c, -a), 11);
  }
  expect(logMass(2, 2)).toBe(-Infinity);
});

it('the quantile undoes the distribution function', () => {
  expect(quantileOfLog(Math.log(0.975))).toBeCloseTo(1.959963984540054, 11);
  for (const x of [-37, -12, -3, -0.7, 0, 0.4, 2, 5])
    expect(Math.abs(quantileOfLog(logCdf(x)) - x)).toBeLessThan(1e-8);
  for (const [a, b] of [
    [-1, 2],
    [3, 8],
    [-20, -15],
  ])
    for (const u of [0, 0.1, 0.5, 0.99]) {
      const x = truncatedQuantile(u, a, b);
      expect(x).toBeGreaterThanOrEqual(a);
      expect(x).toBeLessThanOrEqual(b);
      if (u > 0) expect(Math.exp(logMass(a, x) - logMass(a, b))).toBeCloseTo(u, 9);
    }
});
