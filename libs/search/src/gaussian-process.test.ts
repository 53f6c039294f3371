import { Rng } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import { logExpectedImprovement } from './acquisition.js';
import { GaussianProcess } from './gaussian-process.js';
import { fitHyperparameters, logPosterior } from './hyperparameters.js';
import { distances, type Inputs } from './matern.js';

const rng = Rng.of(1, 'points');
const inputs: Inputs = {
  categorical: [false, false, true],
  rows: Array.from({ length: 12 }, (_, i) =>
    Float64Array.of(rng.uniform(), i % 4 === 0 ? Number.NaN : rng.uniform(), rng.int(3)),
  ),
};
const y = Float64Array.from(
  inputs.rows,
  ([a, b, c]) => Math.sin(6 * a) + (Number.isNaN(b) ? 0.3 : b) - 0.5 * c,
);

it('the gradient of the log posterior is that of central differences', () => {
  const density = logPosterior(distances(inputs), y);
  const theta = Float64Array.of(0.3, -0.5, 0.1, 0.6, 1.5, -0.2, -1, 0.2, -0.4, 0.4, -3);
  const gradient = new Float64Array(11);
  const none = new Float64Array(11);
  density(theta, gradient);
  theta.forEach((_, p) => {
    const at = (h: number) => density(theta.with(p, theta[p] + h), none);
    // Central differences with h = 1e-5 are good to about 1e-8 here.
    expect(gradient[p]).toBeCloseTo((at(1e-5) - at(-1e-5)) / 2e-5, 6);
  });
});

it('the gradient with pairs is that of central differences', () => {
  const density = logPosterior(distances(inputs), y, true);
  const theta = Float64Array.of(0.3, -0.5, 0.1, 0.6, 1.5, -0.2, -1, 0.2, -0.4, 0.4, -3, 0.7);
  const gradient = new Float64Array(12);
  const none = new Float64Array(12);
  density(theta, gradient);
  theta.forEach((_, p) => {
    const at = (h: number) => density(theta.with(p, theta[p] + h), none);
    expect(gradient[p]).toBeCloseTo((at(1e-5) - at(-1e-5)) / 2e-5, 6);
  });
});

it('the covariance of pairs is the sum over them of the products of what each does', () => {
  // With one point measured the mean elsewhere is y·k/(k₀ + noise).
  const [w, v, a, b, noise, c] = [[4, 9, 2], [16, 1, 3], [0.5, 0.7, 0.2], 1.5, 0.1, 1.3];
  const theta = Float64Array.from([...w, ...v, ...a, b, noise, c], Math.log);
  const [x, z] = [Float64Array.of(0.2, 0.9, 1), Float64Array.of(0.5, 0.4, 2)];
  const one: Inputs = { categorical: [false, false, true], pairs: true, rows: [x] };
  const process = new GaussianProcess(one, Float64Array.of(2), theta);
  const m = (r2: number) => (1 + Math.sqrt(5 * r2) + (5 / 3) * r2) * Math.exp(-Math.sqrt(5 * r2));
  const k = (q: readonly number[]) => {
    const [k1, k2, k3] = q.map((qd, d) => a[d] * m(v[d] * qd));
    const together = b * m(q.reduce((sum, qd, d) => sum + w[d] * qd, 0));
    return k1 + k2 + k3 + c * (k1 * k2 + k1 * k3 + k2 * k3) + together;
  };
  const [here, apart] = [k([0, 0, 0]), k([0.09, 0.25, 1])];
  const { mean, variance } = process.at(z);
  expect(mean).toBeCloseTo((2 * apart) / (here + noise), 10);
  expect(variance).toBeCloseTo(here - apart ** 2 / (here + noise), 10);
});

it('the log posterior of two points is the closed form', () => {
  // One number, distance 0.5. Together w = 4: r = 1; alone v = 16: r = 2. log N(y; 0, K) without the 2π.
  const two: Inputs = { categorical: [false], rows: [Float64Array.of(0.25), Float64Array.of(0.75)] };
  const [w, v, a, b, noise] = [4, 16, 0.5, 1.5, 0.1];
  const matern = (r: number) => (1 + Math.sqrt(5) * r + (5 / 3) * r * r) * Math.exp(-Math.sqrt(5) * r);
  const k = a * matern(2) + b * matern(1);
  const whole = a + b + noise;
  const determinant = whole ** 2 - k ** 2;
  const [y1, y2] = [0.7, -0.2];
  const quadratic = (whole * (y1 * y1 + y2 * y2) - 2 * k * y1 * y2) / determinant;
  const prior = [
    (Math.log(w) + 2 * Math.SQRT2) / (2 * Math.sqrt(3)),
    (Math.log(v) - 1) / 2,
    (Math.log(a) + 0.5) / 1.5,
    (Math.log(b) + 1) / 1.5,
    (Math.log(noise) - Math.log(1e-4)) / 3,
  ].reduce((sum, z) => sum - 0.5 * z * z, 0);
  const theta = Float64Array.from([w, v, a, b, noise], Math.log);
  const value = logPosterior(distances(two), Float64Array.of(y1, y2))(theta, new Float64Array(5));
  expect(value).toBeCloseTo(-0.5 * quadratic - 0.5 * Math.log(determinant) + prior, 12);
});

/** Weights of all together, weights and scales of each alone, scale together, noise. */
const thetaOf = (w: number, v: number, a: number, b: number, noise: number) =>
  Float64Array.from([w, w, w, v, v, v, a, a, a, b, noise], Math.log);

it('passes through what it has seen and knows nothing far away', () => {
  const theta = thetaOf(20, 10, 0.2, 1, 1e-6);
  const process = new GaussianProcess(inputs, y, theta);
  inputs.rows.forEach((row, i) => {
    expect(process.at(row).mean).toBeCloseTo(y[i], 3);
    expect(process.at(row).variance).toBeLessThan(1e-4);
  });
  // A category that nothing has is as far as another.
  const far = process.at(Float64Array.of(50, 50, 7));
  expect(far.mean).toBeCloseTo(0, 1);
  expect(far.variance).toBeGreaterThan(1.5);
});

it('leaving one out is making the process without it', () => {
  const theta = thetaOf(3, 3, 0.3, 1, 1e-2);
  const { means, variances } = new GaussianProcess(inputs, y, theta).leaveOneOut(y);
  inputs.rows.forEach((row, i) => {
    const others = { ...inputs, rows: inputs.rows.filter((_, j) => j !== i) };
    const { mean, variance } = new GaussianProcess(
      others,
      y.filter((_, j) => j !== i),
      theta,
    ).at(row);
    expect(means[i]).toBeCloseTo(mean, 9);
    expect(variances[i]).toBeCloseTo(variance + 1e-2, 9);
  });
});

it.each([
  ['', thetaOf(3, 5, 0.4, 0.8, 1e-2)],
  [' with pairs', Float64Array.of(...thetaOf(3, 5, 0.4, 0.8, 1e-2), 0.6)],
])('the slopes at a point%s are those of central differences', (_, theta) => {
  const process = new GaussianProcess(inputs, y, theta);
  const x = Float64Array.of(0.41, 0.62, 1);
  const one = () => Float64Array.of(1);
  const { meanSlopes, varianceSlopes, ...predicted } = process.gradientAt(x, one);
  expect(predicted).toEqual(process.at(x));
  for (const d of [0, 1]) {
    const at = (h: number) => process.at(x.with(d, x[d] + h));
    expect(meanSlopes[d]).toBeCloseTo((at(1e-5).mean - at(-1e-5).mean) / 2e-5, 6);
    expect(varianceSlopes[d]).toBeCloseTo((at(1e-5).variance - at(-1e-5).variance) / 2e-5, 6);
  }
  expect([meanSlopes[2], varianceSlopes[2]]).toEqual([0, 0]);
  // Where a number is inactive there is no way along it.
  expect(process.gradientAt(Float64Array.of(0.41, Number.NaN, 1), one).meanSlopes[1]).toBe(0);
});

it('its lowest mean is that at its points', () => {
  const process = new GaussianProcess(inputs, y, thetaOf(3, 5, 0.4, 0.8, 1e-1));
  const means = inputs.rows.map((row) => process.at(row).mean);
  expect(process.lowest[0]).toBeCloseTo(Math.min(...means), 9);
});

describe('with points whose targets are to come', () => {
  const theta = thetaOf(3, 5, 0.4, 0.8, 1e-2);
  const rows = [Float64Array.of(0.31, 0.52, 1), Float64Array.of(0.35, Number.NaN, 2)];
  const half = Array.from({ length: 2000 }, () => Float64Array.of(rng.normal(), rng.normal()));
  const draws = [...half, ...half.map((draw) => draw.map((z) => -z))];
  const known = new GaussianProcess(inputs, y, theta);
  const process = new GaussianProcess(inputs, y, theta, { rows, draws });

  it('expects what it expects without them, and outcomes that vary as it says', () => {
    for (const x of [...rows, Float64Array.of(0.4, 0.4, 0)]) {
      const { mean, variance, means } = process.at(x);
      const before = known.at(x);
      expect(mean).toBeCloseTo(before.mean, 9);
      const spread = means.reduce((sum, m) => sum + (m - mean) ** 2 / means.length, 0);
      // Of 4,000 draws, half of them opposite ones, the variance is within a tenth.
      expect((spread + variance) / before.variance).toBeCloseTo(1, 1);
    }
  });

  it('is under each outcome the process that has it as a target', () => {
    const outcome = Float64Array.of(0.7, -1.3);
    const one = new GaussianProcess(inputs, y, theta, { rows, draws: [outcome] });
    const first = known.at(rows[0]);
    const targets = [first.mean + 0.7 * Math.sqrt(first.variance + 1e-2)];
    const withFirst = new GaussianProcess(
      { ...inputs, rows: [...inputs.rows, rows[0]] },
      Float64Array.from([...y, ...targets]),
      theta,
    );
    const second = withFirst.at(rows[1]);
    targets.push(second.mean - 1.3 * Math.sqrt(second.variance + 1e-2));
    const whole = new GaussianProcess(
      { ...inputs, rows: [...inputs.rows, ...rows] },
      Float64Array.from([...y, ...targets]),
      theta,
    );
    const x = Float64Array.of(0.4, 0.4, 0);
    expect(one.at(x).mean).toBeCloseTo(whole.at(x).mean, 9);
    expect(one.at(x).variance).toBeCloseTo(whole.at(x).variance, 9);
    expect(one.lowest[0]).toBeCloseTo(whole.lowest[0], 9);
  });

  it('weighs the slopes of their outcomes', () => {
    const weights = Float64Array.from(draws, (_, s) => (s === 3 ? 2 : s === 5 ? 0.5 : 0));
    const x = Float64Array.of(0.41, 0.62, 1);
    const { meanSlopes } = process.gradientAt(x, () => weights);
    const at = (h: number) => {
      const { means } = process.at(x.with(0, x[0] + h));
      return 2 * means[3] + 0.5 * means[5];
    };
    expect(meanSlopes[0]).toBeCloseTo((at(1e-5) - at(-1e-5)) / 2e-5, 6);
  });
});

it('learns what parameters do by themselves from a few points of many dimensions', () => {
  const D = 8;
  const point = () => Float64Array.from({ length: D }, () => rng.uniform());
  const sum = (x: Float64Array) => x.reduce((total, xd, d) => total + Math.sin(2 * xd + d), 0);
  const rows = Array.from({ length: 40 }, point);
  const categorical = Array.from({ length: D }, () => false);
  const y = Float64Array.from(rows, sum);
  const mean = y.reduce((total, v) => total + v / y.length, 0);
  const centred = y.map((v) => v - mean);
  const process = new GaussianProcess(
    { categorical, rows },
    centred,
    fitHyperparameters({ categorical, rows }, centred),
  );
  const others = Array.from({ length: 50 }, point);
  const errors = others.map((x) => (process.at(x).mean + mean - sum(x)) ** 2);
  const spread = others.map((x) => (sum(x) - mean) ** 2);
  // A product kernel alone leaves more than a tenth of the variance.
  expect(errors.reduce((a, b) => a + b)).toBeLessThan(0.01 * spread.reduce((a, b) => a + b));
});

it('learns what pairs of parameters do from a few points of many dimensions', () => {
  const D = 8;
  const point = () => Float64Array.from({ length: D }, () => rng.uniform());
  const valleys = (x: Float64Array) => (x[0] + x[1] - 1) ** 2 + (x[2] - x[3]) ** 2 + (x[4] + x[5] - 1) ** 2;
  const rows = Array.from({ length: 50 }, point);
  const categorical = Array.from({ length: D }, () => false);
  const values = Float64Array.from(rows, valleys);
  const mean = values.reduce((total, v) => total + v / values.length, 0);
  const centred = values.map((v) => v - mean);
  const others = Array.from({ length: 100 }, point);
  const error = (pairs: boolean) => {
    const inputs: Inputs = { categorical, pairs, rows };
    const process = new GaussianProcess(inputs, centred, fitHyperparameters(inputs, centred));
    return others.reduce((sum, x) => sum + (process.at(x).mean + mean - valleys(x)) ** 2, 0);
  };
  expect(error(true)).toBeLessThan(0.5 * error(false));
});

it('finds that parameters act together alone, where a fit from the middles of the priors does not', () => {
  const D = 5;
  const rows = Array.from({ length: 40 }, () => Float64Array.from({ length: D }, () => rng.uniform()));
  const categorical = Array.from({ length: D }, () => false);
  const y = Float64Array.from(rows, ([a, b, c]) => Math.sin(6 * (a - b)) * Math.cos(4 * (b + c)));
  const theta = fitHyperparameters({ categorical, rows }, y);
  const alone = theta.slice(2 * D, 3 * D).map(Math.exp);
  // The scale of all together is above that of each by itself, in sum.
  expect(Math.exp(theta[3 * D])).toBeGreaterThan(alone.reduce((a, b) => a + b));
});

it('fitted weights tell parameters that matter from those that do not', () => {
  const rows = Array.from({ length: 40 }, () => Float64Array.of(rng.uniform(), rng.uniform()));
  const theta = fitHyperparameters(
    { categorical: [false, false], rows },
    Float64Array.from(rows, ([a]) => Math.sin(9 * a)),
  );
  // What the first does by itself has the larger scale, and where both act together it decides more.
  expect(theta[4]).toBeGreaterThan(theta[5] + 2);
});

it('expected improvement is its integral, also where it is tiny', () => {
  const integral = (mean: number, sigma: number, best: number) => {
    // ∫₀^∞ t φ((best − t − mean)/σ)/σ dt, relative to e^(−u²/2) so that nothing vanishes.
    const u = (best - mean) / sigma;
    let sum = 0;
    const dt = 1e-4;
    for (let t = dt / 2; t < 40; t += dt) sum += t * Math.exp(u * t - (t * t) / 2) * dt;
    return Math.log(sigma) - (u * u) / 2 - 0.5 * Math.log(2 * Math.PI) + Math.log(sum);
  };
  for (const [mean, sigma, best] of [
    [0, 1, 0],
    [1, 0.5, 0.2],
    [3, 0.2, 0],
    [30, 1, 0],
    [-1, 2, 0],
  ])
    expect(logExpectedImprovement(mean, sigma ** 2, best)).toBeCloseTo(integral(mean, sigma, best), 5);
  expect(logExpectedImprovement(1e5, 1, 0)).toBeLessThan(logExpectedImprovement(1e4, 1, 0));
});
