/** The parts of the process's kernel (`gaussian-process.ts`): distances between points, and Matérn 5/2 of them. */
import { decay } from './decay.js';

export const sqrt5 = Math.sqrt(5);

/** Inputs [n][D]: numbers on [0, 1], indices of categories, NaN where a parameter is inactive. */
export interface Inputs {
  readonly rows: readonly Float64Array[];
  /** [D] */
  readonly categorical: readonly boolean[];
  /** Whether the kernel has what pairs of parameters do. */
  readonly pairs?: boolean;
}

/** Points by parameter: places on the line and beside it of numbers, indices of categories, −1 where inactive. */
export interface Column {
  readonly categorical: boolean;
  /** [n] */
  readonly at: Float64Array;
  readonly beside: Float64Array;
}

/** Where an inactive number lies: amidst the values, and as far beside their line. */
const amidst = 0.5;

function placeOf(x: number, categorical: boolean): number {
  if (!Number.isNaN(x)) return x;
  return categorical ? -1 : amidst;
}

const besideOf = (x: number) => (Number.isNaN(x) ? amidst : 0);

export function columnsOf({ rows, categorical }: Inputs): Column[] {
  return categorical.map((isCategory, d) => ({
    categorical: isCategory,
    at: Float64Array.from(rows, (row) => placeOf(row[d], isCategory)),
    beside: Float64Array.from(rows, (row) => besideOf(row[d])),
  }));
}

function categoryDistance(a: number, b: number): number {
  if (a === b) return 0;
  return a < 0 || b < 0 ? 0.5 : 1;
}

/** Squared distances of a value, first, from each of a column's first `count`, into `q`. */
export function distancesFrom(
  x: number,
  { categorical, at, beside }: Column,
  count: number,
  q: Float64Array,
): void {
  const here = placeOf(x, categorical);
  if (categorical) {
    for (let i = 0; i < count; i++) q[i] = categoryDistance(here, at[i]);
    return;
  }
  const besideHere = besideOf(x);
  for (let i = 0; i < count; i++) {
    const along = here - at[i];
    const off = besideHere - beside[i];
    q[i] = along * along + off * off;
  }
}

/** m(r²) */
export function matern(r2: number): number {
  const r = sqrt5 * Math.sqrt(r2);
  return (1 + r + (5 / 3) * r2) * decay(r);
}

/** Distances [D][n(n+1)/2] of all pairs, lower triangle row by row. */
export function distances(inputs: Inputs): Float64Array[] {
  const { rows } = inputs;
  return columnsOf(inputs).map((column, d) => {
    const q = new Float64Array((rows.length * (rows.length + 1)) / 2);
    rows.forEach((row, i) => {
      distancesFrom(row[d], column, i + 1, q.subarray((i * (i + 1)) / 2));
    });
    return q;
  });
}
