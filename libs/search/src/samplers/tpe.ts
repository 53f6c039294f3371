/**
 * Tree-structured Parzen estimator (Bergstra et al. 2011), multivariate: of candidates drawn from the density l of
 * the good trials, the one with the largest l(x)/g(x), g being the density of all others. As Optuna 5 does it, but for
 *
 * - a floor under the bandwidth where categories are sampled together with numbers: without it kernels shrink to
 *   points and a good numeric region is never tried with another category;
 * - infeasible trials: they belong to g whatever their number, and are never good;
 * - conditional spaces: parameters that exist under the same condition are sampled together, parents first, and
 *   each such group ranks the trials that have it among themselves;
 * - numeric spaces: every other trial samples each parameter by itself, which puts good coordinates of different
 *   trials together.
 *
 * Trials that violate constraints are good only after all others, by how much they violate them; of several objectives
 * the good ones are the first fronts. Running trials belong to g ("constant liar"), so that parallel trials keep apart.
 */
import { canonicalJson, Rng } from '@emotune/base';
import { z } from 'zod';
import { bestMeasured } from '../fronts.js';
import { compareMeasured, lessonOf, objectivesOf, type TrialRecord } from '../history.js';
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
  /** Share of trials that sample every parameter by itself; without it 0.5 where all are numbers, else 0. */
  independentShare: z.number().min(0).max(1).optional(),
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

/** Observations of a group of parameters: those records that have them all, with values that the space allows. */
class Observations {
  readonly records: TrialRecord[] = [];
  /** [D][n] */
  readonly columns: readonly Float64Array[];

  constructor(encodings: readonly Encoding[], history: readonly TrialRecord[]) {
    const columns = encodings.map(() => new Float64Array(history.length));
    for (const record of history) {
      const { parameters } = record;
      const row = this.records.length;
      let d = 0;
      for (; d < encodings.length; d++) {
        const { parameter, encode } = encodings[d];
        if (!Object.hasOwn(parameters, parameter.name)) break;
        const x = encode(parameters[parameter.name]);
        if (Number.isNaN(x)) break;
        columns[d][row] = x;
      }
      if (d === encodings.length) this.records.push(record);
    }
    this.columns = columns.map((column) => column.subarray(0, this.records.length));
  }

  /** Columns of the records that `good` holds, and of all others. */
  split(good: ReadonlySet<TrialRecord>): { below: Float64Array[]; above: Float64Array[] } {
    const below: number[] = [];
    const above: number[] = [];
    this.records.forEach((record, row) => {
      (good.has(record) ? below : above).push(row);
    });
    const take = (rows: readonly number[]) =>
      this.columns.map((column) => Float64Array.from(rows, (row) => column[row]));
    return { below: take(below), above: take(above) };
  }
}

/** Good trials of several objectives come by front and have no limit in number, so that the front is kept whole. */
function goodOf(measured: readonly TrialRecord[], { goodShare, maxGood }: TpeSettings): Set<TrialRecord> {
  const count = Math.ceil(goodShare * measured.length);
  const several = measured.some((record) => objectivesOf(record).length > 1);
  return several ? new Set(bestMeasured(measured, count)) : best(measured, Math.min(count, maxGood));
}

/** Values for a group of parameters that all have a choice [D], from trials that may teach something. */
function suggestGroup(
  encodings: readonly Encoding[],
  history: readonly TrialRecord[],
  rng: Rng,
  settings: TpeSettings,
): ParameterValue[] {
  const observations = new Observations(encodings, history);
  const measured = observations.records.filter((record) => lessonOf(record) === 'measured');
  const { below, above } = observations.split(goodOf(measured, settings));

  const mixed =
    encodings.some((e) => e.parameter.kind === 'categorical') &&
    encodings.some((e) => e.parameter.kind !== 'categorical');
  const kernels = {
    priorWeight: settings.priorWeight,
    bandwidthFloor: settings.bandwidthFloor ?? (mixed ? 0.1 : 0),
  };
  const l = new ParzenEstimator(encodings, below, kernels);
  const g = new ParzenEstimator(encodings, above, kernels);
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

  const chance = Rng.of(context.seed, 'tpe', context.trialNumber).uniform();
  const groupOf = new Map<Parameter, Parameter[]>();
  for (const group of groupsOf(space)) {
    const numeric = group.every(({ kind }) => kind !== 'categorical');
    const alone = chance < (settings.independentShare ?? (numeric ? 0.5 : 0));
    for (const parameter of group) groupOf.set(parameter, alone ? [parameter] : group);
  }
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
