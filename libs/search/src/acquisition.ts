/**
 * Where a Gaussian process of the objective promises most: where the expected improvement (Jones, Schonlau, Welch 1998) is
 * largest, in logarithms (Ament et al. 2023, section 4.1), or, with `beta`, where the confidence bound μ − √β·σ is lowest
 * (Srinivas et al. 2010). Improvement is over the lowest mean at a trial, so that noise that was lucky is no bar.
 *
 * The improvement is weighted by the probability to work (Schonlau, Welch, Jones 1998), and where failures are more than few, values
 * that are less likely to than `minFeasibility` are passed over, but none as likely to as the best trials were. With `costPower` the improvement is divided by that power of the predicted cost
 * (1: improvement per cost, Snoek, Larochelle, Adams 2012, section 3.2). Of running trials outcomes are drawn, and the improvement
 * is the mean over them of that beyond each (section 3.2 there, "fantasies"), so that parallel trials keep apart. None gets the values
 * of another that runs, was measured or failed where there are others. Beyond `maxPoints` the best half and the latest half are
 * kept, which bounds time and memory.
 */
import { Rng } from '@emotune/base';
import { Axis } from './axis.js';
import { keyOf } from './combinations.js';
import { learnedCost } from './cost.js';
import { cautionAfter, lateFailures, learnedFeasibility } from './feasibility.js';
import { GaussianProcess, type Prediction } from './gaussian-process.js';
import {
  lessonOf,
  measuredBestFirst,
  objectivesOf,
  type TrialRecord,
  triedIn,
  violationOf,
} from './history.js';
import type { Inputs } from './matern.js';
import { logCdf, logPdf } from './normal.js';
import type { SuggestContext } from './sampler.js';
import {
  type Assignment,
  allows,
  assign,
  gridSteps,
  gridValue,
  onlyValue,
  type Parameter,
  type ParameterValue,
  type SearchSpace,
} from './space.js';
import { featuresOf, fitOnSome, standardised } from './surrogate.js';

interface ModelSettings {
  /** Measured trials without which there is no process, or half as many where those that run make up for the others. */
  readonly startUpTrials: number;
  /** Measured trials that the process is made from at most, and as many running ones. */
  readonly maxPoints: number;
}

interface AcquisitionSettings extends ModelSettings {
  /** The factor of the deviation in the confidence bound; without it expected improvement decides. */
  readonly beta?: number | undefined;
  /** Least probability to work, as learned from infeasible trials; 0 leaves it unlearned. */
  readonly minFeasibility: number;
  /** 0: whatever it costs, 1: improvement per cost. */
  readonly costPower: number;
}

/** Points that are improved step by step. */
const starts = 4;

/** Of the latest 20 trials: so many failures are no reason to be cautious. */
const fewFailures = 1;

/** Outcomes of what runs that are drawn, an even number: with each the opposite one. */
const outcomes = 16;

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

/** log of the mean over outcomes [S] of the expected improvement on the best of each. */
function logMeanImprovement(means: Float64Array, variance: number, best: Float64Array): number {
  if (means.length === 1) return logExpectedImprovement(means[0], variance, best[0]);
  const logs = means.map((mean, s) => logExpectedImprovement(mean, variance, best[s]));
  const most = logs.reduce((a, b) => Math.max(a, b));
  return most + Math.log(logs.reduce((sum, log) => sum + Math.exp(log - most), 0) / logs.length);
}

/** How much a fall of the mean of each outcome [S] adds to the mean improvement, beside what a rise of the deviation adds. */
function improvementWeights(means: Float64Array, variance: number, best: Float64Array): Float64Array {
  const u = means.map((mean, s) => (best[s] - mean) / Math.sqrt(variance));
  const logPdfs = u.map(logPdf);
  const most = logPdfs.reduce((a, b) => Math.max(a, b));
  const logOfDeviation = most + Math.log(logPdfs.reduce((sum, log) => sum + Math.exp(log - most), 0));
  // Where improvement is sure the deviation adds nothing.
  return u.map((us) => Math.exp(Math.min(600, logCdf(us) - logOfDeviation)));
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

export interface Model {
  readonly process: GaussianProcess;
  /** Trials that it is made from, without running ones. */
  readonly kept: readonly TrialRecord[];
  /** The length of one unit of the targets, in the objective's units. */
  readonly unit: number;
  encode(values: Assignment): Float64Array;
}

/** The process after a history; undefined where too few trials are measured or the space has no choice. */
export function modelOf(
  space: SearchSpace,
  history: readonly TrialRecord[],
  { seed, trialNumber }: SuggestContext,
  { startUpTrials, maxPoints }: ModelSettings,
): Model | undefined {
  const { categorical, pairs, encode } = featuresOf(space);
  const allowed = history.filter((record) => allows(space, record.parameters));
  const measured = allowed.filter((record) => lessonOf(record) === 'measured');
  const running = allowed.filter((record) => record.state === 'running').slice(-maxPoints);
  // Parallel trials that end one by one would otherwise be random until twice as many have been asked for.
  const known = measured.length + Math.min(running.length, measured.length);
  if (categorical.length === 0 || known < startUpTrials) return undefined;
  const kept = keep(measured, maxPoints);
  const target = (record: TrialRecord) => objectivesOf(record)[0];
  const worst = measured.reduce((most, record) => Math.max(most, target(record)), -Infinity);
  const { y, unit } = standardised(kept.map((r) => (violationOf(r) === 0 ? target(r) : worst)));
  const inputs: Inputs = { categorical, pairs, rows: kept.map((record) => encode(record.parameters)) };
  const theta = fitOnSome(inputs, y);
  if (running.length === 0) return { process: new GaussianProcess(inputs, y, theta), kept, unit, encode };
  const rows = running.map((record) => encode(record.parameters));
  const rng = Rng.of(seed, 'outcomes', trialNumber);
  const draws = Array.from({ length: outcomes / 2 }, () => Float64Array.from(rows, () => rng.normal()));
  const opposite = draws.map((draw) => draw.map((z) => -z));
  const process = new GaussianProcess(inputs, y, theta, { rows, draws: [...draws, ...opposite] });
  return { process, kept, unit, encode };
}

/** Values drawn for a trial's choice, by the draw's number. */
type Draws = (draw: number) => Assignment;

/**
 * The values of the largest acquisition that are found, starting from the best trials and from draws. Undefined where too few
 * trials are measured or the space has no choice.
 */
export function mostPromising(
  space: SearchSpace,
  history: readonly TrialRecord[],
  context: SuggestContext,
  { startUpTrials, maxPoints, beta, minFeasibility, costPower }: AcquisitionSettings,
  draws: Draws,
): Assignment | undefined {
  const model = modelOf(space, history, context, { startUpTrials, maxPoints });
  if (!model) return undefined;
  const { process, encode } = model;
  const { lowest } = process;
  const learned = minFeasibility > 0 ? learnedFeasibility(space, history) : undefined;
  const prior = context.feasibility;
  const chanceOf = (values: Assignment) => (learned?.(values) ?? 1) * (prior?.(values) ?? 1);
  const leaders = measuredBestFirst(model.kept).slice(0, starts);
  // While hardly any trial fails, what promises much may be unlikely to work: the best often lies at the wall.
  const least =
    beta === undefined && lateFailures(history) <= fewFailures
      ? 0
      : Math.min(
          cautionAfter(history, minFeasibility, fewFailures + 2),
          // What is as likely to work as the best trials were is not passed over, whatever failed.
          Math.max(...leaders.map(({ parameters }) => chanceOf(parameters))),
        );
  const cost = costPower > 0 ? learnedCost(space, history) : undefined;
  const tried = new Set(triedIn(history).map(({ parameters }) => keyOf(space, parameters)));
  const scoreOf = (values: Assignment, predicted?: Prediction): number => {
    if (tried.has(keyOf(space, values))) return -Number.MAX_VALUE;
    const chance = chanceOf(values);
    // Below every value of the acquisition; the more likely to work, the better.
    if (chance < least || (prior && prior(values) < minFeasibility)) return -1e300 * (2 - chance);
    const { mean, variance, means } = predicted ?? process.at(encode(values));
    const log =
      beta === undefined
        ? logMeanImprovement(means, variance, lowest) + Math.log(chance)
        : Math.sqrt(beta * variance) - mean;
    return cost ? log - costPower * cost.logOf(values) : log;
  };
  const weightsOf = ({ means, variance }: Prediction): Float64Array =>
    beta === undefined
      ? improvementWeights(means, variance, lowest)
      : means.map(() => 1 / (Math.sqrt(beta) * means.length));
  const rng = Rng.of(context.seed, 'gp, refined', context.trialNumber);
  return climb(model, space, scoreOf, draws, context, (point) => {
    for (let round = 0; round < refinements; round++) {
      sweep(space, point, scoreOf, draws, rng);
      polish(model, space, point, scoreOf, weightsOf);
    }
  });
}

/** Rounds of sweeps over what is discrete and of steps along what is not. */
const refinements = 2;
/** Steps along the gradient in each. */
const polishSteps = 18;
/** Categories or neighbours of a value that a sweep tries at most. */
const sweptValues = 6;

interface Point {
  values: Assignment;
  score: number;
}

/** Values a sweep tries in place of one: other categories, or the neighbours on a grid. */
function alternatives(parameter: Parameter, value: ParameterValue, rng: Rng): ParameterValue[] {
  if (parameter.kind === 'categorical')
    return rng
      .shuffle(parameter.values)
      .filter((other) => other !== value)
      .slice(0, sweptValues);
  const steps = gridSteps(parameter);
  if (steps === undefined) return [];
  const k = Math.round(((value as number) - parameter.min) / (parameter.step as number));
  return [k - 1, k + 1, k - 2, k + 2]
    .filter((other) => other >= 0 && other <= steps)
    .map((other) => gridValue(parameter, other));
}

/** Improves a point by changing one discrete value after the other; what comes to be active by that is drawn. */
function sweep(
  space: SearchSpace,
  point: Point,
  scoreOf: (values: Assignment) => number,
  draws: Draws,
  rng: Rng,
): void {
  for (const parameter of space.parameters) {
    if (!Object.hasOwn(point.values, parameter.name) || onlyValue(parameter) !== undefined) continue;
    const { values } = point;
    for (const value of alternatives(parameter, values[parameter.name], rng)) {
      const drawn = draws(rng.int(1e6));
      const other = assign(space, (p) => {
        if (p === parameter) return value;
        if (Object.hasOwn(values, p.name)) return values[p.name];
        return Object.hasOwn(drawn, p.name) ? drawn[p.name] : middleOf(p);
      });
      const score = scoreOf(other);
      if (score > point.score) Object.assign(point, { values: other, score });
    }
  }
}

function middleOf(parameter: Parameter): ParameterValue {
  const only = onlyValue(parameter);
  if (only !== undefined) return only;
  if (parameter.kind === 'categorical') return parameter.values[0];
  const axis = new Axis(parameter);
  return axis.valueAt(axis.low + axis.width / 2);
}

/** Improves a point along its continuous numbers, by the signs of the acquisition's gradient (iRprop⁻). */
function polish(
  { process, encode }: Model,
  space: SearchSpace,
  point: Point,
  scoreOf: (values: Assignment, predicted: Prediction) => number,
  weightsOf: (predicted: Prediction) => Float64Array,
): void {
  const free = space.parameters.filter((p) => onlyValue(p) === undefined);
  const axes = free.map((p) =>
    p.kind !== 'categorical' && p.step === undefined && Object.hasOwn(point.values, p.name)
      ? new Axis(p)
      : undefined,
  );
  if (axes.every((axis) => axis === undefined)) return;
  let values = point.values;
  const x = encode(values);
  const step = new Float64Array(x.length).fill(0.03);
  const before = new Float64Array(x.length);
  for (let i = 0; i < polishSteps; i++) {
    const predicted = process.gradientAt(x, weightsOf);
    if (i > 0) {
      const score = scoreOf(values, predicted);
      if (score > point.score) Object.assign(point, { values, score });
    }
    const deviation = Math.sqrt(predicted.variance);
    const moved: Record<string, number> = {};
    axes.forEach((axis, d) => {
      if (!axis) return;
      let slope = predicted.varianceSlopes[d] / (2 * deviation) - predicted.meanSlopes[d];
      const turn = slope * before[d];
      if (turn > 0) step[d] = Math.min(0.2, step[d] * 1.4);
      else if (turn < 0) {
        step[d] *= 0.4;
        slope = 0;
      }
      before[d] = slope;
      x[d] = Math.min(1, Math.max(0, x[d] + Math.sign(slope) * step[d]));
      moved[axis.parameter.name] = axis.valueAt(axis.low + axis.width * x[d]);
    });
    values = { ...values, ...moved };
  }
}

/** The measured trials to learn from: the latest half of `most`, and the best others. */
function keep(known: readonly TrialRecord[], most: number): TrialRecord[] {
  if (known.length <= most) return [...known];
  const kept = new Set(known.slice(-Math.floor(most / 2)));
  for (const record of measuredBestFirst(known)) if (kept.size < most) kept.add(record);
  return [...kept].sort((a, b) => a.number - b.number);
}

/** The best values by `score` that are found from the best trials and draws, uphill from the best of them, and refined. */
export function climb(
  { process, kept }: Model,
  space: SearchSpace,
  score: (values: Assignment) => number,
  draws: Draws,
  { seed, trialNumber }: SuggestContext,
  refine: (point: Point) => void = () => {},
): Assignment {
  const evaluations = Math.min(500, Math.max(240, Math.round(2e7 / process.size ** 2)));
  const rng = Rng.of(seed, 'gp', trialNumber);
  const leaders = measuredBestFirst(kept).slice(0, starts);
  const first = Math.floor((2 * evaluations) / 3);
  const found: Point[] = Array.from({ length: first }, (_, i) => {
    const values =
      i % 3 === 0 ? near(space, leaders[i % leaders.length].parameters, 0.05 / (1 + (i % 7)), rng) : draws(i);
    return { values, score: score(values) };
  })
    .sort((a, b) => b.score - a.score)
    .slice(0, starts);
  const rounds = Math.floor((evaluations - first) / found.length);
  for (const point of found) {
    for (let i = 0, step = 0.1; i < rounds; i++) {
      const values = near(space, point.values, step, rng);
      const value = score(values);
      if (value > point.score) {
        point.values = values;
        point.score = value;
        step = Math.min(0.2, step * 1.5);
      } else step = Math.max(1e-4, step * 0.93);
    }
    refine(point);
  }
  return found.reduce((a, b) => (b.score > a.score ? b : a)).values;
}
