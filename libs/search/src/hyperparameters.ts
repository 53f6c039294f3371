/** The hyperparameters of a Gaussian process (`gaussian-process.ts`): their priors, and those that its points make likeliest. */
import { decay } from './decay.js';
import { distances, type Inputs, matern, sqrt5 } from './matern.js';
import { backward, cholesky, forward, inverseFromFactor } from './triangular.js';

/**
 * Logarithms of the weights w [D] of all together, v [D] and scales a [D] of each alone, the scale b and the noise's variance, and,
 * where what pairs do counts, its factor c.
 */
export type Hyperparameters = Float64Array;

/** Of which of them a logarithm is: its prior's mean and deviation, and its range. */
interface Prior {
  readonly mean: number;
  readonly deviation: number;
  readonly least: number;
  readonly most: number;
}

/**
 * Priors in the order of the hyperparameters. Lengths over which all do something together are shorter where pairs count: what is
 * smooth the others explain.
 */
function priorsOf(D: number, pairs: boolean): Prior[] {
  const of = (mean: number, deviation: number, least: number, most: number): Prior => ({
    mean,
    deviation,
    least,
    most,
  });
  const each = (prior: Prior) => Array.from({ length: D }, () => prior);
  return [
    ...each(
      of((pairs ? 2 : 0) - 2 * Math.SQRT2 - Math.log(D), 2 * Math.sqrt(3), Math.log(1e-4), Math.log(1e4)),
    ),
    ...each(of(1, 2, Math.log(1e-3), Math.log(1e4))),
    ...each(of(-0.5 - Math.log(D), 1.5, -9, 4)),
    of(-1, 1.5, -7, 4),
    of(Math.log(1e-4), 3, Math.log(1e-9), 0),
    ...(pairs ? [of(1, 1.5, -7, 4)] : []),
  ];
}

/**
 * Log posterior density of the hyperparameters up to a constant, and its gradient (section 5.4.1), as a function of them and of
 * the place for the gradient.
 * @param q Distances [D][n(n+1)/2], lower triangle row by row.
 */
export function logPosterior(
  q: readonly Float64Array[],
  y: Float64Array,
  withPairs = false,
): (theta: Hyperparameters, gradient: Float64Array) => number {
  const n = y.length;
  const D = q.length;
  const pairs = (n * (n + 1)) / 2;
  const priors = priorsOf(D, withPairs);
  /** Whether a parameter has the distances of categories alone. */
  const ofCategories = q.map((qd) =>
    qd.every((squared) => squared === 0 || squared === 0.5 || squared === 1),
  );
  const each = q.map(() => new Float64Array(pairs));
  const eachSlope = q.map(() => new Float64Array(pairs));
  const r2 = new Float64Array(pairs);
  const alone = new Float64Array(pairs);
  const two = new Float64Array(pairs);
  const together = new Float64Array(pairs);
  const slope = new Float64Array(pairs);
  const k = new Float64Array(pairs);
  const l = new Float64Array(n * n);
  const inverse = new Float64Array(n * n);
  const scratch = new Float64Array(n * n);
  return (theta, gradient) => {
    const b = Math.exp(theta[3 * D]);
    const noise = Math.exp(theta[3 * D + 1]);
    const c = withPairs ? Math.exp(theta[3 * D + 2]) : 0;
    r2.fill(0);
    alone.fill(0);
    two.fill(0);
    for (let d = 0; d < D; d++) {
      const w = Math.exp(theta[d]);
      const v = Math.exp(theta[D + d]);
      const a = Math.exp(theta[2 * D + d]);
      const [qd, md, sd] = [q[d], each[d], eachSlope[d]];
      if (ofCategories[d]) {
        const [halfWay, apart] = [0.5, 1].map((squared) => {
          const s = v * squared;
          const r = sqrt5 * Math.sqrt(s);
          return { m: a * matern(s), slope: (-5 / 6) * (1 + r) * a * decay(r) * s };
        });
        for (let t = 0; t < pairs; t++) {
          const squared = qd[t];
          if (squared === 0) {
            md[t] = a;
            sd[t] = 0;
          } else {
            const { m, slope } = squared === 1 ? apart : halfWay;
            md[t] = m;
            sd[t] = slope;
          }
          r2[t] += w * squared;
          two[t] += alone[t] * md[t];
          alone[t] += md[t];
        }
        continue;
      }
      for (let t = 0; t < pairs; t++) {
        const squared = qd[t];
        r2[t] += w * squared;
        const s = v * squared;
        const r = sqrt5 * Math.sqrt(s);
        const e = a * decay(r);
        md[t] = (1 + r + (5 / 3) * s) * e;
        sd[t] = (-5 / 6) * (1 + r) * e * s;
        two[t] += alone[t] * md[t];
        alone[t] += md[t];
      }
    }
    for (let t = 0; t < pairs; t++) {
      const r = sqrt5 * Math.sqrt(r2[t]);
      const e = b * decay(r);
      together[t] = (1 + r + (5 / 3) * r2[t]) * e;
      slope[t] = (-5 / 6) * (1 + r) * e;
      two[t] *= c;
      k[t] = alone[t] + two[t] + together[t];
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
    inverseFromFactor(l, n, inverse, scratch);
    gradient.fill(0);
    for (let i = 0, t = 0; i < n; i++)
      for (let j = 0; j <= i; j++, t++)
        m[t] = (alpha[i] * alpha[j] - inverse[i * n + j]) * (i === j ? 0.5 : 1);
    for (let i = 0; i < n; i++) gradient[3 * D + 1] += m[(i * (i + 3)) / 2] * noise;
    for (let t = 0; t < pairs; t++) {
      gradient[3 * D] += m[t] * together[t];
      if (withPairs) gradient[3 * D + 2] += m[t] * two[t];
      slope[t] *= m[t];
    }
    for (let d = 0; d < D; d++) {
      const [qd, md, sd] = [q[d], each[d], eachSlope[d]];
      let [ofW, ofV, ofA] = [0, 0, 0];
      for (let t = 0; t < pairs; t++) {
        ofW += slope[t] * qd[t];
        const ofAlone = m[t] * (1 + c * (alone[t] - md[t]));
        ofV += ofAlone * sd[t];
        ofA += ofAlone * md[t];
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
  const { pairs = false } = inputs;
  const q = distances(inputs);
  const priors = priorsOf(q.length, pairs);
  const density = logPosterior(q, y, pairs);
  const ways = startsOf(priors, q.length).map((start) => new Ascent(start, priors, density).goTo(firstSteps));
  return ways.reduce((a, b) => (b.highest > a.highest ? b : a)).goTo(mostSteps).best;
}
