/**
 * Parzen estimator over several parameters at once: a mixture of one kernel per observation and a wide prior
 * kernel, each kernel a product over the parameters (Bergstra et al. 2011; Falkner et al. 2018 for the products;
 * Watanabe 2023 for the parts). Numeric parameters get truncated normals with the neighbours' distance as
 * bandwidth, integrated over the stretch of a grid value where there is a grid; categories get smoothed counts.
 *
 * K kernels = n observations, oldest first, then the prior. D parameters. σ is a kernel's bandwidth, μ its middle.
 */
import type { Rng } from '@emotune/base';
import { Axis } from './axis.js';
import { logMass, logPdf, truncatedQuantile } from './normal.js';
import type { CategoricalParameter, Parameter, ParameterValue } from './space.js';

interface KernelSettings {
  /** Weight of the prior kernel beside 1 for a fresh observation. */
  readonly priorWeight: number;
  /** σ ≥ floor · n^(−1/(D+4)) · range; 0 for none. */
  readonly bandwidthFloor: number;
}

/** One parameter's share of every kernel. */
interface Kernels {
  /** A draw from kernel `k`. */
  sample(k: number, rng: Rng): ParameterValue;
  /** Adds each kernel's log density (log mass where discrete) at `value` to `sums` [K]. */
  addLogDensity(value: ParameterValue, sums: Float64Array): void;
}

/** Maps a parameter's values to numbers: a place on the axis, or the index of a category. */
export interface Encoding {
  readonly parameter: Parameter;
  /** NaN where the parameter cannot have the value. */
  encode(value: ParameterValue): number;
  kernels(column: Float64Array, dimensions: number, settings: KernelSettings): Kernels;
}

/** The encoding of a parameter that has a choice. */
export function encodingOf(parameter: Parameter): Encoding {
  if (parameter.kind === 'categorical') {
    const index = new Map(parameter.values.map((value, i) => [value, i]));
    return {
      parameter,
      encode: (value) => index.get(value) ?? Number.NaN,
      kernels: (column, _, { priorWeight }) => new CategoricalKernels(parameter, index, column, priorWeight),
    };
  }
  const axis = new Axis(parameter);
  return {
    parameter,
    encode: (value) =>
      typeof value === 'number' && value >= parameter.min && value <= parameter.max
        ? axis.place(value)
        : Number.NaN,
    kernels: (column, dimensions, { bandwidthFloor }) => {
      const sigma = bandwidths(column, axis.low, axis.high);
      const floor = bandwidthFloor * Math.max(column.length, 1) ** (-1 / (dimensions + 4)) * axis.width;
      for (let i = 0; i < sigma.length; i++) if (sigma[i] < floor) sigma[i] = floor;
      return new NumericKernels(axis, column, sigma);
    },
  };
}

/** First index of the ascending `sorted` whose value is not below `value`. */
function lowerBound(sorted: Float64Array, value: number): number {
  let from = 0;
  let to = sorted.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if (sorted[middle] < value) from = middle + 1;
    else to = middle;
  }
  return from;
}

/**
 * σ of each observation: the larger distance to its neighbours, the ends of the range being neighbours too, but not
 * for the outermost of two or more observations; then clipped to [range / min(100, n + 2), range].
 */
function bandwidths(column: Float64Array, low: number, high: number): Float64Array {
  const n = column.length;
  const width = high - low;
  const least = width / Math.min(100, n + 2);
  const sorted = column.slice().sort();
  // Equal observations take the ranks of their run in order of age.
  const taken = new Int32Array(n);
  return column.map((mu) => {
    const first = lowerBound(sorted, mu);
    const rank = first + taken[first]++;
    const left = rank > 0 ? mu - sorted[rank - 1] : n > 1 ? 0 : mu - low;
    const right = rank < n - 1 ? sorted[rank + 1] - mu : n > 1 ? 0 : high - mu;
    return Math.min(width, Math.max(least, left, right));
  });
}

class NumericKernels implements Kernels {
  /** Middle, bandwidth and log of the mass inside the range. Kernels that agree in the first two share a class. */
  private readonly mu: number[] = [];
  private readonly sigma: number[] = [];
  private readonly logInside: number[] = [];
  private readonly classOf: Int32Array;
  private readonly scratch: Float64Array;

  constructor(
    private readonly axis: Axis,
    column: Float64Array,
    sigma: Float64Array,
  ) {
    const n = column.length;
    this.classOf = new Int32Array(n + 1);
    // On a grid most kernels agree, which makes their masses cheap; elsewhere few do.
    const known = new Map<string, number>();
    for (let k = 0; k < n; k++) {
      if (!axis.discrete) this.classOf[k] = this.add(column[k], sigma[k]);
      else {
        const key = `${column[k]} ${sigma[k]}`;
        let c = known.get(key);
        if (c === undefined) {
          c = this.add(column[k], sigma[k]);
          known.set(key, c);
        }
        this.classOf[k] = c;
      }
    }
    this.classOf[n] = this.add((axis.low + axis.high) / 2, axis.width);
    this.scratch = new Float64Array(this.mu.length);
  }

  private add(mu: number, sigma: number): number {
    const { low, high } = this.axis;
    this.logInside.push(logMass((low - mu) / sigma, (high - mu) / sigma));
    this.sigma.push(sigma);
    return this.mu.push(mu) - 1;
  }

  sample(k: number, rng: Rng): number {
    const { low, high } = this.axis;
    const mu = this.mu[this.classOf[k]];
    const sigma = this.sigma[this.classOf[k]];
    const z = truncatedQuantile(rng.uniform(), (low - mu) / sigma, (high - mu) / sigma);
    return this.axis.valueAt(Math.min(high, Math.max(low, mu + z * sigma)));
  }

  addLogDensity(value: ParameterValue, sums: Float64Array): void {
    const { axis, mu, sigma, logInside, classOf, scratch } = this;
    const at = axis.place(value as number);
    const [from, to] = axis.stretch(value as number);
    for (let c = 0; c < scratch.length; c++)
      scratch[c] =
        (axis.discrete
          ? logMass((from - mu[c]) / sigma[c], (to - mu[c]) / sigma[c])
          : logPdf((at - mu[c]) / sigma[c]) - Math.log(sigma[c])) - logInside[c];
    for (let k = 0; k < sums.length; k++) sums[k] += scratch[classOf[k]];
  }
}

class CategoricalKernels implements Kernels {
  /** Probability of the observed category, and of each other one. */
  private readonly hit: number;
  private readonly miss: number;

  constructor(
    private readonly parameter: CategoricalParameter,
    private readonly index: ReadonlyMap<ParameterValue, number>,
    private readonly column: Float64Array,
    priorWeight: number,
  ) {
    const smoothing = priorWeight / (column.length + 1);
    const total = 1 + smoothing * parameter.values.length;
    this.hit = (1 + smoothing) / total;
    this.miss = smoothing / total;
  }

  sample(k: number, rng: Rng): ParameterValue {
    const { values } = this.parameter;
    // hit = (hit − miss) + miss: the observed category outright, or an even draw over all of them.
    if (k < this.column.length && rng.uniform() < this.hit - this.miss) return values[this.column[k]];
    return values[rng.int(values.length)];
  }

  addLogDensity(value: ParameterValue, sums: Float64Array): void {
    const i = this.index.get(value);
    const n = this.column.length;
    const hit = Math.log(this.hit);
    const miss = Math.log(this.miss);
    for (let k = 0; k < n; k++) sums[k] += this.column[k] === i ? hit : miss;
    sums[n] -= Math.log(this.parameter.values.length);
  }
}

/** Weights by age, oldest first: all 1 below 25, otherwise a ramp from 1/n up to 1 and 25 ones. */
function ageWeights(n: number): Float64Array {
  const ramp = n - 25;
  return Float64Array.from({ length: n }, (_, i) => {
    if (ramp <= 0 || i >= ramp) return 1;
    return ramp === 1 ? 1 / n : 1 / n + ((1 - 1 / n) * i) / (ramp - 1);
  });
}

export class ParzenEstimator {
  private readonly kernels: readonly Kernels[];
  /** Normalised [K], as logarithms and as running sums. */
  private readonly logWeights: Float64Array;
  private readonly cumulative: Float64Array;

  /**
   * @param encodings One per parameter [D].
   * @param columns Encoded observations, oldest first [D][n].
   */
  constructor(
    readonly encodings: readonly Encoding[],
    columns: readonly Float64Array[],
    settings: KernelSettings,
  ) {
    const n = columns[0].length;
    const weights = new Float64Array(n + 1);
    weights.set(ageWeights(n));
    weights[n] = n === 0 ? 1 : settings.priorWeight;
    let total = 0;
    this.cumulative = weights.map((w) => {
      total += w;
      return total;
    });
    this.logWeights = weights.map((w) => Math.log(w / total));
    this.kernels = encodings.map((encoding, d) => encoding.kernels(columns[d], encodings.length, settings));
  }

  /** A draw: one value per parameter [D]. */
  sample(rng: Rng): ParameterValue[] {
    const { cumulative } = this;
    const last = cumulative.length - 1;
    const u = rng.uniform() * cumulative[last];
    let k = Math.min(last, lowerBound(cumulative, u));
    while (k < last && cumulative[k] <= u) k++;
    return this.kernels.map((kernels) => kernels.sample(k, rng));
  }

  /** Log density of the mixture at `point` [D]. */
  logDensity(point: readonly ParameterValue[]): number {
    const sums = this.logWeights.slice();
    this.kernels.forEach((kernels, d) => {
      kernels.addLogDensity(point[d], sums);
    });
    let largest = -Infinity;
    for (let k = 0; k < sums.length; k++) if (sums[k] > largest) largest = sums[k];
    if (largest === -Infinity) return -Infinity;
    let total = 0;
    for (let k = 0; k < sums.length; k++) total += Math.exp(sums[k] - largest);
    return largest + Math.log(total);
  }
}
