/** How far people agree with each other: what no system can be expected to exceed by much. */
import type { Rng } from '@emotune/base';

const defaultSplits = 10;

function pearson(x: Float64Array, y: Float64Array): number {
  const n = x.length;
  const [mx, my] = [x, y].map((v) => v.reduce((sum, e) => sum + e, 0) / n);
  let [xx, yy, xy] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    xx += (x[i] - mx) ** 2;
    yy += (y[i] - my) ** 2;
    xy += (x[i] - mx) * (y[i] - my);
  }
  return xy / Math.sqrt(xx * yy);
}

/**
 * Split-half reliability of the mean rating: Pearson's r between the means of two random halves of each example's raters,
 * stepped up to all of them, 2r / (1 + r) (Spearman 1910, Brown 1910); the mean over several splits. With an odd number
 * of raters one half has one more. Undefined unless there are two examples and each has two ratings, and where a half does
 * not vary.
 * @param ratings of each example, on any one scale
 */
export function splitHalf(
  ratings: readonly (readonly number[])[],
  rng: Rng,
  splits = defaultSplits,
): number | undefined {
  const n = ratings.length;
  if (n < 2 || ratings.some((all) => all.length < 2)) return undefined;
  const [first, second] = [new Float64Array(n), new Float64Array(n)];
  let sum = 0;
  for (let s = 0; s < splits; s++) {
    ratings.forEach((all, i) => {
      const drawn = [...all];
      const half = Math.floor(drawn.length / 2);
      const whole = drawn.reduce((total, rating) => total + rating, 0);
      let part = 0;
      for (let k = 0; k < half; k++) {
        const at = k + rng.int(drawn.length - k);
        part += drawn[at];
        drawn[at] = drawn[k];
      }
      first[i] = part / half;
      second[i] = (whole - part) / (drawn.length - half);
    });
    const r = pearson(first, second);
    sum += (2 * r) / (1 + r);
  }
  return Number.isFinite(sum) ? sum / splits : undefined;
}
