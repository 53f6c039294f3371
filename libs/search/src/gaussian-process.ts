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
 * values: a number at 1/2 and 1/4 beside the line, a category 1/2 from each. That it is inactive its parent's value says already, so
 * what active ones do does not tear apart what is known of the others.
 *
 * n points, D parameters. All hyperparameters are positive; their logarithms have normal priors, those of w as Hvarfner, Hellsten
 * and Nardi 2024 ("Vanilla Bayesian optimization performs great in high dimensions") have them: lengths grow with √D.
 */

const sqrt5 = Math.sqrt(5);

/** Inputs [n][D]: numbers on [0, 1], indices of categories, NaN where a parameter is inactive. */
export interface Inputs {
  readonly rows: readonly Float64Array[];
  /** [D] */
  readonly categorical: readonly boolean[];
}

function distance(a: number, b: number, categorical: boolean): number {
  if (Number.isNaN(a)) return Number.isNaN(b) ? 0 : distance(b, a, categorical);
  if (Number.isNaN(b)) return categorical ? 0.5 : 0.25 + (a - 0.5) * (a - 0.5);
  if (categorical) return a === b ? 0 : 1;
  return (a - b) * (a - b);
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

/** L⁻¹ [n·n]. */
function inverseOfFactor(l: Float64Array, n: number): Float64Array {
  const inverse = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    const ri = i * n;
    for (let k = 0; k < i; k++) {
      const factor = l[ri + k];
      const rk = k * n;
      for (let j = 0; j <= k; j++) inverse[ri + j] -= factor * inverse[rk + j];
    }
    inverse[ri + i] = 1;
    for (let j = 0; j <= i; j++) inverse[ri + j] /= l[ri + i];
  }
  return inverse;
}

/** (L Lᵀ)⁻¹ [n·n], lower triangle. */
function inverseFromFactor(l: Float64Array, n: number): Float64Array {
  const rows = inverseOfFactor(l, n);
  const inverse = new Float64Array(n * n);
  for (let k = 0; k < n; k++)
    for (let i = 0; i <= k; i++) {
      const factor = rows[k * n + i];
      for (let j = 0; j <= i; j++) inverse[i * n + j] += factor * rows[k * n + j];
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
    of(Math.log(1e-4), 3, Math.log(1e-7), 0),
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
        if (squared === 0) {
          md[t] = a;
          sd[t] = 0;
        } else {
          r2[t] += w * squared;
          const s = v * squared;
          const r = sqrt5 * Math.sqrt(s);
          const e = a * Math.exp(-r);
          md[t] = (1 + r + (5 / 3) * s) * e;
          sd[t] = (-5 / 6) * (1 + r) * e * s;
        }
        k[t] += md[t];
      }
    }
    for (let t = 0; t < pairs; t++) {
      const r = sqrt5 * Math.sqrt(r2[t]);
      const e = b * Math.exp(-r);
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
export function distances({ rows, categorical }: Inputs): Float64Array[] {
  const n = rows.length;
  return categorical.map((isCategory, d) => {
    const q = new Float64Array((n * (n + 1)) / 2);
    for (let i = 0, t = 0; i < n; i++)
      for (let j = 0; j <= i; j++, t++) q[t] = distance(rows[i][d], rows[j][d], isCategory);
    return q;
  });
}

/**
 * Hyperparameters of the highest posterior density that signs of gradients lead to in `steps` (iRprop⁻: Igel and
 * Hüsken 2000), from the middles of their priors.
 */
export function fitHyperparameters(inputs: Inputs, y: Float64Array, steps = 40): Hyperparameters {
  const q = distances(inputs);
  const priors = priorsOf(q.length);
  const density = logPosterior(q, y);
  const count = priors.length;
  const theta = Float64Array.from(priors, ({ mean }) => mean);
  const step = new Float64Array(count).fill(0.4);
  const gradient = new Float64Array(count);
  const before = new Float64Array(count);
  let best = theta.slice();
  let highest = -Infinity;
  for (let i = 0; i < steps; i++) {
    const value = density(theta, gradient);
    if (value > highest) [highest, best] = [value, theta.slice()];
    for (let p = 0; p < count; p++) {
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
  return best;
}

export class GaussianProcess {
  private readonly l: Float64Array;
  /** L⁻¹ [n·n] */
  private readonly inverse: Float64Array;
  private readonly alpha: Float64Array;
  private readonly w: Float64Array;
  private readonly v: Float64Array;
  private readonly a: Float64Array;
  private readonly b: number;
  private readonly noise: number;
  /** The variance of the function anywhere, before anything is known. */
  private readonly scale: number;
  /** Covariances of a point with all others [n], L⁻¹ of them, and K⁻¹ of them. */
  private readonly k: Float64Array;
  private readonly u: Float64Array;
  private readonly z: Float64Array;

  /** @param y Targets [n], of mean about 0 and deviation about 1. */
  constructor(
    private readonly inputs: Inputs,
    private readonly y: Float64Array,
    theta: Hyperparameters,
  ) {
    const { rows } = inputs;
    const n = rows.length;
    const D = inputs.categorical.length;
    const of = (from: number) => theta.slice(from, from + D).map(Math.exp);
    [this.w, this.v, this.a] = [of(0), of(D), of(2 * D)];
    this.b = Math.exp(theta[3 * D]);
    this.noise = Math.exp(theta[3 * D + 1]);
    this.scale = this.b + this.a.reduce((sum, a) => sum + a, 0);
    [this.k, this.u, this.z] = [new Float64Array(n), new Float64Array(n), new Float64Array(n)];
    this.l = new Float64Array(n * n);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < i; j++) this.l[i * n + j] = this.kernel(rows[i], rows[j]);
      this.l[i * n + i] = this.scale + this.noise;
    }
    cholesky(this.l, n);
    this.alpha = y.slice();
    forward(this.l, n, this.alpha);
    backward(this.l, n, this.alpha);
    this.inverse = inverseOfFactor(this.l, n);
  }

  /** Points that it is made from. */
  get size(): number {
    return this.inputs.rows.length;
  }

  /** Mean of the function, without noise, at its own points [n]. */
  get smoothed(): Float64Array {
    return this.y.map((y, i) => y - this.noise * this.alpha[i]);
  }

  /**
   * What the process says of each of its points [n] when it is made without that one (Rasmussen and Williams 2006, section
   * 5.4.2): mean, and variance with noise.
   */
  leaveOneOut(y: Float64Array): { readonly means: Float64Array; readonly variances: Float64Array } {
    const n = this.size;
    const { l, alpha } = this;
    const inverse = inverseFromFactor(l, n);
    const variances = Float64Array.from({ length: n }, (_, i) => 1 / inverse[i * n + i]);
    return { variances, means: y.map((yi, i) => yi - alpha[i] * variances[i]) };
  }

  /** r² of all parameters together, as the kernel has it. */
  private squaredDistance(a: Float64Array, b: Float64Array): number {
    const { categorical } = this.inputs;
    let r2 = 0;
    for (let d = 0; d < categorical.length; d++) r2 += this.w[d] * distance(a[d], b[d], categorical[d]);
    return r2;
  }

  /** Index of the point nearest to `x` by the kernel's weights, the first of several, and their r². */
  nearest(x: Float64Array): { readonly index: number; readonly r2: number } {
    let nearest = 0;
    let least = Infinity;
    this.inputs.rows.forEach((row, i) => {
      const r2 = this.squaredDistance(x, row);
      if (r2 < least) [nearest, least] = [i, r2];
    });
    return { index: nearest, r2: least };
  }

  private kernel(x: Float64Array, other: Float64Array): number {
    const { categorical } = this.inputs;
    const { w, v, a } = this;
    let sum = 0;
    let r2 = 0;
    for (let d = 0; d < categorical.length; d++) {
      const q = distance(x[d], other[d], categorical[d]);
      if (q === 0) {
        sum += a[d];
        continue;
      }
      r2 += w[d] * q;
      const s = v[d] * q;
      const r = sqrt5 * Math.sqrt(s);
      sum += a[d] * (1 + r + (5 / 3) * s) * Math.exp(-r);
    }
    const r = sqrt5 * Math.sqrt(r2);
    return sum + this.b * (1 + r + (5 / 3) * r2) * Math.exp(-r);
  }

  /** Mean and variance of the function, without noise, at a point [D]. */
  at(x: Float64Array): { mean: number; variance: number } {
    const { rows } = this.inputs;
    const { k, u, alpha, inverse } = this;
    const n = rows.length;
    let mean = 0;
    for (let i = 0; i < n; i++) {
      k[i] = this.kernel(x, rows[i]);
      mean += k[i] * alpha[i];
    }
    let variance = this.scale;
    lowerTimes(inverse, n, k, u);
    for (let i = 0; i < n; i++) variance -= u[i] * u[i];
    return { mean, variance: Math.max(variance, 1e-12) };
  }

  /** The same, and how both grow along the numbers of the point [D]; 0 for categories and what is inactive. */
  gradientAt(x: Float64Array): {
    readonly mean: number;
    readonly variance: number;
    readonly meanSlopes: Float64Array;
    readonly varianceSlopes: Float64Array;
  } {
    const { mean, variance } = this.at(x);
    const { rows, categorical } = this.inputs;
    const { u, z, alpha, inverse, w, v, a } = this;
    const n = rows.length;
    const D = x.length;
    z.fill(0);
    for (let i = 0; i < n; i++) for (let j = 0, at = i * n; j <= i; j++, at++) z[j] += inverse[at] * u[i];
    const meanSlopes = new Float64Array(D);
    const varianceSlopes = new Float64Array(D);
    for (let i = 0; i < n; i++) {
      const row = rows[i];
      const r = sqrt5 * Math.sqrt(this.squaredDistance(x, row));
      const together = (-5 / 3) * this.b * (1 + r) * Math.exp(-r);
      for (let d = 0; d < D; d++) {
        if (categorical[d] || Number.isNaN(x[d])) continue;
        const difference = x[d] - (Number.isNaN(row[d]) ? 0.5 : row[d]);
        const rd = sqrt5 * Math.sqrt(v[d] * distance(x[d], row[d], false));
        const slope = difference * (w[d] * together - (5 / 3) * a[d] * v[d] * (1 + rd) * Math.exp(-rd));
        meanSlopes[d] += alpha[i] * slope;
        varianceSlopes[d] -= 2 * z[i] * slope;
      }
    }
    return { mean, variance, meanSlopes, varianceSlopes };
  }
}
