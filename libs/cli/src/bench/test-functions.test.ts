import { expect, it } from 'vitest';
import { branin, hartmann6, type TestFunction } from './test-functions.js';

/** Published minimisers. */
const table: [TestFunction, number[]][] = [
  [branin, [-Math.PI, 12.275]],
  [branin, [Math.PI, 2.275]],
  [branin, [9.42478, 2.475]],
  [hartmann6, [0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573]],
];

it.each(table)('%j has its minimum at %j', (f, x) => {
  expect(f.valueOf(x)).toBeCloseTo(f.minimum, 6);
  for (const [i, { min, max }] of f.domain.entries()) {
    expect(f.valueOf(x.with(i, x[i] - (max - min) / 100))).toBeGreaterThan(f.minimum);
    expect(f.valueOf(x.with(i, x[i] + (max - min) / 100))).toBeGreaterThan(f.minimum);
  }
});

it('the minima are those of the literature', () => {
  expect(branin.minimum).toBeCloseTo(0.397887, 6);
  expect(hartmann6.minimum).toBeCloseTo(-3.32237, 5);
});
