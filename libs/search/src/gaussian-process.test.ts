import { Rng } from '@emotune/base';
import { expect, it } from 'vitest';
import { logExpectedImprovement } from './acquisition.js';
import {
  distances,
  fitHyperparameters,
  GaussianProcess,
  type Inputs,
  logPosterior,
} from './gaussian-process.js';

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
  const q = distances(inputs);
  const theta = Float64Array.of(0.3, -0.5, 0.1, 0.4, -3);
  const gradient = new Float64Array(5);
  const none = new Float64Array(5);
  logPosterior(q, y, theta, gradient);
  theta.forEach((_, p) => {
    const at = (h: number) => logPosterior(q, y, theta.with(p, theta[p] + h), none);
    // Central differences with h = 1e-5 are good to about 1e-8 here.
    expect(gradient[p]).toBeCloseTo((at(1e-5) - at(-1e-5)) / 2e-5, 6);
  });
});

it('the log posterior of two points is the closed form', () => {
  // One number, distance 0.5, w = 4: r = 1. K = [[s + t, k], [k, s + t]], log N(y; 0, K) without the 2π.
  const two: Inputs = { categorical: [false], rows: [Float64Array.of(0.25), Float64Array.of(0.75)] };
  const [s, t] = [1.5, 0.1];
  const k = s * (1 + Math.sqrt(5) + 5 / 3) * Math.exp(-Math.sqrt(5));
  const determinant = (s + t) ** 2 - k ** 2;
  const [a, b] = [0.7, -0.2];
  const quadratic = ((s + t) * (a * a + b * b) - 2 * k * a * b) / determinant;
  const prior = -0.1 / 4 - 0.1 * 4 + Math.log(s) - s + 0.1 * Math.log(t) - 30 * t;
  const theta = Float64Array.of(Math.log(4), Math.log(s), Math.log(t));
  const value = logPosterior(distances(two), Float64Array.of(a, b), theta, new Float64Array(3));
  expect(value).toBeCloseTo(-0.5 * quadratic - 0.5 * Math.log(determinant) + prior, 12);
});

it('passes through what it has seen and knows nothing far away', () => {
  const theta = Float64Array.of(3, 3, 1, 0, Math.log(1e-6));
  const process = new GaussianProcess(inputs, y, theta);
  inputs.rows.forEach((row, i) => {
    expect(process.at(row).mean).toBeCloseTo(y[i], 3);
    expect(process.at(row).variance).toBeLessThan(1e-4);
  });
  const far = process.at(Float64Array.of(50, 50, 7));
  expect(far.mean).toBeCloseTo(0, 6);
  expect(far.variance).toBeCloseTo(1, 6);
});

it('leaving one out is making the process without it', () => {
  const theta = Float64Array.of(1, 1, 1, 0, Math.log(1e-2));
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

it('fitted weights tell parameters that matter from those that do not', () => {
  const rows = Array.from({ length: 40 }, () => Float64Array.of(rng.uniform(), rng.uniform()));
  const theta = fitHyperparameters(
    { categorical: [false, false], rows },
    Float64Array.from(rows, ([a]) => Math.sin(9 * a)),
  );
  expect(theta[0]).toBeGreaterThan(theta[1] + 2);
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
