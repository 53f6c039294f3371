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

/** All ways to choose the members are looked at where there are no more than this. */
const enumeratedChoices = 10_000;

/** How many ways there are to choose k of n, or more than the limit. */
function choices(n: number, k: number, limit: number): number {
  let ways = 1;
  for (let i = 1; i <= Math.min(k, n - k) && ways <= limit; i++) ways = (ways * (n - i + 1)) / i;
  return ways;
}

/** Calls with the sum of each choice of k of the values. */
function forEachChoice(values: Float64Array, k: number, look: (sum: number) => void): void {
  const choose = (from: number, left: number, sum: number): void => {
    if (left === 0) look(sum);
    else for (let i = from; i <= values.length - left; i++) choose(i + 1, left - 1, sum + values[i]);
  };
  choose(0, k, 0);
}

/**
 * p-value that members have the mean that all others have, two-sided (twice the smaller tail; Pitman 1937): if membership said
 * nothing, any rows could be the members. Undefined where there are no members, or no others.
 * @param members 1 for each value that is one
 */
export function membersPermutation(
  values: readonly number[],
  members: ArrayLike<number>,
  rng: Rng,
  resamples = defaultResamples,
): number | undefined {
  const n = values.length;
  const all = Float64Array.from(values);
  let [k, seen, scale] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    scale += Math.abs(all[i]);
    if (members[i] === 0) continue;
    k++;
    seen += all[i];
  }
  if (k === 0 || k === n) return undefined;
  const slack = rounding * scale;
  let [above, below] = [0, 0];
  // The mean of the members, and so its difference from the others', rises with their sum.
  const look = (sum: number) => {
    if (sum >= seen - slack) above++;
    if (sum <= seen + slack) below++;
  };
  const ways = choices(n, k, enumeratedChoices);
  if (ways <= enumeratedChoices) {
    forEachChoice(all, k, look);
    return Math.min(1, (2 * Math.min(above, below)) / ways);
  }
  // The fewer of the two are drawn, which stand first after a partial shuffle.
  const total = all.reduce((sum, value) => sum + value, 0);
  const drawn = Math.min(k, n - k);
  for (let r = 0; r < resamples; r++) {
    let sum = 0;
    for (let i = 0; i < drawn; i++) {
      const other = i + rng.int(n - i);
      const value = all[other];
      all[other] = all[i];
      all[i] = value;
      sum += value;
    }
    look(drawn === k ? sum : total - sum);
  }
  return Math.min(1, (2 * (Math.min(above, below) + 1)) / (resamples + 1));
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
