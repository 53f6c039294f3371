/**
 * Sobol' points (Sobol' 1967) with the direction numbers of Joe and Kuo 2008, "Constructing Sobol sequences with
 * better two-dimensional projections", table new-joe-kuo-6, and nested uniform scrambling (Owen 1995, "Randomly
 * permuted (t, m, s)-nets and (t, s)-sequences").
 */
import { philox4x32, type Rng } from '@emotune/base';

/** Per dimension from the second: coefficients `a` of the primitive polynomial, then m₁ … m_s, s being its degree. */
const table = `0 1|1 1 3|1 1 3 1|2 1 1 1|1 1 1 3 3|4 1 3 5 13|2 1 1 5 5 17|4 1 1 5 5 5|7 1 1 7 11 19|11 1 1 5 1 1|
13 1 1 1 3 11|14 1 3 5 5 31|1 1 3 3 9 7 49|13 1 1 1 15 21 21|16 1 3 1 13 27 49|19 1 1 1 15 7 5|22 1 3 1 15 13 25|
25 1 1 5 5 19 61|1 1 3 7 11 23 15 103|4 1 3 7 13 13 15 69|7 1 1 3 13 7 35 63|8 1 3 5 9 1 25 53|
14 1 3 1 13 9 35 107|19 1 3 1 5 27 61 31|21 1 1 5 11 19 41 61|28 1 3 5 3 3 13 69|31 1 1 7 13 1 19 1|
32 1 3 7 5 13 19 59|37 1 1 3 9 25 29 41|41 1 3 5 13 23 1 55|42 1 3 7 3 13 59 17`;

const bits = 32;

/** Direction numbers v₁ … v₃₂ of each dimension: v_k = m_k · 2^(32−k). */
const directions: readonly Uint32Array[] = [
  Uint32Array.from({ length: bits }, (_, k) => 2 ** (bits - 1 - k)),
  ...table.split('|').map((row) => {
    const [a, ...m] = row.trim().split(' ').map(Number);
    const s = m.length;
    const v = Uint32Array.from({ length: bits }, (_, k) => (k < s ? m[k] * 2 ** (bits - 1 - k) : 0));
    for (let k = s; k < bits; k++) {
      v[k] = v[k - s] ^ (v[k - s] >>> s);
      for (let i = 1; i < s; i++) if ((a >>> (s - 1 - i)) & 1) v[k] ^= v[k - i];
    }
    return v;
  }),
];

/** How many dimensions there are. */
export const sobolDimensions = directions.length;

/** Coordinate of point `index` (0 … 2³²−1) in a dimension, times 2³². The order is that of Gray codes. */
export function sobol(index: number, dimension: number): number {
  const v = directions[dimension];
  let x = 0;
  for (let gray = (index ^ (index >>> 1)) >>> 0, k = 0; gray !== 0; gray >>>= 1, k++) if (gray & 1) x ^= v[k];
  return x >>> 0;
}

/** A scrambling, the same for every point of a set. */
export class OwenScrambling {
  private readonly key0: number;
  private readonly key1: number;
  private readonly counter = new Uint32Array(4);
  private readonly block = new Uint32Array(4);

  constructor(rng: Rng) {
    this.key0 = rng.uint32();
    this.key1 = rng.uint32();
  }

  /** The scrambled coordinate on [0, 1): each bit is flipped or not depending on all bits before it. */
  apply(x: number, dimension: number): number {
    const { counter, block } = this;
    let result = 0;
    for (let k = 0; k < bits; k++) {
      counter[0] = k === 0 ? 0 : x >>> (bits - k);
      counter[1] = k;
      counter[2] = dimension;
      philox4x32(counter, this.key0, this.key1, block);
      result = result * 2 + (((x >>> (bits - 1 - k)) ^ block[0]) & 1);
    }
    return result / 2 ** bits;
  }
}
