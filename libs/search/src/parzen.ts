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
import { cdf, logMass, logPdf, truncatedQuantile } from './normal.js';
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
  encode(value: ParameterValue | undefined): number;
  kernels(column: Float64Array, dimensions: number, settings: KernelSettings): Kernels;
}

/** The encoding of a parameter that has a choice. */
export function encodingOf(parameter: Parameter): Encoding {
  if (parameter.kind === 'categorical') {
    const index = new Map(parameter.values.map((value, i) => [value, i]));
    return {
      parameter,
      encode: (value) => (value === undefined ? undefined : index.get(value)) ?? Number.NaN,
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
      const n = column.length;
      const share = Math.max(
        1 / Math.min(100, n + 2),
        bandwidthFloor * Math.max(n, 1) ** (-1 / (dimensions + 4)),
      );
      return new NumericKernels(axis, column, bandwidths(column, axis.low, axis.high, share * axis.width));
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
 * for the outermost of two or more observations; then clipped to [least, range]. Equal observations are neighbours in
 * order of age.
 *
 * Neighbours in one of the buckets, which are no wider than `least`, are nearer than that; so only the first and the
 * last of each bucket are looked at: O(n).
 */
function bandwidths(column: Float64Array, low: number, high: number, least: number): Float64Array {
  const n = column.length;
  const width = high - low;
  const sigma = new Float64Array(n).fill(Math.min(width, least));
  if (n === 1) sigma[0] = Math.min(width, Math.max(least, column[0] - low, high - column[0]));
  if (n < 2) return sigma;
  const buckets = Math.ceil(width / least) + 1;
  const first = new Int32Array(buckets).fill(-1);
  const last = new Int32Array(buckets).fill(-1);
  for (let i = 0; i < n; i++) {
    const bucket = Math.min(buckets - 1, Math.max(0, Math.floor((column[i] - low) / least)));
    if (first[bucket] < 0 || column[i] < column[first[bucket]]) first[bucket] = i;
    if (last[bucket] < 0 || column[i] >= column[last[bucket]]) last[bucket] = i;
  }
  let before = -1;
  for (let bucket = 0; bucket < buckets; bucket++) {
    if (first[bucket] < 0) continue;
    if (before >= 0) {
      const gap = Math.min(width, column[first[bucket]] - column[before]);
      sigma[first[bucket]] = Math.max(sigma[first[bucket]], gap);
      sigma[before] = Math.max(sigma[before], gap);
    }
    before = last[bucket];
  }
  return sigma;
}

/** Beyond so many σ from both ends a kernel's mass inside is 1 to the last bit. */
const farSigmas = 8.5;
const logSqrt2Pi = 0.5 * Math.log(2 * Math.PI);

const cellsPerSigma = 64;
/** Φ and φ at the middles of cells on ±farSigmas. */
const cells = (() => {
  const middles = Float64Array.from(
    { length: 2 * farSigmas * cellsPerSigma },
    (_, i) => (i + 0.5) / cellsPerSigma - farSigmas,
  );
  return { middles, cdf: middles.map(cdf), pdf: middles.map((x) => Math.exp(logPdf(x))) };
})();

/** Φ(x) by Taylor's series about the middle of a cell, to 1e-14. */
function fastCdf(x: number): number {
  const i = Math.floor((x + farSigmas) * cellsPerSigma);
  if (i < 0) return 0;
  if (i >= cells.middles.length) return 1;
  const m = cells.middles[i];
  const d = x - m;
  // φ and its derivatives −mφ, (m² − 1)φ, (3m − m³)φ, (m⁴ − 6m² + 3)φ.
  const m2 = m * m;
  const series =
    1 + d * (-m / 2 + d * ((m2 - 1) / 6 + d * ((m * (3 - m2)) / 24 + (d * (m2 * (m2 - 6) + 3)) / 120)));
  return cells.cdf[i] + cells.pdf[i] * d * series;
}

class NumericKernels implements Kernels {
  /** Middle and bandwidth [C]. On a grid, kernels that agree share a class. */
  private readonly mu: Float64Array;
  private readonly sigma: Float64Array;
  /** [K]; undefined where every kernel is a class of its own. */
  private readonly classOf: Int32Array | undefined;
  /** What the log density has beside −z²/2, or on a grid beside the log mass of the value [C]. */
  private readonly constants: Float64Array;
  /** On a grid: log masses of the classes [C] at the values asked for so far. */
  private readonly masses = new Map<number, Float64Array>();
  /** 1/(√2 σ) of the continuous kernels [C]. */
  private readonly precision: Float64Array;

  constructor(
    private readonly axis: Axis,
    column: Float64Array,
    sigma: Float64Array,
  ) {
    const n = column.length;
    const classOf = axis.discrete ? new Int32Array(n + 1) : undefined;
    const members: number[] = [];
    if (classOf) {
      const known = new Map<number, Map<number, number>>();
      for (let k = 0; k < n; k++) {
        let alike = known.get(column[k]);
        if (!alike) {
          alike = new Map();
          known.set(column[k], alike);
        }
        let c = alike.get(sigma[k]);
        if (c === undefined) {
          c = members.push(k) - 1;
          alike.set(sigma[k], c);
        }
        classOf[k] = c;
      }
      classOf[n] = members.length;
    }
    const classes = (classOf ? members.length : n) + 1;
    const { low, high } = axis;
    const mu = new Float64Array(classes);
    const width = new Float64Array(classes);
    const constants = new Float64Array(classes);
    const precision = new Float64Array(classOf ? 0 : classes);
    // Most bandwidths are the least one: its logarithm is taken once.
    let [same, logSame] = [1, 0];
    for (let c = 0; c < classes; c++) {
      const last = c === classes - 1;
      const k = classOf ? members[c] : c;
      mu[c] = last ? (low + high) / 2 : column[k];
      width[c] = last ? axis.width : sigma[k];
      const from = (low - mu[c]) / width[c];
      const to = (high - mu[c]) / width[c];
      // The middle is inside and σ at most the range, so at least a third of the mass is.
      const logInside = from < -farSigmas && to > farSigmas ? 0 : Math.log(fastCdf(to) - fastCdf(from));
      if (classOf) {
        constants[c] = -logInside;
        continue;
      }
      if (width[c] !== same) [same, logSame] = [width[c], Math.log(width[c])];
      constants[c] = -logSame - logSqrt2Pi - logInside;
      precision[c] = Math.SQRT1_2 / width[c];
    }
    this.classOf = classOf;
    this.mu = mu;
    this.sigma = width;
    this.constants = constants;
    this.precision = precision;
  }

  sample(k: number, rng: Rng): number {
    const { low, high } = this.axis;
    const c = this.classOf ? this.classOf[k] : k;
    const mu = this.mu[c];
    const sigma = this.sigma[c];
    const z = truncatedQuantile(rng.uniform(), (low - mu) / sigma, (high - mu) / sigma);
    return this.axis.valueAt(Math.min(high, Math.max(low, mu + z * sigma)));
  }

  addLogDensity(value: ParameterValue, sums: Float64Array): void {
    const { axis, mu, sigma, classOf, constants, precision } = this;
    if (!classOf) {
      const at = axis.place(value as number);
      for (let k = 0; k < sums.length; k++) {
        const z = (at - mu[k]) * precision[k];
        sums[k] += constants[k] - z * z;
      }
      return;
    }
    let masses = this.masses.get(value as number);
    if (!masses) {
      const [from, to] = axis.stretch(value as number);
      masses = new Float64Array(mu.length);
      for (let c = 0; c < mu.length; c++)
        masses[c] = logMass((from - mu[c]) / sigma[c], (to - mu[c]) / sigma[c]) + constants[c];
      this.masses.set(value as number, masses);
    }
    for (let k = 0; k < sums.length; k++) sums[k] += masses[classOf[k]];
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
    const { column } = this;
    const i = this.index.get(value) as number;
    const n = column.length;
    const hit = Math.log(this.hit);
    const miss = Math.log(this.miss);
    for (let k = 0; k < n; k++) sums[k] += column[k] === i ? hit : miss;
    sums[n] -= Math.log(this.parameter.values.length);
  }
}

/** Weights by age, oldest first: all 1 below 25, otherwise a ramp from 1/n up to 1 and 25 ones. */
function ageWeights(n: number): Float64Array {
  const weights = new Float64Array(n).fill(1);
  const ramp = n - 25;
  for (let i = 0; i < ramp; i++) weights[i] = ramp === 1 ? 1 / n : 1 / n + ((1 - 1 / n) * i) / (ramp - 1);
  return weights;
}

export class ParzenEstimator {
  private readonly kernels: readonly Kernels[];
  /** Normalised [K], as logarithms and as running sums. */
  private readonly logWeights: Float64Array;
  private readonly cumulative: Float64Array;
  private readonly sums: Float64Array;

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
    this.cumulative = new Float64Array(n + 1);
    for (let k = 0; k <= n; k++) {
      total += weights[k];
      this.cumulative[k] = total;
    }
    this.logWeights = weights;
    for (let k = 0; k <= n; k++) this.logWeights[k] = Math.log(weights[k] / total);
    this.sums = new Float64Array(n + 1);
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
    const { sums } = this;
    sums.set(this.logWeights);
    this.kernels.forEach((kernels, d) => {
      kernels.addLogDensity(point[d], sums);
    });
    let largest = -Infinity;
    for (let k = 0; k < sums.length; k++) if (sums[k] > largest) largest = sums[k];
    if (largest === -Infinity) return -Infinity;
    let total = 0;
    // What is e⁻⁴⁰ of the largest or less adds nothing to the digits, be there millions.
    for (let k = 0; k < sums.length; k++) {
      const below = sums[k] - largest;
      if (below > -40) total += Math.exp(below);
    }
    return largest + Math.log(total);
  }
}
