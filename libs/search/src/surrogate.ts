/** What models of a search have in common: trials as inputs of a Gaussian process, and its fit to many of them. */
import { Axis } from './axis.js';
import { GaussianProcess } from './gaussian-process.js';
import { fitHyperparameters, type Hyperparameters } from './hyperparameters.js';
import type { Inputs } from './matern.js';
import { type Assignment, onlyValue, type SearchSpace } from './space.js';

/** Points that hyperparameters are fitted to: their cost grows with the cube. */
const fitPoints = 64;

/** Of so many parameters without a condition what all do together says what pairs do well enough. */
const fewParameters = 5;

interface Features {
  /** [D], of the parameters that have a choice. */
  readonly categorical: readonly boolean[];
  /** Whether so many are active together that what pairs of them do is told apart from what all do. */
  readonly pairs: boolean;
  /** Inputs of the process [D]. */
  encode(values: Assignment): Float64Array;
}

export function featuresOf(space: SearchSpace): Features {
  const parameters = space.parameters.filter((parameter) => onlyValue(parameter) === undefined);
  const axes = parameters.map((p) => (p.kind === 'categorical' ? undefined : new Axis(p)));
  const categories = parameters.map(
    (p) => new Map(p.kind === 'categorical' ? p.values.map((v, i) => [v, i]) : []),
  );
  return {
    categorical: axes.map((axis) => axis === undefined),
    pairs: parameters.filter(({ condition }) => !condition).length > fewParameters,
    encode: (values: Assignment): Float64Array =>
      Float64Array.from(parameters, ({ name }, d) => {
        if (!Object.hasOwn(values, name)) return Number.NaN;
        const axis = axes[d];
        if (!axis) return categories[d].get(values[name]) ?? Number.NaN;
        const x = (axis.place(values[name] as number) - axis.low) / axis.width;
        return x >= 0 && x <= 1 ? x : Number.NaN;
      }),
  };
}

interface Standardised {
  readonly y: Float64Array;
  /** The length of one unit of `y`, in the values' units. */
  readonly unit: number;
}

/** Mean 0 and deviation 1; values far above the median are drawn in, for they say no more than "bad". */
export function standardised(values: readonly number[]): Standardised {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted[sorted.length >> 1];
  const cap = middle + 3 * (middle - sorted[0]);
  const drawn = Float64Array.from(values, (v) => Math.min(v, cap));
  // Halves keep the sum of the largest doubles finite.
  const scale = drawn.reduce((most, v) => Math.max(most, Math.abs(v)), 0) || 1;
  const y = drawn.map((v) => v / scale);
  const mean = y.reduce((sum, v) => sum + v / y.length, 0);
  const deviation = Math.sqrt(y.reduce((sum, v) => sum + (v - mean) ** 2 / y.length, 0)) || 1;
  return { y: y.map((v) => (v - mean) / deviation), unit: scale * deviation };
}

/** The latest fits, newest first, by what they were made from. */
const fits: { readonly of: Float64Array; readonly theta: Hyperparameters }[] = [];
const keptFits = 8;

/**
 * `fitHyperparameters`, once for the same points: trials that are suggested together learn from the same ones, and what fails stays
 * the same while others succeed.
 */
function fitOnce(inputs: Inputs, y: Float64Array): Hyperparameters {
  const { rows, categorical, pairs = false } = inputs;
  const of = Float64Array.from([
    Number(pairs),
    ...categorical.map(Number),
    ...y,
    ...rows.flatMap((row) => [...row]),
  ]);
  const same = (other: Float64Array) =>
    of.length === other.length && of.every((x, i) => Object.is(x, other[i]));
  const known = fits.find((fit) => same(fit.of));
  if (known) return known.theta;
  const theta = fitHyperparameters(inputs, y);
  fits.unshift({ of, theta });
  fits.length = Math.min(fits.length, keptFits);
  return theta;
}

/** Hyperparameters from at most `fitPoints` points: the best half of them, and others evenly through time. */
export function fitOnSome(inputs: Inputs, y: Float64Array): Hyperparameters {
  const { rows } = inputs;
  const all = rows.map((_, i) => i);
  if (rows.length <= fitPoints) return fitOnce(inputs, y);
  const ranked = [...all].sort((a, b) => y[a] - y[b] || a - b);
  const best = new Set(ranked.slice(0, fitPoints / 2));
  const others = all.filter((i) => !best.has(i));
  const spread = Array.from(
    { length: fitPoints / 2 },
    (_, k) => others[Math.floor((k * others.length) / (fitPoints / 2))],
  );
  const chosen = [...best, ...spread];
  return fitOnce(
    { ...inputs, rows: chosen.map((i) => rows[i]) },
    Float64Array.from(chosen, (i) => y[i]),
  );
}

/** The process of `y` [n] with hyperparameters fitted to it. */
export function fittedProcess(inputs: Inputs, y: Float64Array): GaussianProcess {
  return new GaussianProcess(inputs, y, fitOnSome(inputs, y));
}
