/** What figures of an experiment show: its course, slices, parallel coordinates, its front, and how sure its winner is. */

import { Axis } from './axis.js';
import { frontsOf } from './fronts.js';
import { compareMeasured, lessonOf, type TrialRecord } from './history.js';
import { mean } from './mean.js';
import { signedRankP } from './signed-rank.js';
import { onlyValue, type ParameterValue, type SearchSpace } from './space.js';

const measuredOf = (history: readonly TrialRecord[]) =>
  history.filter((record) => lessonOf(record) === 'measured') as (TrialRecord & { objective: number })[];

interface HistoryPoint {
  readonly number: number;
  readonly objective: number;
  /** Lowest of this and all whole trials before it; absent until one is whole. */
  readonly best?: number;
}

/** Measured trials in their order, with the best until then. */
export function optimizationHistory(history: readonly TrialRecord[]): HistoryPoint[] {
  let best: number | undefined;
  return measuredOf(history).map(({ number, objective, state }) => {
    if (state === 'succeeded') best = Math.min(best ?? objective, objective);
    return { number, objective, ...(best === undefined ? {} : { best }) };
  });
}

interface Slice {
  readonly parameter: string;
  readonly log: boolean;
  readonly points: readonly {
    readonly number: number;
    readonly value: ParameterValue;
    readonly objective: number;
  }[];
}

/** Objectives over the values of each parameter that has a choice. */
export function slices(space: SearchSpace, history: readonly TrialRecord[]): Slice[] {
  return space.parameters
    .filter((parameter) => onlyValue(parameter) === undefined)
    .map((parameter) => ({
      parameter: parameter.name,
      log: parameter.kind !== 'categorical' && parameter.log,
      points: measuredOf(history)
        .filter(({ parameters }) => Object.hasOwn(parameters, parameter.name))
        .map(({ number, parameters, objective }) => ({
          number,
          value: parameters[parameter.name],
          objective,
        })),
    }));
}

interface ParallelCoordinates {
  readonly axes: readonly string[];
  /** Places from 0 to 1 on each axis, by the parameter's own scale; null where the trial has no such parameter. */
  readonly lines: readonly {
    readonly number: number;
    readonly objective: number;
    readonly places: readonly (number | null)[];
  }[];
}

/** Measured trials as lines over the parameters that have a choice, the best last, to be drawn on top. */
export function parallelCoordinates(
  space: SearchSpace,
  history: readonly TrialRecord[],
): ParallelCoordinates {
  const parameters = space.parameters.filter((parameter) => onlyValue(parameter) === undefined);
  const placeOf = parameters.map((parameter): ((value: ParameterValue) => number) => {
    if (parameter.kind === 'categorical')
      return (value) => parameter.values.indexOf(value) / (parameter.values.length - 1);
    const axis = new Axis(parameter);
    const low = axis.place(parameter.min);
    const width = axis.place(parameter.max) - low;
    return (value) => (axis.place(value as number) - low) / width;
  });
  const lines = measuredOf(history)
    .sort((a, b) => compareMeasured(b, a))
    .map(({ number, objective, parameters: values }) => ({
      number,
      objective,
      places: parameters.map(({ name }, i) =>
        Object.hasOwn(values, name) ? placeOf[i](values[name]) : null,
      ),
    }));
  return { axes: parameters.map(({ name }) => name), lines };
}

/** Indexes of points that no other dominates, all minimised; equal points are all kept. Broken ones never are. */
export function paretoSet(points: readonly (readonly number[])[]): number[] {
  const whole = [...points.keys()].filter((i) => points[i].every(Number.isFinite));
  const [front = []] = frontsOf(
    whole.map((i) => points[i]),
    1,
  );
  return front.map((k) => whole[k]).sort((i, j) => i - j);
}

/** Volume that points dominate below a reference, all minimised: by slices along the last objective. */
export function hypervolume(points: readonly (readonly number[])[], reference: readonly number[]): number {
  const inside = points.filter((point) => point.every((value, i) => value < reference[i]));
  if (inside.length === 0) return 0;
  const d = reference.length - 1;
  if (d === 0) return reference[0] - Math.min(...inside.map(([value]) => value));
  const sorted = paretoSet(inside)
    .map((i) => inside[i])
    .sort((a, b) => a[d] - b[d]);
  let volume = 0;
  sorted.forEach((point, i) => {
    const height = (sorted[i + 1]?.[d] ?? reference[d]) - point[d];
    if (height === 0) return;
    const below = sorted.slice(0, i + 1).map((p) => p.slice(0, d));
    volume += height * hypervolume(below, reference.slice(0, d));
  });
  return volume;
}

interface Scores {
  readonly number: number;
  /** Objective by seed or fold, minimised. */
  readonly scores: Readonly<Record<string, number>>;
}

interface Comparison {
  readonly best: number;
  readonly runnerUp: number;
  /** Mean over what they share of how much lower the best is. */
  readonly difference: number;
  readonly shared: number;
  /** One-sided probability, by signed ranks, of a lead this consistent between equals. */
  readonly p: number;
}

/**
 * Whether the best trial leads the runner-up over the seeds, folds or subtasks that both have; undefined where there are
 * none.
 * @param ranked The best first. Trials without scores, or with one that is not finite, are passed over.
 */
export function bestAgainstRunnerUp(ranked: readonly Scores[]): Comparison | undefined {
  const [best, runnerUp] = ranked.filter(({ scores }) => {
    const values = Object.values(scores);
    return values.length > 0 && values.every(Number.isFinite);
  });
  if (!runnerUp) return undefined;
  const leads = Object.keys(best.scores)
    .filter((key) => Object.hasOwn(runnerUp.scores, key))
    .map((key) => runnerUp.scores[key] - best.scores[key]);
  if (leads.length === 0) return undefined;
  return {
    best: best.number,
    runnerUp: runnerUp.number,
    difference: mean(leads),
    shared: leads.length,
    p: signedRankP(leads),
  };
}
