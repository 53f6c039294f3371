/**
 * Bayesian optimisation with a Gaussian process, of numbers, categories and conditional parameters. The next trial is
 * where the expected improvement (Jones, Schonlau, Welch 1998) is largest, in logarithms (Ament et al. 2023, section
 * 4.1), or, with `beta`, where the confidence bound μ − √β·σ is lowest (Srinivas et al. 2010).
 *
 * Infeasible trials count as bad as the worst measured one. Running trials count as measured at the process's mean
 * ("kriging believer", Ginsbourger et al. 2010), so that parallel trials keep apart. Beyond `maxPoints` the best half
 * and the latest half are kept, which bounds time and memory.
 */
import { Rng } from '@emotune/base';
import { z } from 'zod';
import { Axis } from '../axis.js';
import { fitHyperparameters, GaussianProcess, type Inputs } from '../gaussian-process.js';
import { compareMeasured, lessonOf, objectivesOf, type TrialRecord, violationOf } from '../history.js';
import { logCdf, logPdf } from '../normal.js';
import type { Sampler, SuggestContext } from '../sampler.js';
import {
  type Assignment,
  assign,
  onlyValue,
  type Parameter,
  type ParameterValue,
  type SearchSpace,
} from '../space.js';
import { random } from './random.js';

const settings = z.strictObject({
  /** Random trials first: until so many are measured. */
  startUpTrials: z.number().int().min(1).default(10),
  /** Of the confidence bound; without it expected improvement decides. */
  beta: z.number().min(0).optional(),
  maxPoints: z.number().int().min(10).max(2000).default(500),
});

type GpSettings = z.output<typeof settings>;

/** Points that hyperparameters are fitted to: their cost grows with the cube. */
const fitPoints = 80;
/** Points that are improved step by step. */
const starts = 5;

/** log of E[max(0, best − f)] for f ~ N(mean, variance). */
export function logExpectedImprovement(mean: number, variance: number, best: number): number {
  const sigma = Math.sqrt(variance);
  const u = (best - mean) / sigma;
  // h(u) = φ(u) + u·Φ(u)
  if (u > -1) return Math.log(sigma) + Math.log(Math.exp(logPdf(u)) + u * Math.exp(logCdf(u)));
  const share = -u * Math.exp(logCdf(u) - logPdf(u));
  const log = u > -1e3 ? Math.log1p(-share) : -2 * Math.log(-u);
  return Math.log(sigma) + logPdf(u) + log;
}

/** Values as the process's inputs [D]. */
function featuresOf(space: SearchSpace) {
  const parameters = space.parameters.filter((parameter) => onlyValue(parameter) === undefined);
  const axes = parameters.map((p) => (p.kind === 'categorical' ? undefined : new Axis(p)));
  const categories = parameters.map(
    (p) => new Map(p.kind === 'categorical' ? p.values.map((v, i) => [v, i]) : []),
  );
  return {
    categorical: axes.map((axis) => axis === undefined),
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

/** Values near others: numbers moved by about `step` of their range, categories drawn anew now and then. */
function near(space: SearchSpace, values: Assignment, step: number, rng: Rng): Assignment {
  const free = space.parameters.filter((p) => Object.hasOwn(values, p.name) && onlyValue(p) === undefined);
  const chance = Math.max(0.3, 1 / Math.max(1, free.length));
  const must = free.length > 0 ? free[rng.int(free.length)] : undefined;
  return assign(space, (parameter) => {
    const only = onlyValue(parameter);
    if (only !== undefined) return only;
    const old: ParameterValue | undefined = Object.hasOwn(values, parameter.name)
      ? values[parameter.name]
      : undefined;
    const moved = parameter === must || rng.uniform() < (parameter.kind === 'categorical' ? 0.1 : chance);
    if (old !== undefined && !moved) return old;
    if (parameter.kind === 'categorical') return parameter.values[rng.int(parameter.values.length)];
    const axis = new Axis(parameter);
    if (old === undefined) return axis.valueAt(axis.low + axis.width * rng.uniform());
    const place = axis.place(old as number) + axis.width * step * rng.normal();
    return axis.valueAt(Math.min(axis.high, Math.max(axis.low, place)));
  });
}

/** Mean 0 and deviation 1; values far above the median are drawn in, for they say no more than "bad". */
function standardised(values: readonly number[]): Float64Array {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted[sorted.length >> 1];
  const cap = middle + 3 * (middle - sorted[0]);
  const drawn = Float64Array.from(values, (v) => Math.min(v, cap));
  // Halves keep the sum of the largest doubles finite.
  const scale = drawn.reduce((most, v) => Math.max(most, Math.abs(v)), 0) || 1;
  const y = drawn.map((v) => v / scale);
  const mean = y.reduce((sum, v) => sum + v / y.length, 0);
  const deviation = Math.sqrt(y.reduce((sum, v) => sum + (v - mean) ** 2 / y.length, 0)) || 1;
  return y.map((v) => (v - mean) / deviation);
}

function suggest(
  space: SearchSpace,
  history: readonly TrialRecord[],
  context: SuggestContext,
  { startUpTrials, beta, maxPoints }: GpSettings,
): Assignment {
  const { categorical, encode } = featuresOf(space);
  const allowed = history.filter((record) => isAllowed(space, record.parameters));
  const known = allowed.filter((r) => lessonOf(r) === 'measured' || lessonOf(r) === 'infeasible');
  const measured = known.filter((record) => lessonOf(record) === 'measured');
  if (categorical.length === 0 || measured.length < startUpTrials)
    return random.suggest(space, history, context, {});

  const kept = keep(known, maxPoints);
  const target = (record: TrialRecord) => objectivesOf(record)[0];
  const isGood = (r: TrialRecord) => lessonOf(r) === 'measured' && violationOf(r) === 0;
  const worst = Math.max(...measured.map(target));
  const y = standardised(kept.map((r) => (isGood(r) ? target(r) : worst)));
  const inputs: Inputs = { categorical, rows: kept.map((record) => encode(record.parameters)) };
  const theta = fitOnSome(inputs, y);
  let process = new GaussianProcess(inputs, y, theta);
  const running = allowed.filter((record) => record.state === 'running').slice(-maxPoints);
  if (running.length > 0) {
    const rows = running.map((record) => encode(record.parameters));
    const believed = rows.map((row) => process.at(row).mean);
    process = new GaussianProcess(
      { categorical, rows: [...inputs.rows, ...rows] },
      Float64Array.from([...y, ...believed]),
      theta,
    );
  }

  const lowest = y.reduce((least, v) => Math.min(least, v), Infinity);
  const score = (values: Assignment): number => {
    const { mean, variance } = process.at(encode(values));
    return beta === undefined
      ? logExpectedImprovement(mean, variance, lowest)
      : Math.sqrt(beta * variance) - mean;
  };
  const size = kept.length + running.length;
  return climb(space, kept, score, Math.min(1200, Math.max(240, Math.round(6e7 / size ** 2))), context);
}

/** Whether the values are those of the space's active parameters. */
function isAllowed(space: SearchSpace, values: Assignment): boolean {
  let fits = true;
  const walked = assign(space, (parameter: Parameter) => {
    const value = Object.hasOwn(values, parameter.name) ? values[parameter.name] : undefined;
    const inside =
      parameter.kind === 'categorical'
        ? parameter.values.includes(value as ParameterValue)
        : typeof value === 'number' && value >= parameter.min && value <= parameter.max;
    if (!inside) fits = false;
    return value as ParameterValue;
  });
  return fits && Object.keys(walked).length === Object.keys(values).length;
}

function keep(known: readonly TrialRecord[], most: number): TrialRecord[] {
  if (known.length <= most) return [...known];
  const kept = new Set(known.slice(-Math.floor(most / 2)));
  const ranked = known.filter((record) => lessonOf(record) === 'measured').sort(compareMeasured);
  for (const record of ranked) if (kept.size < most) kept.add(record);
  for (let i = known.length - 1; kept.size < most; i--) kept.add(known[i]);
  return [...kept].sort((a, b) => a.number - b.number);
}

/** Hyperparameters from at most `fitPoints` points: the best half of them, and others evenly through time. */
function fitOnSome({ categorical, rows }: Inputs, y: Float64Array) {
  const all = rows.map((_, i) => i);
  if (rows.length <= fitPoints) return fitHyperparameters({ categorical, rows }, y);
  const ranked = [...all].sort((a, b) => y[a] - y[b] || a - b);
  const best = new Set(ranked.slice(0, fitPoints / 2));
  const others = all.filter((i) => !best.has(i));
  const spread = Array.from(
    { length: fitPoints / 2 },
    (_, k) => others[Math.floor((k * others.length) / (fitPoints / 2))],
  );
  const chosen = [...best, ...spread];
  return fitHyperparameters(
    { categorical, rows: chosen.map((i) => rows[i]) },
    Float64Array.from(chosen, (i) => y[i]),
  );
}

/** The best values that so many evaluations of `score` find: random ones and those near the best trials, then uphill. */
function climb(
  space: SearchSpace,
  kept: readonly TrialRecord[],
  score: (values: Assignment) => number,
  evaluations: number,
  { seed, trialNumber }: SuggestContext,
): Assignment {
  const rng = Rng.of(seed, 'gp', trialNumber);
  const leaders = kept
    .filter((record) => lessonOf(record) === 'measured')
    .sort(compareMeasured)
    .slice(0, starts);
  const first = Math.floor(evaluations / 3);
  const found = Array.from({ length: first }, (_, i) => {
    const values =
      i % 3 === 0
        ? near(space, leaders[i % leaders.length].parameters, 0.05 / (1 + (i % 7)), rng)
        : random.suggest(space, [], { seed: `${seed} ${trialNumber}`, trialNumber: i }, {});
    return { values, score: score(values) };
  })
    .sort((a, b) => b.score - a.score)
    .slice(0, starts);
  const rounds = Math.floor((evaluations - first) / found.length);
  for (const point of found)
    for (let i = 0, step = 0.1; i < rounds; i++) {
      const values = near(space, point.values, step, rng);
      const value = score(values);
      if (value > point.score) {
        point.values = values;
        point.score = value;
        step = Math.min(0.2, step * 1.5);
      } else step = Math.max(1e-4, step * 0.93);
    }
  return found.reduce((a, b) => (b.score > a.score ? b : a)).values;
}

export const gp: Sampler<GpSettings> = { settings, suggest };
