/** Published functions to minimise, with their optima. */
import type { Assignment } from '@emotune/search';

export interface TestFunction {
  readonly name: string;
  /** Of `x1`, `x2`, … */
  readonly domain: readonly { readonly min: number; readonly max: number }[];
  readonly minimum: number;
  valueOf(x: readonly number[]): number;
}

/** Dixon and Szegő 1978, "The global optimization problem: an introduction"; three minima of equal depth. */
export const branin: TestFunction = {
  name: 'Branin',
  domain: [
    { min: -5, max: 10 },
    { min: 0, max: 15 },
  ],
  minimum: 0.39788735772973816,
  valueOf: ([x1, x2]) =>
    (x2 - (5.1 / (4 * Math.PI ** 2)) * x1 ** 2 + (5 / Math.PI) * x1 - 6) ** 2 +
    10 * (1 - 1 / (8 * Math.PI)) * Math.cos(x1) +
    10,
};

const hartmann = {
  alpha: [1, 1.2, 3, 3.2],
  a: [
    [10, 3, 17, 3.5, 1.7, 8],
    [0.05, 10, 17, 0.1, 8, 14],
    [3, 3.5, 1.7, 10, 17, 8],
    [17, 8, 0.05, 10, 0.1, 14],
  ],
  p: [
    [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
    [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
    [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.665],
    [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
  ],
};

/** Hartmann 1973 with the constants of Dixon and Szegő 1978; six minima, one of them global. */
export const hartmann6: TestFunction = {
  name: 'Hartmann-6',
  domain: Array.from({ length: 6 }, () => ({ min: 0, max: 1 })),
  minimum: -3.322368011391339,
  valueOf: (x) =>
    -hartmann.alpha.reduce(
      (sum, alpha, i) =>
        sum +
        alpha * Math.exp(-x.reduce((q, xj, j) => q + hartmann.a[i][j] * (xj - hartmann.p[i][j]) ** 2, 0)),
      0,
    ),
};

export function pointOf({ domain }: TestFunction, values: Assignment): number[] {
  return domain.map((_, i) => values[`x${i + 1}`] as number);
}
