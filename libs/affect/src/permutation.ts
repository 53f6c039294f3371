/**
 * Paired permutation tests: whether one system answers the same examples better than another (Fisher 1935, The Design of
 * Experiments, section 21; Noreen 1989, chapter 2). If there were no difference, each example's two answers could as
 * well be swapped. Every way to swap is looked at where there are few, as many random ones where there are not. The same
 * stream gives the same numbers.
 */
import type { Rng } from '@emotune/base';

export interface PairedTest {
  /** p-value that the first is not better than the second. */
  readonly notBetter: number;
  /** p-value that the two are the same: twice the smaller tail. */
  readonly twoSided: number;
}

const defaultResamples = 9_999;
/** All 2ⁿ ways to swap up to so many pairs. */
const enumerated = 15;
/** Statistics nearer than this share of their scale are the same but for rounding. */
const rounding = 1e-12;

/** Calls with which pairs are swapped [n]: 1 where they are. @returns how many calls. */
function forEachSwap(
  n: number,
  rng: Rng,
  resamples: number,
  look: (swapped: Uint8Array) => void,
): { readonly calls: number; readonly all: boolean } {
  const swapped = new Uint8Array(n);
  if (n <= enumerated) {
    for (let code = 0; code < 2 ** n; code++) {
      for (let i = 0; i < n; i++) swapped[i] = (code >> i) & 1;
      look(swapped);
    }
    return { calls: 2 ** n, all: true };
  }
  for (let r = 0; r < resamples; r++) {
    for (let i = 0, bits = 0; i < n; i++) {
      if (i % 32 === 0) bits = rng.uint32();
      swapped[i] = (bits >>> (i % 32)) & 1;
    }
    look(swapped);
  }
  return { calls: resamples, all: false };
}

/** @param advantage of the first system over the second once these pairs are swapped; NaN counts against it */
function testOf(
  n: number,
  rng: Rng,
  resamples: number,
  scale: number,
  advantage: (swapped: Uint8Array) => number,
): PairedTest {
  const seen = advantage(new Uint8Array(n));
  const slack = rounding * scale;
  let [above, below] = [0, 0];
  const { calls, all } = forEachSwap(n, rng, resamples, (swapped) => {
    const value = advantage(swapped);
    if (!(value < seen - slack)) above++;
    if (!(value > seen + slack)) below++;
  });
  // What was seen is one of all ways to swap, and is counted beside random ones, so that no p-value is 0.
  const p = (count: number) => (all ? count / calls : (count + 1) / (calls + 1));
  return { notBetter: p(above), twoSided: Math.min(1, 2 * p(Math.min(above, below))) };
}

/** On the mean loss of two systems, by example; undefined without examples. */
export function pairedPermutation(
  first: readonly number[],
  second: readonly number[],
  rng: Rng,
  resamples = defaultResamples,
): PairedTest | undefined {
  const n = first.length;
  if (n === 0) return undefined;
  const gain = Float64Array.from(first, (loss, i) => second[i] - loss);
  const scale = gain.reduce((sum, g) => sum + Math.abs(g), 0);
  return testOf(n, rng, resamples, scale, (swapped) => {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += swapped[i] === 0 ? gain[i] : -gain[i];
    return sum;
  });
}

/** Mean 0 and variance 1; undefined where all values are the same. */
function standardised(values: readonly number[]): Float64Array | undefined {
  const n = values.length;
  const mean = values.reduce((sum, v) => sum + v, 0) / n;
  const variance = values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / n;
  if (!(variance > rounding * Math.max(1, mean ** 2))) return undefined;
  return Float64Array.from(values, (v) => (v - mean) / Math.sqrt(variance));
}

/**
 * On Pearson's r with the golds, so that the scales of the two systems do not matter: both are standardised before they are
 * swapped (Deutsch, Dror and Roth 2021, "A statistical analysis of summarization evaluation metrics using resampling
 * methods", section 4.2). Undefined without examples, and where golds or the answers of one are all the same.
 */
export function correlationPermutation(
  first: readonly number[],
  second: readonly number[],
  gold: readonly number[],
  rng: Rng,
  resamples = defaultResamples,
): PairedTest | undefined {
  const [a, b, y] = [first, second, gold].map(standardised);
  if (!a || !b || !y) return undefined;
  const n = y.length;
  return testOf(n, rng, resamples, 1, (swapped) => {
    let [sa, saa, say, sb, sbb, sby] = [0, 0, 0, 0, 0, 0];
    for (let i = 0; i < n; i++) {
      const [p, q] = swapped[i] === 0 ? [a[i], b[i]] : [b[i], a[i]];
      sa += p;
      saa += p * p;
      say += p * y[i];
      sb += q;
      sbb += q * q;
      sby += q * y[i];
    }
    // The golds have mean 0 and the same variance for both.
    return say / Math.sqrt(saa - (sa * sa) / n) - sby / Math.sqrt(sbb - (sb * sb) / n);
  });
}

/** p-values that hold for all of several tests together (Holm 1979), in the order given. */
export function holm(pValues: readonly number[]): number[] {
  const adjusted = new Array<number>(pValues.length);
  const rising = pValues.map((_, i) => i).sort((i, j) => pValues[i] - pValues[j]);
  let largest = 0;
  rising.forEach((i, rank) => {
    largest = Math.max(largest, Math.min(1, (pValues.length - rank) * pValues[i]));
    adjusted[i] = largest;
  });
  return adjusted;
}
