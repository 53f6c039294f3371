/**
 * Gaussian process regression (Rasmussen and Williams 2006, algorithm 2.1) over numbers, categories and conditional parameters.
 * The kernel is a sum (Duvenaud, Nickisch, Rasmussen 2011, "Additive Gaussian processes", orders one and D): what each
 * parameter does by itself, and what they do together,
 *
 *   k = Σ_d a_d·m(v_d q_d) + b·m(Σ_d w_d q_d), m(r²) = (1 + √5 r + 5r²/3)·exp(−√5 r), Matérn 5/2,
 *
 * for most of what hyperparameters do to a loss they do alone, and that is learnt from a few trials also where there are many.
 *
 * q_d is a squared distance: of numbers their difference's, of categories 0 or 1. A parameter that is inactive lies amidst its
 * values: a number at 1/2 and 1/2 beside the line, a category 1/2 from each. That it is inactive its parent's value says already, so
 * what active ones do does not tear apart what is known of the others.
 *
 * n points, D parameters. All hyperparameters are positive; their logarithms have normal priors, those of w as Hvarfner, Hellsten
 * and Nardi 2024 ("Vanilla Bayesian optimization performs great in high dimensions") have them: lengths grow with √D.
 */

import { decay } from './decay.js';

const sqrt5 = Math.sqrt(5);

/** Inputs [n][D]: numbers on [0, 1], indices of categories, NaN where a parameter is inactive. */
export interface Inputs {
  readonly rows: readonly Float64Array[];
  /** [D] */
  readonly categorical: readonly boolean[];
}

/** Points by parameter: places on the line and beside it of numbers, indices of categories, −1 where inactive. */
interface Column {
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

function columnsOf({ rows, categorical }: Inputs): Column[] {
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
function distancesFrom(x: number, { categorical, at, beside }: Column, count: number, q: Float64Array): void {
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
function matern(r2: number): number {
  const r = sqrt5 * Math.sqrt(r2);
  return (1 + r + (5 / 3) * r2) * decay(r);
}

/**
 * L⁻¹ b, in place, of the first b.length rows and columns of a lower factor [n·n]. Four rows at a time, whose sums then do not
 * wait for each other.
 */
function forward(l: Float64Array, n: number, b: Float64Array): void {
  const size = b.length;
  let i = 0;
  for (; i + 4 <= size; i += 4) {
    const r0 = i * n;
    const r1 = r0 + n;
    const r2 = r1 + n;
    const r3 = r2 + n;
    let b0 = b[i];
    let b1 = b[i + 1];
    let b2 = b[i + 2];
    let b3 = b[i + 3];
    for (let k = 0; k < i; k++) {
      const bk = b[k];
      b0 -= l[r0 + k] * bk;
      b1 -= l[r1 + k] * bk;
      b2 -= l[r2 + k] * bk;
      b3 -= l[r3 + k] * bk;
    }
    b0 /= l[r0 + i];
    b1 = (b1 - l[r1 + i] * b0) / l[r1 + i + 1];
    b2 = (b2 - l[r2 + i] * b0 - l[r2 + i + 1] * b1) / l[r2 + i + 2];
    b3 = (b3 - l[r3 + i] * b0 - l[r3 + i + 1] * b1 - l[r3 + i + 2] * b2) / l[r3 + i + 3];
    b[i] = b0;
    b[i + 1] = b1;
    b[i + 2] = b2;
    b[i + 3] = b3;
  }
  for (; i < size; i++) {
    let sum = b[i];
    for (let k = 0; k < i; k++) sum -= l[i * n + k] * b[k];
    b[i] = sum / l[i * n + i];
  }
}

/** Lower factor of a positive definite matrix [n·n], in place; entries above the diagonal stay as they are. */
function cholesky(a: Float64Array, n: number): void {
  for (let i = 0; i < n; i++) {
    const row = a.subarray(i * n, i * n + i);
    forward(a, n, row);
    let pivot = a[i * n + i];
    for (let k = 0; k < i; k++) pivot -= row[k] * row[k];
    // Rounding may leave a pivot a little below 0 where points nearly agree.
    a[i * n + i] = Math.sqrt(Math.max(pivot, 1e-12));
  }
}

/** A lower triangle [n·n] times b [n]. Four rows at a time, whose sums then do not wait for each other. */
function lowerTimes(l: Float64Array, n: number, b: Float64Array, product: Float64Array): void {
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    const r0 = i * n;
    const r1 = r0 + n;
    const r2 = r1 + n;
    const r3 = r2 + n;
    let p0 = 0;
    let p1 = 0;
    let p2 = 0;
    let p3 = 0;
    // Above the diagonal there is nothing.
    for (let k = 0; k < i + 4; k++) {
      const bk = b[k];
      p0 += l[r0 + k] * bk;
      p1 += l[r1 + k] * bk;
      p2 += l[r2 + k] * bk;
      p3 += l[r3 + k] * bk;
    }
    product[i] = p0;
    product[i + 1] = p1;
    product[i + 2] = p2;
    product[i + 3] = p3;
  }
  for (; i < n; i++) {
    let sum = 0;
    for (let k = 0; k <= i; k++) sum += l[i * n + k] * b[k];
    product[i] = sum;
  }
}

/** L⁻ᵀ b, in place. */
function backward(l: Float64Array, n: number, b: Float64Array): void {
  for (let i = n - 1; i >= 0; i--) {
    b[i] /= l[i * n + i];
    for (let k = 0; k < i; k++) b[k] -= l[i * n + k] * b[i];
  }
}

/** L⁻ᵀ [n·n]: each row is a column of L⁻¹. */
function inverseTransposed(l: Float64Array, n: number): Float64Array {
  const rows = new Float64Array(n * n);
  for (let j = 0; j < n; j++) {
    const row = rows.subarray(j * n + j, j * n + n);
    row[0] = 1;
    forward(l.subarray(j * n + j), n, row);
  }
  return rows;
}

/** L⁻¹ [n·n]. */
function inverseOfFactor(l: Float64Array, n: number): Float64Array {
  const transposed = inverseTransposed(l, n);
  const inverse = new Float64Array(n * n);
  for (let i = 0; i < n; i++) for (let j = 0; j <= i; j++) inverse[i * n + j] = transposed[j * n + i];
  return inverse;
}

/** (L Lᵀ)⁻¹ [n·n], lower triangle. Four entries at a time, whose sums then do not wait for each other. */
function inverseFromFactor(l: Float64Array, n: number): Float64Array {
  const rows = inverseTransposed(l, n);
  const inverse = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    const ri = i * n;
    let j = 0;
    for (; j + 4 <= i + 1; j += 4) {
      const r0 = j * n;
      const r1 = r0 + n;
      const r2 = r1 + n;
      const r3 = r2 + n;
      let s0 = 0;
      let s1 = 0;
      let s2 = 0;
      let s3 = 0;
      for (let k = i; k < n; k++) {
        const x = rows[ri + k];
        s0 += x * rows[r0 + k];
        s1 += x * rows[r1 + k];
        s2 += x * rows[r2 + k];
        s3 += x * rows[r3 + k];
      }
      inverse[ri + j] = s0;
      inverse[ri + j + 1] = s1;
      inverse[ri + j + 2] = s2;
      inverse[ri + j + 3] = s3;
    }
    for (; j <= i; j++) {
      let sum = 0;
      for (let k = i; k < n; k++) sum += rows[ri + k] * rows[j * n + k];
      inverse[ri + j] = sum;
    }
  }
  return inverse;
}

/** Logarithms of the weights w [D] of all together, v [D] and scales a [D] of each alone, the scale b and the noise's variance. */
export type Hyperparameters = Float64Array;

/** Of which of them a logarithm is: its prior's mean and deviation, and its range. */
interface Prior {
  readonly mean: number;
  readonly deviation: number;
  readonly least: number;
  readonly most: number;
}

/** Priors in the order of the hyperparameters [3D + 2]. */
function priorsOf(D: number): Prior[] {
  const of = (mean: number, deviation: number, least: number, most: number): Prior => ({
    mean,
    deviation,
    least,
    most,
  });
  const each = (prior: Prior) => Array.from({ length: D }, () => prior);
  return [
    ...each(of(-2 * Math.SQRT2 - Math.log(D), 2 * Math.sqrt(3), Math.log(1e-4), Math.log(1e4))),
    ...each(of(1, 2, Math.log(1e-3), Math.log(1e4))),
    ...each(of(-0.5 - Math.log(D), 1.5, -9, 4)),
    of(-1, 1.5, -7, 4),
    of(Math.log(1e-4), 3, Math.log(1e-9), 0),
  ];
}

/**
 * Log posterior density of the hyperparameters up to a constant, and its gradient [3D + 2] (section 5.4.1), as a function of
 * them and of the place for the gradient.
 * @param q Distances [D][n(n+1)/2], lower triangle row by row.
 */
export function logPosterior(
  q: readonly Float64Array[],
  y: Float64Array,
): (theta: Hyperparameters, gradient: Float64Array) => number {
  const n = y.length;
  const D = q.length;
  const pairs = (n * (n + 1)) / 2;
  const priors = priorsOf(D);
  const each = q.map(() => new Float64Array(pairs));
  const eachSlope = q.map(() => new Float64Array(pairs));
  const r2 = new Float64Array(pairs);
  const together = new Float64Array(pairs);
  const slope = new Float64Array(pairs);
  const k = new Float64Array(pairs);
  const l = new Float64Array(n * n);
  return (theta, gradient) => {
    const b = Math.exp(theta[3 * D]);
    const noise = Math.exp(theta[3 * D + 1]);
    r2.fill(0);
    k.fill(0);
    for (let d = 0; d < D; d++) {
      const w = Math.exp(theta[d]);
      const v = Math.exp(theta[D + d]);
      const a = Math.exp(theta[2 * D + d]);
      const [qd, md, sd] = [q[d], each[d], eachSlope[d]];
      for (let t = 0; t < pairs; t++) {
        const squared = qd[t];
        r2[t] += w * squared;
        const s = v * squared;
        const r = sqrt5 * Math.sqrt(s);
        const e = a * decay(r);
        md[t] = (1 + r + (5 / 3) * s) * e;
        sd[t] = (-5 / 6) * (1 + r) * e * s;
        k[t] += md[t];
      }
    }
    for (let t = 0; t < pairs; t++) {
      const r = sqrt5 * Math.sqrt(r2[t]);
      const e = b * decay(r);
      together[t] = (1 + r + (5 / 3) * r2[t]) * e;
      slope[t] = (-5 / 6) * (1 + r) * e;
      k[t] += together[t];
    }
    for (let i = 0, t = 0; i < n; i++) {
      for (let j = 0; j <= i; j++, t++) l[i * n + j] = k[t];
      l[i * n + i] += noise;
    }
    cholesky(l, n);
    const alpha = y.slice();
    forward(l, n, alpha);
    let value = 0;
    for (let i = 0; i < n; i++) value -= 0.5 * alpha[i] * alpha[i] + Math.log(l[i * n + i]);
    backward(l, n, alpha);

    // m = ½ (ααᵀ − K⁻¹), the triangle counted twice off the diagonal; the gradient is the sum of m ∂K/∂θ.
    const m = k;
    const inverse = inverseFromFactor(l, n);
    gradient.fill(0);
    for (let i = 0, t = 0; i < n; i++)
      for (let j = 0; j <= i; j++, t++)
        m[t] = (alpha[i] * alpha[j] - inverse[i * n + j]) * (i === j ? 0.5 : 1);
    for (let i = 0; i < n; i++) gradient[3 * D + 1] += m[(i * (i + 3)) / 2] * noise;
    for (let t = 0; t < pairs; t++) {
      gradient[3 * D] += m[t] * together[t];
      slope[t] *= m[t];
    }
    for (let d = 0; d < D; d++) {
      const [qd, md, sd] = [q[d], each[d], eachSlope[d]];
      let [ofW, ofV, ofA] = [0, 0, 0];
      for (let t = 0; t < pairs; t++) {
        ofW += slope[t] * qd[t];
        ofV += m[t] * sd[t];
        ofA += m[t] * md[t];
      }
      gradient[d] = Math.exp(theta[d]) * ofW;
      gradient[D + d] = ofV;
      gradient[2 * D + d] = ofA;
    }
    priors.forEach(({ mean, deviation }, p) => {
      const z = (theta[p] - mean) / deviation;
      value -= 0.5 * z * z;
      gradient[p] -= z / deviation;
    });
    return value;
  };
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

/**
 * Where fits start: in the middles of the priors, and where each parameter by itself does less, and all together more and over
 * shorter lengths. Where parameters interact, the first alone often leads to a peak that is not the highest.
 */
function startsOf(priors: readonly Prior[], D: number): Hyperparameters[] {
  const middle = Float64Array.from(priors, ({ mean }) => mean);
  const together = middle.slice();
  for (let d = 0; d < D; d++) {
    together[d] += 2;
    together[2 * D + d] -= 1;
  }
  together[3 * D] += 1;
  return [middle, together];
}

/** Steps from each start, before only the way that has come highest is gone on; steps at most. */
const firstSteps = 12;
const mostSteps = 50;
/** Steps in which a log density that rises by less than `leastRise` ends a fit. */
const patience = 8;
const leastRise = 0.05;

/** A way up the log posterior by the signs of its gradient (iRprop⁻: Igel and Hüsken 2000). */
class Ascent {
  highest = -Infinity;
  best: Hyperparameters;
  private steps = 0;
  private risen = { step: 0, to: -Infinity };
  private readonly theta: Hyperparameters;
  private readonly step: Float64Array;
  private readonly gradient: Float64Array;
  private readonly before: Float64Array;

  constructor(
    start: Hyperparameters,
    private readonly priors: readonly Prior[],
    private readonly density: ReturnType<typeof logPosterior>,
  ) {
    this.best = start;
    this.theta = start.slice();
    this.step = new Float64Array(start.length).fill(0.4);
    this.gradient = new Float64Array(start.length);
    this.before = new Float64Array(start.length);
  }

  /** Goes on until so many steps have been made in all, or none rises any more. */
  goTo(steps: number): this {
    for (; this.steps < steps && this.steps - this.risen.step < patience; this.steps++) this.go();
    return this;
  }

  private go(): void {
    const { priors, theta, step, gradient, before } = this;
    const value = this.density(theta, gradient);
    if (value > this.highest) [this.highest, this.best] = [value, theta.slice()];
    if (value > this.risen.to + leastRise) this.risen = { step: this.steps, to: value };
    for (let p = 0; p < theta.length; p++) {
      const turn = gradient[p] * before[p];
      if (turn > 0) step[p] = Math.min(1.5, step[p] * 1.2);
      else if (turn < 0) {
        step[p] *= 0.5;
        gradient[p] = 0;
      }
      const { least, most } = priors[p];
      theta[p] = Math.min(most, Math.max(least, theta[p] + Math.sign(gradient[p]) * step[p]));
      before[p] = gradient[p];
    }
  }
}

/** Hyperparameters of the highest posterior density that is found. */
export function fitHyperparameters(inputs: Inputs, y: Float64Array): Hyperparameters {
  const q = distances(inputs);
  const priors = priorsOf(q.length);
  const density = logPosterior(q, y);
  const ways = startsOf(priors, q.length).map((start) => new Ascent(start, priors, density).goTo(firstSteps));
  return ways.reduce((a, b) => (b.highest > a.highest ? b : a)).goTo(mostSteps).best;
}

/** Points whose targets are not known yet. */
interface Pending {
  readonly rows: readonly Float64Array[];
  /** Standard normals [S][rows], with mean 0 over S. Each makes of what is expected at the points one outcome that may come. */
  readonly draws: readonly Float64Array[];
}

/** Nothing is pending: there is one outcome, what is known. */
const none: Pending = { rows: [], draws: [new Float64Array(0)] };

export interface Prediction {
  readonly mean: number;
  readonly variance: number;
  /** Under each outcome of what is pending [S], with `mean` as their mean. */
  readonly means: Float64Array;
}

export class GaussianProcess {
  private readonly columns: readonly Column[];
  private readonly l: Float64Array;
  /** L⁻¹ [n·n] */
  private readonly inverse: Float64Array;
  /** K⁻¹ of the targets under each outcome of what is pending [S][n]. */
  private readonly alphas: readonly Float64Array[];
  /** Lowest mean of the function, without noise, at its own points, under each outcome of what is pending [S]. */
  readonly lowest: Float64Array;
  private readonly w: Float64Array;
  private readonly v: Float64Array;
  private readonly a: Float64Array;
  private readonly b: number;
  private readonly noise: number;
  /** The variance of the function anywhere, before anything is known. */
  private readonly scale: number;
  /** Of a point with all others [n]: one parameter's q, r², covariances k, L⁻¹k and K⁻¹k. */
  private readonly q: Float64Array;
  private readonly r2: Float64Array;
  private readonly k: Float64Array;
  private readonly u: Float64Array;
  private readonly z: Float64Array;
  /** Slopes of the covariances by each number of the point, its own kernel's alone, over the difference [D][n]. */
  private readonly slopes: readonly Float64Array[];

  /** @param y Targets of the inputs, of mean about 0 and deviation about 1. */
  constructor(inputs: Inputs, y: Float64Array, theta: Hyperparameters, pending = none) {
    const rows = [...inputs.rows, ...pending.rows];
    const n = rows.length;
    const D = inputs.categorical.length;
    const of = (from: number) => theta.slice(from, from + D).map(Math.exp);
    [this.w, this.v, this.a] = [of(0), of(D), of(2 * D)];
    this.b = Math.exp(theta[3 * D]);
    this.noise = Math.exp(theta[3 * D + 1]);
    this.scale = this.b + this.a.reduce((sum, a) => sum + a, 0);
    this.columns = columnsOf({ ...inputs, rows });
    [this.q, this.r2, this.k, this.u, this.z] = Array.from({ length: 5 }, () => new Float64Array(n));
    this.slopes = inputs.categorical.map(() => new Float64Array(n));
    this.l = new Float64Array(n * n);
    for (let i = 0; i < n; i++) {
      this.covariances(rows[i], i);
      this.l.set(this.k.subarray(0, i), i * n);
      this.l[i * n + i] = this.scale + this.noise;
    }
    cholesky(this.l, n);
    this.inverse = inverseOfFactor(this.l, n);
    // L⁻¹ of the targets: of those to come standard normals, by which y = L·(L⁻¹y) is one outcome (Rasmussen and Williams 2006, A.2).
    const whitened = y.slice();
    forward(this.l, n, whitened);
    const outcomes = pending.draws.map((draws) => {
      const target = new Float64Array(n);
      const alpha = Float64Array.from([...whitened, ...draws]);
      lowerTimes(this.l, n, alpha, target);
      backward(this.l, n, alpha);
      return { alpha, smoothed: target.map((t, i) => t - this.noise * alpha[i]) };
    });
    this.alphas = outcomes.map(({ alpha }) => alpha);
    this.lowest = Float64Array.from(outcomes, ({ smoothed }) => smoothed.reduce((a, b) => Math.min(a, b)));
  }

  /** Points that it is made from, with those that are pending. */
  get size(): number {
    return this.k.length;
  }

  /**
   * What the process says of each of its points [n] when it is made without that one (Rasmussen and Williams 2006, section
   * 5.4.2): mean, and variance with noise. Of a process of which nothing is pending.
   */
  leaveOneOut(y: Float64Array): { readonly means: Float64Array; readonly variances: Float64Array } {
    const n = this.size;
    const { inverse } = this;
    const [alpha] = this.alphas;
    const precisions = new Float64Array(n);
    for (let k = 0; k < n; k++) for (let i = 0; i <= k; i++) precisions[i] += inverse[k * n + i] ** 2;
    const variances = precisions.map((precision) => 1 / precision);
    return { variances, means: y.map((yi, i) => yi - alpha[i] * variances[i]) };
  }

  /** Index of the point nearest to `x` by the kernel's weights, the first of several, and their r². */
  nearest(x: Float64Array): { readonly index: number; readonly r2: number } {
    this.squaredDistances(x);
    let nearest = 0;
    for (let i = 1; i < this.size; i++) if (this.r2[i] < this.r2[nearest]) nearest = i;
    return { index: nearest, r2: this.r2[nearest] };
  }

  /** r² of a point [D] with each other, as the kernel of all parameters together has it. */
  private squaredDistances(x: Float64Array): void {
    const { r2, q, w } = this;
    const n = this.size;
    r2.fill(0);
    this.columns.forEach((column, d) => {
      distancesFrom(x[d], column, n, q);
      for (let i = 0; i < n; i++) r2[i] += w[d] * q[i];
    });
  }

  /** Fills `r2` and `k` with those of a point [D] and the first `count` others, and `slopes` where `sloping`. */
  private covariances(x: Float64Array, count: number, sloping = false): void {
    const { k, r2, q, columns, b } = this;
    k.fill(0, 0, count);
    r2.fill(0, 0, count);
    for (let d = 0; d < columns.length; d++) {
      const [w, v, a, slopes] = [this.w[d], this.v[d], this.a[d], this.slopes[d]];
      distancesFrom(x[d], columns[d], count, q);
      if (columns[d].categorical) {
        const [half, other] = [a * matern(v / 2), a * matern(v)];
        for (let i = 0; i < count; i++) {
          const qi = q[i];
          r2[i] += w * qi;
          k[i] += qi === 0 ? a : qi === 1 ? other : half;
        }
        continue;
      }
      for (let i = 0; i < count; i++) {
        const qi = q[i];
        r2[i] += w * qi;
        const s = v * qi;
        const r = sqrt5 * Math.sqrt(s);
        const e = a * decay(r);
        k[i] += (1 + r + (5 / 3) * s) * e;
        if (sloping) slopes[i] = (-5 / 3) * v * (1 + r) * e;
      }
    }
    for (let i = 0; i < count; i++) k[i] += b * matern(r2[i]);
  }

  /** Mean and variance of the function, without noise, at a point [D]. */
  at(x: Float64Array): Prediction {
    this.covariances(x, this.size);
    return this.predicted();
  }

  /** Mean and variance where the covariances are those in `k`. */
  private predicted(): Prediction {
    const { k, u, alphas, inverse } = this;
    const n = k.length;
    const means = new Float64Array(alphas.length);
    let mean = 0;
    for (let s = 0; s < means.length; s++) {
      const alpha = alphas[s];
      let sum = 0;
      for (let i = 0; i < n; i++) sum += k[i] * alpha[i];
      means[s] = sum;
      mean += sum / means.length;
    }
    let variance = this.scale;
    lowerTimes(inverse, n, k, u);
    for (let i = 0; i < n; i++) variance -= u[i] * u[i];
    return { mean, variance: Math.max(variance, 1e-12), means };
  }

  /**
   * The same, and how variance and means, these weighted and summed over the outcomes of what is pending, grow along the numbers of the
   * point [D]; 0 for categories and what is inactive.
   * @param weightsOf Of the outcomes [S].
   */
  gradientAt(
    x: Float64Array,
    weightsOf: (predicted: Prediction) => Float64Array,
  ): Prediction & { readonly meanSlopes: Float64Array; readonly varianceSlopes: Float64Array } {
    this.covariances(x, this.size, true);
    const predicted = this.predicted();
    const { r2, u, z, alphas, inverse, w, b } = this;
    const n = this.size;
    const D = x.length;
    const alpha = new Float64Array(n);
    weightsOf(predicted).forEach((weight, s) => {
      for (let i = 0; i < n; i++) alpha[i] += weight * alphas[s][i];
    });
    z.fill(0);
    for (let i = 0; i < n; i++) {
      const ui = u[i];
      for (let j = 0, at = i * n; j <= i; j++, at++) z[j] += inverse[at] * ui;
    }
    const together = u;
    for (let i = 0; i < n; i++) {
      const r = sqrt5 * Math.sqrt(r2[i]);
      together[i] = (-5 / 3) * b * (1 + r) * decay(r);
    }
    const meanSlopes = new Float64Array(D);
    const varianceSlopes = new Float64Array(D);
    for (let d = 0; d < D; d++) {
      const { categorical, at } = this.columns[d];
      if (categorical || Number.isNaN(x[d])) continue;
      const [here, weight, slopes] = [x[d], w[d], this.slopes[d]];
      let ofMean = 0;
      let ofVariance = 0;
      for (let i = 0; i < n; i++) {
        const slope = (here - at[i]) * (weight * together[i] + slopes[i]);
        ofMean += alpha[i] * slope;
        ofVariance -= 2 * z[i] * slope;
      }
      meanSlopes[d] = ofMean;
      varianceSlopes[d] = ofVariance;
    }
    return { ...predicted, meanSlopes, varianceSlopes };
  }
}
