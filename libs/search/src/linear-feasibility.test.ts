import { describe, expect, it } from 'vitest';
import { linearFeasibility } from './linear-feasibility.js';
import type { Inputs } from './matern.js';

const row = (...values: number[]) => Float64Array.from(values);
/** A number, and one of three categories. */
const points: readonly (readonly [row: Float64Array, worked: boolean])[] = [
  [row(0.1, 0), true],
  [row(0.25, 1), true],
  [row(0.4, 0), true],
  [row(0.55, 2), false],
  [row(0.6, 0), true],
  [row(0.7, 1), false],
  [row(0.85, 0), false],
  [row(0.95, 1), false],
];
const inputsOf = (of: typeof points): Inputs => ({
  rows: of.map(([values]) => values),
  categorical: [false, true],
});
const fitted = (of: typeof points, deviation = 4) => {
  const found = linearFeasibility(inputsOf(of), (i) => of[i][1], deviation);
  if (!found) throw new Error('nothing was fitted');
  return found;
};

describe('a regression of what works', () => {
  it('says what its posterior about the mode says', () => {
    // By scipy 1.17.1: mode by `minimize` and Newton's steps, curvature by its closed form, MacKay's mean of the logistic.
    const oracle: readonly [x: Float64Array, chance: number][] = [
      [row(0.2, 0), 0.9084953705232667],
      [row(0.5, 1), 0.46232166168153815],
      [row(0.9, 2), 0.089424880361978],
      [row(Number.NaN, 0), 0.7813600211400551],
      [row(0.5, Number.NaN), 0.49472133050753053],
    ];
    const { at } = fitted(points);
    // Newton's last step leaves about the square of 1e-6.
    for (const [x, chance] of oracle) expect(at(x)).toBeCloseTo(chance, 9);
  });

  it('says of each point without it about what it says made without it', () => {
    const { withoutEach } = fitted(points, 1);
    points.forEach(([x], i) => {
      const { at } = fitted(
        points.filter((_, j) => j !== i),
        1,
      );
      // To first order, and eight points are few: each moves the mode by much.
      expect(Math.abs(withoutEach[i] - at(x))).toBeLessThan(0.05);
    });
  });

  it('finds a wall that two numbers make, from points that are told apart', () => {
    const grid = Array.from({ length: 49 }, (_, i) =>
      row(((i % 7) + 0.5) / 7, (Math.floor(i / 7) + 0.5) / 7),
    );
    const works = (x: Float64Array) => x[0] + 0.5 * x[1] < 0.8;
    const inputs: Inputs = { rows: grid, categorical: [false, false] };
    const found = linearFeasibility(inputs, (i) => works(grid[i]), 64);
    for (const [x, y] of [
      [0.3, 0.3],
      [0.55, 0.2],
      [0.7, 0.6],
      [0.5, 0.9],
    ])
      expect((found?.at(row(x, y)) ?? 0.5) > 0.5).toBe(works(row(x, y)));
  });

  it('is not made of more categories than a step is worth', () => {
    const rows = Array.from({ length: 100 }, (_, i) => row(i));
    expect(linearFeasibility({ rows, categorical: [true] }, (i) => i % 2 === 0, 4)).toBeUndefined();
  });
});
