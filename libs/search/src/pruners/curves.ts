/** Learning curves as pruners compare them: on examples seen, among trials of the same kind. */
import { own } from '@emotune/base';
import { z } from 'zod';
import type { TrialRecord } from '../history.js';
import type { Assignment, ParameterValue } from '../space.js';

/** One measurement. */
export interface CurvePoint {
  /** Training examples seen; rises along a curve. */
  readonly examples: number;
  /** One per objective, minimised. Undefined: not measured here. NaN or infinite: measured, and broken. */
  readonly values: readonly (number | undefined)[];
}

export interface TrialCurve {
  readonly number: number;
  /** `paused`: waits at a rung for its promotion. */
  readonly state: TrialRecord['state'] | 'paused';
  readonly parameters: Assignment;
  readonly points: readonly CurvePoint[];
  /** Objective by fold or evaluation shard, minimised. */
  readonly folds?: Readonly<Record<string, number>>;
  /** Examples seen at its last verdict: later points are new. Without it the last point alone is. */
  readonly judgedAt?: number;
}

/**
 * - `finish`: the curve has levelled out; what it reached is its result.
 * - `stop`: others are better; it counts less than a whole trial.
 * - `pause`: to be continued from its checkpoint if it is promoted.
 */
export interface Verdict {
  readonly decision: 'continue' | 'finish' | 'stop' | 'pause';
  readonly reason: string;
}

export const goOn = (reason: string): Verdict => ({ decision: 'continue', reason });

/** Trials are compared where these parameters agree: equal, or at most `factor` apart where there is one. */
const stratum = z.strictObject({ parameter: z.string().min(1), factor: z.number().min(1).optional() });

/** What all pruners that compare trials are told. */
export const comparison = {
  /** Examples seen before which nothing is stopped. */
  warmUp: z.number().min(0),
  strata: z.array(stratum).default([{ parameter: 'architecture' }, { parameter: 'learningRate', factor: 3 }]),
  /** Only curves that have not improved for so many measurements are stopped; 0: all. */
  patience: z.number().int().min(0).default(0),
};

export type Strata = readonly z.output<typeof stratum>[];

function agree(a: ParameterValue | undefined, b: ParameterValue | undefined, factor?: number): boolean {
  if (a === b) return true;
  if (factor === undefined || typeof a !== 'number' || typeof b !== 'number') return false;
  return Math.abs(Math.log(a / b)) <= Math.log(factor) * (1 + 1e-12);
}

/** The trials that `trial` may be compared with; not itself. */
export function peersOf(trial: TrialCurve, others: readonly TrialCurve[], strata: Strata): TrialCurve[] {
  return others.filter(
    (other) =>
      other.number !== trial.number &&
      strata.every(({ parameter, factor }) =>
        agree(own(trial.parameters, parameter), own(other.parameters, parameter), factor),
      ),
  );
}

/** A point at which every objective was measured, broken values as +∞. */
interface MeasuredPoint {
  readonly examples: number;
  readonly values: readonly number[];
}

function measured({ examples, values }: CurvePoint): MeasuredPoint | undefined {
  if (values.length === 0 || values.includes(undefined)) return undefined;
  return { examples, values: (values as number[]).map((v) => (Number.isFinite(v) ? v : Infinity)) };
}

export function measuredPoints(trial: TrialCurve): MeasuredPoint[] {
  return trial.points.map(measured).filter((point) => point !== undefined);
}

/** The first measured point at or beyond so many examples. */
export function firstFrom(trial: TrialCurve, examples: number): MeasuredPoint | undefined {
  for (const point of trial.points)
    if (point.examples >= examples) {
      const found = measured(point);
      if (found) return found;
    }
  return undefined;
}

/** Values at so many examples, between two points on the straight line; undefined where the curve does not reach. */
export function valuesAt(trial: TrialCurve, examples: number): readonly number[] | undefined {
  const after = firstFrom(trial, examples);
  if (!after || after.examples === examples) return after?.values;
  const before = measuredPoints(trial).findLast((point) => point.examples < examples);
  if (!before) return undefined;
  const share = (examples - before.examples) / (after.examples - before.examples);
  return after.values.map((value, i) => {
    const from = before.values[i];
    return from === Infinity || value === Infinity ? Infinity : from + share * (value - from);
  });
}

/** Whether no value is broken. */
export const isFinitePoint = ({ values }: MeasuredPoint) => !values.includes(Infinity);

/** Whether no objective became better by more than `minDelta` in the last `patience` points. */
export function stalled(points: readonly MeasuredPoint[], patience: number, minDelta = 0): boolean {
  if (points.length <= patience) return false;
  const before = points.slice(0, points.length - patience);
  const recent = points.slice(points.length - patience);
  return points[0].values.every((_, i) => {
    const best = Math.min(...before.map(({ values }) => values[i]));
    return recent.every(({ values }) => !(values[i] < best - minDelta));
  });
}

/** Values for people, four digits. */
export const short = (values: readonly number[]) => values.map((v) => Number(v.toPrecision(4))).join(', ');
