/** Uncertainty of metrics by resampling rows (Efron and Tibshirani 1993, chapters 13 and 16). The same stream gives the same numbers. */
import type { Rng } from '@emotune/base';
import { type Measure, type MetricName, metricNames } from './metrics.js';

export interface Interval {
  readonly low: number;
  readonly high: number;
}

export type Intervals = Readonly<Partial<Record<MetricName, Interval>>>;

const defaultResamples = 1000;

/** The share q of sorted values, between neighbours by straight line. */
export function quantile(sorted: Float64Array, q: number): number {
  const at = q * (sorted.length - 1);
  const below = Math.floor(at);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

/**
 * 95 % percentile interval of what resamples gave.
 * @param values Of those that define it, in any order. @returns undefined where most of them do not
 */
export function percentileInterval(values: Float64Array, resamples: number): Interval | undefined {
  if (values.length * 2 < resamples) return undefined;
  const sorted = values.toSorted();
  return { low: quantile(sorted, 0.025), high: quantile(sorted, 0.975) };
}

/** Of every metric that the rows define and most resamples, too. */
export function bootstrapIntervals(measure: Measure, rng: Rng, resamples = defaultResamples): Intervals {
  const { n } = measure;
  const names = metricNames.filter((name) => measure.of()[name] !== undefined);
  const values = new Map(names.map((name) => [name, new Float64Array(resamples)]));
  const counts = new Map(names.map((name) => [name, 0]));
  const weights = new Uint32Array(n);
  for (let r = 0; r < resamples && n > 0; r++) {
    weights.fill(0);
    for (let i = 0; i < n; i++) weights[rng.int(n)]++;
    const metrics = measure.of(weights);
    for (const name of names) {
      const value = metrics[name];
      if (value === undefined) continue;
      const count = counts.get(name)!;
      values.get(name)![count] = value;
      counts.set(name, count + 1);
    }
  }
  const intervals: Partial<Record<MetricName, Interval>> = {};
  for (const name of names) {
    const interval = percentileInterval(values.get(name)!.subarray(0, counts.get(name)), resamples);
    if (interval) intervals[name] = interval;
  }
  return intervals;
}
