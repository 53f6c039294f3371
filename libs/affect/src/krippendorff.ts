/**
 * How far raters agree beyond chance: Krippendorff's alpha (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability"), for any
 * number of raters and with values missing anywhere.
 *
 * Legend: a unit is what was rated; m_u its values; a value counts where its unit has two or more. o_ck coincidences of the values c
 * and k, Σ_u pairs of them in u / (m_u − 1); n_c = Σ_k o_ck how often c stands in pairable units; n = Σ_c n_c.
 * alpha = 1 − (n − 1) Σ o_ck δ²_ck / Σ n_c n_k δ²_ck.
 */
import type { Rng } from '@emotune/base';
import { type Interval, percentileInterval } from './bootstrap.js';

/** How much two values differ: not at all or wholly; by how many values lie between; by their difference; by it in parts of their sum. */
export type Difference = 'nominal' | 'ordinal' | 'interval' | 'ratio';

/** The ratings of one unit, as many as there are. */
export type Unit = readonly number[];

const defaultResamples = 1000;

/** Values as numbers from 0 on, so that differences are a table. */
interface Coded {
  /** Distinct, rising. */
  readonly values: readonly number[];
  /** Of each pairable unit. */
  readonly units: readonly (readonly number[])[];
}

function coded(units: readonly Unit[]): Coded {
  const pairable = units.filter(({ length }) => length >= 2);
  const values = [...new Set(pairable.flat())].sort((a, b) => a - b);
  const codeOf = new Map(values.map((value, code) => [value, code]));
  return { values, units: pairable.map((unit) => unit.map((value) => codeOf.get(value)!)) };
}

/** δ² of two codes, given how often each occurs. */
function squaredDifference(
  difference: Difference,
  values: readonly number[],
  n: readonly number[],
): (c: number, k: number) => number {
  switch (difference) {
    case 'nominal':
      return (c, k) => (c === k ? 0 : 1);
    case 'interval':
      return (c, k) => (values[c] - values[k]) ** 2;
    case 'ratio':
      return (c, k) => (c === k ? 0 : ((values[c] - values[k]) / (values[c] + values[k])) ** 2);
    case 'ordinal': {
      const upTo: number[] = [];
      for (const count of n) upTo.push((upTo.at(-1) ?? 0) + count);
      return (c, k) => {
        const [low, high] = c < k ? [c, k] : [k, c];
        if (low === high) return 0;
        // Those from low to high, of the two ends a half each.
        return (upTo[high] - (upTo[low - 1] ?? 0) - (n[low] + n[high]) / 2) ** 2;
      };
    }
  }
}

/** Σ_k over pairs of one unit of δ² / (m_u − 1), each pair in both orders. */
function disagreementIn(unit: readonly number[], squared: (c: number, k: number) => number): number {
  let sum = 0;
  for (let i = 0; i < unit.length; i++) for (let j = 0; j < i; j++) sum += squared(unit[i], unit[j]);
  return (2 * sum) / (unit.length - 1);
}

/** Σ_c Σ_k n_c n_k δ². */
function expectedDisagreement(n: readonly number[], squared: (c: number, k: number) => number): number {
  let sum = 0;
  for (let c = 0; c < n.length; c++) for (let k = 0; k < c; k++) sum += n[c] * n[k] * squared(c, k);
  return 2 * sum;
}

function countsOf({ values, units }: Coded): number[] {
  const n = values.map(() => 0);
  for (const unit of units) for (const code of unit) n[code]++;
  return n;
}

/** Undefined where no unit has two values, and where all values that count are the same: chance would agree as well. */
export function krippendorffAlpha(units: readonly Unit[], difference: Difference): number | undefined {
  const data = coded(units);
  const n = countsOf(data);
  const squared = squaredDifference(difference, data.values, n);
  const expected = expectedDisagreement(n, squared);
  if (!(expected > 0)) return undefined;
  const observed = data.units.reduce((sum, unit) => sum + disagreementIn(unit, squared), 0);
  const total = n.reduce((sum, count) => sum + count, 0);
  return 1 - ((total - 1) * observed) / expected;
}

/**
 * 95 % percentile interval over units that are drawn anew (Efron and Tibshirani 1993, chapter 13). Undefined where most resamples leave
 * alpha undefined.
 */
export function alphaInterval(
  units: readonly Unit[],
  difference: 'nominal' | 'interval',
  rng: Rng,
  resamples = defaultResamples,
): Interval | undefined {
  const data = coded(units);
  const squared = squaredDifference(difference, data.values, []);
  const within = data.units.map((unit) => disagreementIn(unit, squared));
  const alphas: number[] = [];
  for (let r = 0; r < resamples; r++) {
    const n = data.values.map(() => 0);
    let [observed, total] = [0, 0];
    for (let i = 0; i < data.units.length; i++) {
      const drawn = rng.int(data.units.length);
      observed += within[drawn];
      total += data.units[drawn].length;
      for (const code of data.units[drawn]) n[code]++;
    }
    const expected = expectedDisagreement(n, squared);
    if (expected > 0) alphas.push(1 - ((total - 1) * observed) / expected);
  }
  return percentileInterval(Float64Array.from(alphas), resamples);
}
