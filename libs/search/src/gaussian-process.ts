/**
 * Gaussian process regression (Rasmussen and Williams 2006, algorithm 2.1) over numbers, categories and conditional parameters.
 * The kernel is a sum (Duvenaud, Nickisch, Rasmussen 2011, "Additive Gaussian processes", orders one and D): what each
 * parameter does by itself, and what they do together,
 *
 *   k = Σ_d k_d + b·m(Σ_d w_d q_d), k_d = a_d·m(v_d q_d), m(r²) = (1 + √5 r + 5r²/3)·exp(−√5 r), Matérn 5/2,
 *
 * for most of what hyperparameters do to a loss they do alone, and that is learnt from a few trials also where there are many. With
 * `pairs` it has order two as well, c·Σ_{d<e} k_d k_e, for what does not add up is mostly what two do to each other.
 *
 * q_d is a squared distance: of numbers their difference's, of categories 0 or 1. A parameter that is inactive lies amidst its
 * values: a number at 1/2 and 1/2 beside the line, a category 1/2 from each. That it is inactive its parent's value says already, so
 * what active ones do does not tear apart what is known of the others.
 *
 * n points, D parameters. All hyperparameters are positive; their logarithms have normal priors, those of w as Hvarfner, Hellsten
 * and Nardi 2024 ("Vanilla Bayesian optimization performs great in high dimensions") have them: lengths grow with √D.
 */
import { decay } from './decay.js';
import type { Hyperparameters } from './hyperparameters.js';
import { type Column, columnsOf, distancesFrom, type Inputs, matern, sqrt5 } from './matern.js';
import { backward, cholesky, forward, inverseOfFactor, lowerTimes } from './triangular.js';

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
  private readonly c: number;
  private readonly noise: number;
  /** The variance of the function anywhere, before anything is known. */
  private readonly scale: number;
  /** Of a point with all others [n]: one parameter's q, r², covariances k, those of pairs, L⁻¹k and K⁻¹k. */
  private readonly q: Float64Array;
  private readonly r2: Float64Array;
  private readonly k: Float64Array;
  private readonly two: Float64Array;
  private readonly u: Float64Array;
  private readonly z: Float64Array;
  /** What each parameter adds to the covariances by itself [D][n]. */
  private readonly alone: readonly Float64Array[];
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
    this.c = theta.length > 3 * D + 2 ? Math.exp(theta[3 * D + 2]) : 0;
    const alone = this.a.reduce((sum, a) => sum + a, 0);
    const squares = this.a.reduce((sum, a) => sum + a * a, 0);
    this.scale = this.b + alone + (this.c * (alone * alone - squares)) / 2;
    this.columns = columnsOf({ ...inputs, rows });
    [this.q, this.r2, this.k, this.two, this.u, this.z] = Array.from(
      { length: 6 },
      () => new Float64Array(n),
    );
    this.alone = inputs.categorical.map(() => new Float64Array(n));
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

  /** Fills `r2` and `k` with those of a point [D] and the first `count` others, and `slopes` where `sloping`. */
  private covariances(x: Float64Array, count: number, sloping = false): void {
    const { k, two, r2, q, columns, b, c } = this;
    k.fill(0, 0, count);
    two.fill(0, 0, count);
    r2.fill(0, 0, count);
    for (let d = 0; d < columns.length; d++) {
      const [w, v, a, slopes, alone] = [this.w[d], this.v[d], this.a[d], this.slopes[d], this.alone[d]];
      distancesFrom(x[d], columns[d], count, q);
      if (columns[d].categorical) {
        const [half, other] = [a * matern(v / 2), a * matern(v)];
        for (let i = 0; i < count; i++) {
          const qi = q[i];
          r2[i] += w * qi;
          alone[i] = qi === 0 ? a : qi === 1 ? other : half;
        }
      } else
        for (let i = 0; i < count; i++) {
          const qi = q[i];
          r2[i] += w * qi;
          const s = v * qi;
          const r = sqrt5 * Math.sqrt(s);
          const e = a * decay(r);
          alone[i] = (1 + r + (5 / 3) * s) * e;
          if (sloping) slopes[i] = (-5 / 3) * v * (1 + r) * e;
        }
      for (let i = 0; i < count; i++) {
        two[i] += k[i] * alone[i];
        k[i] += alone[i];
      }
    }
    if (sloping && c > 0)
      this.slopes.forEach((slopes, d) => {
        for (let i = 0; i < count; i++) slopes[i] *= 1 + c * (k[i] - this.alone[d][i]);
      });
    for (let i = 0; i < count; i++) k[i] += c * two[i] + b * matern(r2[i]);
  }

  /** Mean and variance of the function, without noise, at a point [D]. */
  at(x: Float64Array): Prediction {
    this.covariances(x, this.size);
    return this.predicted();
  }

  /** The same, with the index of the point nearest by the weights of all parameters together, the first of several, and its r². */
  nearestAt(x: Float64Array): Prediction & { readonly nearest: number; readonly r2: number } {
    const predicted = this.at(x);
    let nearest = 0;
    for (let i = 1; i < this.size; i++) if (this.r2[i] < this.r2[nearest]) nearest = i;
    return { ...predicted, nearest, r2: this.r2[nearest] };
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
