/**
 * Bayesian logistic regression of what works: log odds are linear in the places of numbers on their ranges, with an offset for each
 * category, as limits of memory are that products of sizes reach. Weights have a normal prior of mean 0; their posterior is
 * approximated by a normal at its mode (Laplace; MacKay 1992, "The evidence framework applied to classification networks").
 */
import type { Inputs } from './matern.js';
import { backward, cholesky, forward } from './triangular.js';

/** Features beyond which nothing is fitted: their number's cube is what a step costs. */
const mostFeatures = 80;
const mostSteps = 30;
/** A change of all log odds below which the mode is found. */
const smallStep = 1e-6;

export interface LinearFeasibility {
  /** Chances that are said of each point [n] when the regression is made without it, to first order. */
  readonly withoutEach: Float64Array;
  /** The chance that a point [D] works. */
  at(x: Float64Array): number;
}

const logistic = (odds: number) => 1 / (1 + Math.exp(-odds));

/** The mean of the logistic of normal log odds (MacKay 1992, equation 10). */
function meanChance(odds: number, variance: number): number {
  return logistic(odds / Math.sqrt(1 + (Math.PI * variance) / 8));
}

/**
 * @param worked Of each row of the inputs.
 * @param deviation Of the prior of weights: the log odds that a number may change by over its range.
 * @returns Undefined where there are too many categories.
 */
export function linearFeasibility(
  { rows, categorical }: Inputs,
  worked: (i: number) => boolean,
  deviation: number,
): LinearFeasibility | undefined {
  const highest = (d: number) => Math.max(-1, ...rows.map((row) => row[d]).filter((x) => !Number.isNaN(x)));
  const sizes = categorical.map((isCategory, d) => (isCategory ? 1 + highest(d) : 1));
  const size = 1 + sizes.reduce((sum, count) => sum + count, 0);
  if (size > mostFeatures) return undefined;
  /** 1, numbers from −1 to 1 or 0 where inactive, and a 1 for the category. */
  const featuresOf = (x: Float64Array): Float64Array => {
    const features = new Float64Array(size);
    features[0] = 1;
    let at = 1;
    for (let d = 0; d < sizes.length; at += sizes[d], d++) {
      if (Number.isNaN(x[d])) continue;
      if (!categorical[d]) features[at] = 2 * x[d] - 1;
      else if (x[d] < sizes[d]) features[at + x[d]] = 1;
    }
    return features;
  };
  const dot = (a: Float64Array, b: Float64Array) => {
    let sum = 0;
    for (let f = 0; f < size; f++) sum += a[f] * b[f];
    return sum;
  };
  const points = rows.map(featuresOf);
  const precision = 1 / (deviation * deviation);
  const weights = new Float64Array(size);
  const l = new Float64Array(size * size);
  const gradient = new Float64Array(size);
  const factorise = () => {
    l.fill(0);
    for (let f = 0; f < size; f++) {
      l[f * size + f] = precision;
      gradient[f] = -precision * weights[f];
    }
    points.forEach((x, i) => {
      const chance = logistic(dot(weights, x));
      const curvature = chance * (1 - chance);
      for (let f = 0; f < size; f++) {
        if (x[f] === 0) continue;
        gradient[f] += ((worked(i) ? 1 : 0) - chance) * x[f];
        for (let g = 0; g <= f; g++) l[f * size + g] += curvature * x[f] * x[g];
      }
    });
    cholesky(l, size);
  };
  const densityAt = (w: Float64Array) =>
    points.reduce((sum, x, i) => sum - Math.log1p(Math.exp((worked(i) ? -1 : 1) * dot(w, x))), 0) -
    0.5 * precision * dot(w, w);
  for (let step = 0; step < mostSteps; step++) {
    factorise();
    forward(l, size, gradient);
    backward(l, size, gradient);
    // Newton's step, halved until the density rises.
    let share = 1;
    const before = densityAt(weights);
    let next = weights.map((w, f) => w + gradient[f]);
    while (share > 1e-3 && !(densityAt(next) >= before)) {
      share /= 2;
      next = weights.map((w, f) => w + share * gradient[f]);
    }
    const moved = points.reduce((most, x) => Math.max(most, Math.abs(dot(next, x) - dot(weights, x))), 0);
    weights.set(next);
    if (moved < smallStep) break;
  }
  factorise();
  const varianceOf = (x: Float64Array) => {
    const u = x.slice();
    forward(l, size, u);
    return dot(u, u);
  };
  const withoutEach = Float64Array.from(points, (x, i) => {
    const odds = dot(weights, x);
    const variance = varianceOf(x);
    const chance = logistic(odds);
    const left = Math.max(1e-6, 1 - variance * chance * (1 - chance));
    return meanChance(odds - (variance * ((worked(i) ? 1 : 0) - chance)) / left, variance / left);
  });
  return {
    withoutEach,
    at: (x) => {
      const features = featuresOf(x);
      return meanChance(dot(weights, features), varianceOf(features));
    },
  };
}
