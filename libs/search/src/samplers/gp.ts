/**
 * Bayesian optimisation with a Gaussian process, of numbers, categories and conditional parameters. The next trial is
 * where the expected improvement (Jones, Schonlau, Welch 1998) is largest, in logarithms (Ament et al. 2023, section
 * 4.1), or, with `beta`, where the confidence bound μ − √β·σ is lowest (Srinivas et al. 2010).
 *
 * Values that are less likely to work than `minFeasibility` are passed over (the improvement weighted by the probability
 * to work: Schonlau, Welch, Jones 1998). With `costPower` the improvement is divided by that power of the predicted cost
 * (1: improvement per cost, Snoek, Larochelle, Adams 2012, section 3.2). Running trials count as measured at the process's mean
 * ("kriging believer", Ginsbourger et al. 2010), so that parallel trials keep apart. Beyond `maxPoints` the best half
 * and the latest half are kept, which bounds time and memory.
 */
import { Rng } from '@emotune/base';
import { z } from 'zod';
import { Axis } from '../axis.js';
import { learnedCost } from '../cost.js';
import { cautionAfter, learnedFeasibility } from '../feasibility.js';
import { GaussianProcess, type Inputs } from '../gaussian-process.js';
import { lessonOf, measuredBestFirst, objectivesOf, type TrialRecord, violationOf } from '../history.js';
import { logCdf, logPdf } from '../normal.js';
import type { Sampler, SuggestContext } from '../sampler.js';
import {
  type Assignment,
  allows,
  assign,
  onlyValue,
  type ParameterValue,
  type SearchSpace,
} from '../space.js';
import { featuresOf, fitOnSome, standardised } from '../surrogate.js';
import { random } from './random.js';

const settings = z.strictObject({
  /** Random trials first: until so many are measured. */
  startUpTrials: z.number().int().min(1).default(10),
  /** Of the confidence bound; without it expected improvement decides. */
  beta: z.number().min(0).optional(),
  maxPoints: z.number().int().min(10).max(2000).default(500),
  /** Least probability to work, as learned from infeasible trials; 0 leaves it unlearned. */
  minFeasibility: z.number().min(0).max(1).default(0.9),
  /** 0: whatever it costs, 1: improvement per cost. */
  costPower: z.number().min(0).max(1).default(0),
});

type GpSettings = z.output<typeof settings>;

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

interface Model {
  readonly process: GaussianProcess;
  /** Trials that it is made from, without running ones. */
  readonly kept: readonly TrialRecord[];
  /** Lowest target. */
  readonly lowest: number;
  /** Of a target, in the objective's units. */
  readonly unit: number;
  encode(values: Assignment): Float64Array;
}

/** The process after a history; undefined where fewer than `least` trials are measured or the space has no choice. */
function modelOf(
  space: SearchSpace,
  history: readonly TrialRecord[],
  least: number,
  maxPoints: number,
): Model | undefined {
  const { categorical, encode } = featuresOf(space);
  const allowed = history.filter((record) => allows(space, record.parameters));
  const measured = allowed.filter((record) => lessonOf(record) === 'measured');
  if (categorical.length === 0 || measured.length < least) return undefined;
  const kept = keep(measured, maxPoints);
  const target = (record: TrialRecord) => objectivesOf(record)[0];
  const worst = measured.reduce((most, record) => Math.max(most, target(record)), -Infinity);
  const { y, unit } = standardised(kept.map((r) => (violationOf(r) === 0 ? target(r) : worst)));
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
  return { process, kept, lowest: y.reduce((least, v) => Math.min(least, v), Infinity), unit, encode };
}

function suggest(
  space: SearchSpace,
  history: readonly TrialRecord[],
  context: SuggestContext,
  { startUpTrials, beta, maxPoints, minFeasibility, costPower }: GpSettings,
): Assignment {
  const model = modelOf(space, history, startUpTrials, maxPoints);
  if (!model) return random.suggest(space, history, context, {});
  const { process, lowest, encode } = model;
  const learned = minFeasibility > 0 ? learnedFeasibility(space, history) : undefined;
  const prior = context.feasibility;
  const least = cautionAfter(history, minFeasibility);
  const cost = costPower > 0 ? learnedCost(space, history) : undefined;
  const score = (values: Assignment): number => {
    const chance = (learned?.(values) ?? 1) * (prior?.(values) ?? 1);
    // Below every value of the acquisition; the more likely to work, the better.
    if ((learned || prior) && chance < least) return -1e300 * (2 - chance);
    const { mean, variance } = process.at(encode(values));
    const log =
      beta === undefined
        ? logExpectedImprovement(mean, variance, lowest) + Math.log(chance)
        : Math.sqrt(beta * variance) - mean;
    return cost ? log - costPower * cost.logOf(values) : log;
  };
  return climb(space, model.kept, score, evaluationsOf(model), context);
}

function evaluationsOf({ process }: Model): number {
  return Math.min(1200, Math.max(240, Math.round(6e7 / process.size ** 2)));
}

/**
 * By how much the best measured trial is above the minimum at most, in the objective's units: its upper confidence bound
 * less the lowest lower one of the space (Makarova et al. 2022, equation 2, with their β = 2 ln(D n² π² / 6δ) / 5 and
 * δ = 0.1). Undefined before 10 trials are measured.
 */
export function regretBound(
  space: SearchSpace,
  history: readonly TrialRecord[],
  context: SuggestContext,
): number | undefined {
  const { startUpTrials, maxPoints } = settings.parse({});
  const model = modelOf(space, history, startUpTrials, maxPoints);
  if (!model) return undefined;
  const { process, kept, unit, encode } = model;
  const dimensions = encode(kept[0].parameters).length;
  const beta = (2 * Math.log((dimensions * (kept.length * Math.PI) ** 2) / 0.6)) / 5;
  const bound = (values: Assignment, sign: 1 | -1): number => {
    const { mean, variance } = process.at(encode(values));
    return mean + sign * Math.sqrt(beta * variance);
  };
  const best = kept.reduce((least, { parameters }) => Math.min(least, bound(parameters, 1)), Infinity);
  const below = (values: Assignment) => -bound(values, -1);
  return unit * (best + below(climb(space, kept, below, evaluationsOf(model), context)));
}

/** Of measured trials the latest half of `most`, and the best others. */
function keep(known: readonly TrialRecord[], most: number): TrialRecord[] {
  if (known.length <= most) return [...known];
  const kept = new Set(known.slice(-Math.floor(most / 2)));
  for (const record of measuredBestFirst(known)) if (kept.size < most) kept.add(record);
  return [...kept].sort((a, b) => a.number - b.number);
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
  const leaders = measuredBestFirst(kept).slice(0, starts);
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
