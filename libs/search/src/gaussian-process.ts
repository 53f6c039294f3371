/**
 * Gaussian process regression (Rasmussen and Williams 2006, algorithm 2.1) with a Matérn 5/2 kernel over numbers and
 * categories: k = s·(1 + √5 r + 5r²/3)·exp(−√5 r), r² = Σ_d w_d q_d, where q_d is the squared difference of numbers, and
 * 0 or 1 for equal or different categories. A parameter that only one of two points has counts as different.
 *
 * n points, D parameters. Weights w, scale s and noise are those of the highest posterior density under the priors
 * of Optuna 5's GP sampler: exp(−0.1/w − 0.1w) for w, Gamma(2, 1) for s, Gamma(1.1, 30) for the noise's variance.
 */

const sqrt5 = Math.sqrt(5);

/** Inputs [n][D]: numbers on [0, 1], indices of categories, NaN where a parameter is inactive. */
export interface Inputs {
  readonly rows: readonly Float64Array[];
  /** [D] */
  readonly categorical: readonly boolean[];
}

function distance(a: number, b: number, categorical: boolean): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) && Number.isNaN(b) ? 0 : 1;
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

/** Logarithms of the weights [D], the scale and the noise's variance. */
export type Hyperparameters = Float64Array;

const least = { weight: Math.log(1e-3), scale: -5, noise: Math.log(1e-6) };
const most = { weight: Math.log(1e4), scale: 5, noise: 0 };

/**
 * Log posterior density of the hyperparameters up to a constant, and its gradient [D + 2] (section 5.4.1).
 * @param q Distances [D][n·n], lower triangle.
 */
export function logPosterior(
  q: readonly Float64Array[],
  y: Float64Array,
  theta: Hyperparameters,
  gradient: Float64Array,
): number {
  const n = y.length;
  const D = q.length;
  const w = theta.subarray(0, D).map(Math.exp);
  const s = Math.exp(theta[D]);
  const noise = Math.exp(theta[D + 1]);
  const k = new Float64Array(n * n);
  const slope = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      let r2 = 0;
      for (let d = 0; d < D; d++) r2 += w[d] * q[d][i * n + j];
      const r = Math.sqrt(r2);
      const e = s * Math.exp(-sqrt5 * r);
      k[i * n + j] = (1 + sqrt5 * r + (5 / 3) * r2) * e + (i === j ? noise : 0);
      // dk/d(r²)
      slope[i * n + j] = (-5 / 6) * (1 + sqrt5 * r) * e;
    }
  const l = k.slice();
  cholesky(l, n);
  const alpha = y.slice();
  forward(l, n, alpha);
  let value = 0;
  for (let i = 0; i < n; i++) value -= 0.5 * alpha[i] * alpha[i] + Math.log(l[i * n + i]);
  backward(l, n, alpha);

  gradient.fill(0);
  const inverse = inverseFromFactor(l, n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      const at = i * n + j;
      // ½ tr((ααᵀ − K⁻¹) ∂K/∂θ), the triangle counted twice off the diagonal.
      const m = (alpha[i] * alpha[j] - inverse[at]) * (i === j ? 0.5 : 1);
      for (let d = 0; d < D; d++) gradient[d] += m * slope[at] * q[d][at] * w[d];
      gradient[D] += m * (k[at] - (i === j ? noise : 0));
      if (i === j) gradient[D + 1] += m * noise;
    }
  }
  for (let d = 0; d < D; d++) {
    value -= 0.1 / w[d] + 0.1 * w[d];
    gradient[d] += 0.1 / w[d] - 0.1 * w[d];
  }
  value += Math.log(s) - s + 0.1 * Math.log(noise) - 30 * noise;
  gradient[D] += 1 - s;
  gradient[D + 1] += 0.1 - 30 * noise;
  return value;
}

/** Distances [D][n·n] of all pairs, lower triangle. */
export function distances({ rows, categorical }: Inputs): Float64Array[] {
  const n = rows.length;
  return categorical.map((isCategory, d) => {
    const q = new Float64Array(n * n);
    for (let i = 0; i < n; i++)
      for (let j = 0; j < i; j++) q[i * n + j] = distance(rows[i][d], rows[j][d], isCategory);
    return q;
  });
}

/**
 * Hyperparameters of the highest posterior density that signs of gradients lead to in `steps` (iRprop⁻: Igel and
 * Hüsken 2000).
 */
export function fitHyperparameters(inputs: Inputs, y: Float64Array, steps = 40): Hyperparameters {
  const q = distances(inputs);
  const D = q.length;
  const theta = new Float64Array(D + 2);
  theta[D + 1] = Math.log(1e-3);
  const step = new Float64Array(D + 2).fill(0.4);
  const gradient = new Float64Array(D + 2);
  const before = new Float64Array(D + 2);
  let best = theta.slice();
  let highest = -Infinity;
  for (let i = 0; i < steps; i++) {
    const value = logPosterior(q, y, theta, gradient);
    if (value > highest) [highest, best] = [value, theta.slice()];
    for (let p = 0; p < D + 2; p++) {
      const turn = gradient[p] * before[p];
      if (turn > 0) step[p] = Math.min(1.5, step[p] * 1.2);
      else if (turn < 0) {
        step[p] *= 0.5;
        gradient[p] = 0;
      }
      const kind = p < D ? 'weight' : p === D ? 'scale' : 'noise';
      theta[p] = Math.min(most[kind], Math.max(least[kind], theta[p] + Math.sign(gradient[p]) * step[p]));
      before[p] = gradient[p];
    }
  }
  return best;
}

export class GaussianProcess {
  private readonly l: Float64Array;
  private readonly alpha: Float64Array;
  private readonly scratch: Float64Array;
  private readonly w: Float64Array;
  private readonly s: number;

  /** @param y Targets [n], of mean about 0 and deviation about 1. */
  constructor(
    private readonly inputs: Inputs,
    y: Float64Array,
    theta: Hyperparameters,
  ) {
    const { rows } = inputs;
    const n = rows.length;
    const D = inputs.categorical.length;
    this.w = theta.slice(0, D).map(Math.exp);
    this.s = Math.exp(theta[D]);
    const noise = Math.exp(theta[D + 1]);
    this.scratch = new Float64Array(n);
    this.l = new Float64Array(n * n);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < i; j++) this.l[i * n + j] = this.kernel(rows[i], rows[j]);
      this.l[i * n + i] = this.s + noise;
    }
    cholesky(this.l, n);
    this.alpha = y.slice();
    forward(this.l, n, this.alpha);
    backward(this.l, n, this.alpha);
  }

  /** Points that it is made from. */
  get size(): number {
    return this.inputs.rows.length;
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

  /** r², as the kernel has it. */
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

  private kernel(a: Float64Array, b: Float64Array): number {
    const r2 = this.squaredDistance(a, b);
    const r = Math.sqrt(r2);
    return this.s * (1 + sqrt5 * r + (5 / 3) * r2) * Math.exp(-sqrt5 * r);
  }

  /** Mean and variance of the function, without noise, at a point [D]. */
  at(x: Float64Array): { mean: number; variance: number } {
    const { rows } = this.inputs;
    const { scratch: k, alpha } = this;
    let mean = 0;
    for (let i = 0; i < rows.length; i++) {
      k[i] = this.kernel(x, rows[i]);
      mean += k[i] * alpha[i];
    }
    forward(this.l, rows.length, k);
    let variance = this.s;
    for (let i = 0; i < rows.length; i++) variance -= k[i] * k[i];
    return { mean, variance: Math.max(variance, 1e-12) };
  }
}
