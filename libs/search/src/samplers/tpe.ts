/**
 * Tree-structured Parzen estimator (Bergstra et al. 2011), multivariate: of candidates drawn from the density l of
 * the good trials, the one with the largest l(x)/g(x), g being the density of all others. As Optuna 5 does it, but for
 *
 * - a floor under the bandwidth where categories are sampled together with numbers: without it kernels shrink to
 *   points and a good numeric region is never tried with another category;
 * - infeasible trials: they belong to g whatever their number, and are never good;
 * - conditional spaces: parameters that exist under the same condition are sampled together, parents first, and
 *   each such group ranks the trials that have it among themselves.
 *
 * Running trials belong to g ("constant liar"), so that parallel trials keep apart.
 */
import { canonicalJson, Rng } from '@emotune/base';
import { z } from 'zod';
import { compareMeasured, lessonOf, type TrialRecord } from '../history.js';
import { type Encoding, encodingOf, ParzenEstimator } from '../parzen.js';
import type { Sampler } from '../sampler.js';
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
  /** Random trials first: until so many are measured or infeasible. */
  startUpTrials: z.number().int().min(1).default(10),
  /** Draws from l per suggestion. */
  candidates: z.number().int().min(1).max(10_000).default(24),
  /** Share of the measured trials that is good. */
  goodShare: z.number().gt(0).max(1).default(0.1),
  maxGood: z.number().int().min(1).default(25),
  priorWeight: z.number().gt(0).default(1),
  /** Factor of the floor under the bandwidth; without it 0.1 where categories and numbers are sampled together, else 0. */
  bandwidthFloor: z.number().min(0).max(1).optional(),
});

type TpeSettings = z.output<typeof settings>;

/** Parameters that are active together: same condition, or none. Parents' groups come first. */
function groupsOf(space: SearchSpace): Parameter[][] {
  const groups = new Map<string, Parameter[]>();
  for (const parameter of space.parameters) {
    const { condition } = parameter;
    const key = condition
      ? canonicalJson([condition.parameter, condition.values.map((v) => JSON.stringify(v)).sort()])
      : '';
    const group = groups.get(key);
    if (group) group.push(parameter);
    else groups.set(key, [parameter]);
  }
  return [...groups.values()];
}

/** The `count` best measured trials. */
function best(measured: readonly TrialRecord[], count: number): Set<TrialRecord> {
  const leaders: TrialRecord[] = [];
  for (const record of measured) {
    if (leaders.length === count && compareMeasured(record, leaders[count - 1]) >= 0) continue;
    let i = leaders.length;
    while (i > 0 && compareMeasured(record, leaders[i - 1]) < 0) i--;
    leaders.splice(i, 0, record);
    if (leaders.length > count) leaders.pop();
  }
  return new Set(leaders);
}

/** A record's values as numbers [D], or undefined where it lacks one or has one that the space does not allow. */
function encode(record: TrialRecord, encodings: readonly Encoding[]): number[] | undefined {
  const point: number[] = [];
  for (const { parameter, encode } of encodings) {
    if (!Object.hasOwn(record.parameters, parameter.name)) return undefined;
    const x = encode(record.parameters[parameter.name]);
    if (Number.isNaN(x)) return undefined;
    point.push(x);
  }
  return point;
}

/** Points [n][D] as columns [D][n]. */
function columnsOf(points: readonly (readonly number[])[], dimensions: number): Float64Array[] {
  return Array.from({ length: dimensions }, (_, d) => Float64Array.from(points, (point) => point[d]));
}

/** Values for a group of parameters that all have a choice [D], from trials that may teach something. */
function suggestGroup(
  encodings: readonly Encoding[],
  history: readonly TrialRecord[],
  rng: Rng,
  settings: TpeSettings,
): ParameterValue[] {
  const points = new Map<TrialRecord, number[]>();
  for (const record of history) {
    const point = encode(record, encodings);
    if (point) points.set(record, point);
  }
  const measured = [...points.keys()].filter((record) => lessonOf(record) === 'measured');
  const good = best(measured, Math.min(Math.ceil(settings.goodShare * measured.length), settings.maxGood));
  const [below, above]: [number[][], number[][]] = [[], []];
  for (const [record, point] of points) (good.has(record) ? below : above).push(point);

  const mixed =
    encodings.some((e) => e.parameter.kind === 'categorical') &&
    encodings.some((e) => e.parameter.kind !== 'categorical');
  const kernels = {
    priorWeight: settings.priorWeight,
    bandwidthFloor: settings.bandwidthFloor ?? (mixed ? 0.1 : 0),
  };
  const l = new ParzenEstimator(encodings, columnsOf(below, encodings.length), kernels);
  const g = new ParzenEstimator(encodings, columnsOf(above, encodings.length), kernels);
  let chosen: ParameterValue[] = [];
  let highest = -Infinity;
  for (let i = 0; i < settings.candidates; i++) {
    const candidate = l.sample(rng);
    const score = l.logDensity(candidate) - g.logDensity(candidate);
    if (i === 0 || score > highest) [chosen, highest] = [candidate, score];
  }
  return chosen;
}

function suggest(
  space: SearchSpace,
  history: readonly TrialRecord[],
  context: { readonly seed: number | string; readonly trialNumber: number },
  settings: TpeSettings,
): Assignment {
  const lessons = history.filter((record) => lessonOf(record) !== 'nothing');
  const finished = lessons.filter((record) => record.state !== 'running').length;
  if (finished < settings.startUpTrials) return random.suggest(space, history, context, {});

  const groupOf = new Map<Parameter, Parameter[]>();
  for (const group of groupsOf(space)) for (const parameter of group) groupOf.set(parameter, group);
  const values = new Map<Parameter, ParameterValue>();
  return assign(space, (parameter) => {
    const only = onlyValue(parameter);
    if (only !== undefined) return only;
    if (!values.has(parameter)) {
      const encodings = (groupOf.get(parameter) as Parameter[])
        .filter((p) => onlyValue(p) === undefined)
        .map(encodingOf);
      const rng = Rng.of(context.seed, 'tpe', context.trialNumber, parameter.name);
      const chosen = suggestGroup(encodings, lessons, rng, settings);
      encodings.forEach((e, d) => {
        values.set(e.parameter, chosen[d]);
      });
    }
    return values.get(parameter) as ParameterValue;
  });
}

export const tpe: Sampler<TpeSettings> = { settings, suggest };
