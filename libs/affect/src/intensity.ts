/** Whether answers are too high or too low, by how intense the gold is. */
import type { Rng } from '@emotune/base';
import { type Interval, quantile } from './bootstrap.js';
import type { NumberOutcome } from './metrics.js';

/** Golds from `low` on and below `high`, the last bin with its end. */
export interface IntensityBin {
  /** On 0..1. */
  readonly low: number;
  readonly high: number;
  readonly n: number;
  /** Mean of answer − gold, on 0..1: above 0 where answers are too high. */
  readonly bias: number;
  /** 95 % of the mean, by resampling the rows of the bin; undefined of one row. */
  readonly interval: Interval | undefined;
}

const bins = 5;
const resamples = 1000;

/** Five bins of equal width on 0..1; empty ones are left out. The same stream gives the same numbers. */
export function intensityBins(outcomes: readonly NumberOutcome[], rng: Rng): IntensityBin[] {
  return Array.from({ length: bins }, (_, bin) => {
    const errors = outcomes
      .filter(({ gold }) => Math.min(bins - 1, Math.floor(gold * bins)) === bin)
      .map(({ gold, answer }) => answer - gold);
    const bias = errors.reduce((sum, error) => sum + error, 0) / errors.length;
    const place = { low: bin / bins, high: (bin + 1) / bins };
    return { ...place, n: errors.length, bias, interval: meanInterval(errors, rng) };
  }).filter(({ n }) => n > 0);
}

function meanInterval(values: readonly number[], rng: Rng): Interval | undefined {
  const n = values.length;
  if (n < 2) return undefined;
  const means = Float64Array.from({ length: resamples }, () => {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += values[rng.int(n)];
    return sum / n;
  }).sort();
  return { low: quantile(means, 0.025), high: quantile(means, 0.975) };
}
