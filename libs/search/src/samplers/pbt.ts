/**
 * Population based training (Jaderberg et al. 2017, "Population based training of neural networks", section 3) as a
 * sampler: trials come in generations of `population`, and each goes on from a checkpoint of the generation before. Where
 * its own forerunner is among the best, it keeps that one's values and checkpoint; where it is among the worst, infeasible
 * or not yet measured, it takes over those of one of the best (exploit, by truncation) and moves the values (explore).
 *
 * A trial's place follows from how many trials that teach something have smaller numbers.
 */
import { Rng } from '@emotune/base';
import { z } from 'zod';
import { Axis } from '../axis.js';
import { bestMeasured } from '../fronts.js';
import { lessonOf, type TrialRecord } from '../history.js';
import type { Sampler, SuggestContext } from '../sampler.js';
import {
  type Assignment,
  allows,
  assign,
  onlyValue,
  type ParameterValue,
  type SearchSpace,
} from '../space.js';
import { random } from './random.js';

const settings = z.strictObject({
  /** Trials of a generation. */
  population: z.number().int().min(2).max(1000).default(10),
  /** Share of a generation that is best, and that is worst. */
  truncation: z.number().gt(0).max(0.5).default(0.25),
  /** How far a number moves, as a share of its range. */
  perturbation: z.number().gt(0).max(1).default(0.1),
  /** Chance of each value to be drawn anew. */
  resample: z.number().min(0).max(1).default(0.25),
});

type PbtSettings = z.output<typeof settings>;

/** The trial to go on from, and whether its values are kept. */
interface Forerunner {
  readonly record: TrialRecord;
  readonly kept: boolean;
}

/** Trials with a place in a generation, in order. Those of other experiments have left no checkpoint here. */
function membersOf(space: SearchSpace, history: readonly TrialRecord[]): TrialRecord[] {
  return history.filter((r) => r.number >= 0 && lessonOf(r) !== 'nothing' && allows(space, r.parameters));
}

function membersBefore(
  space: SearchSpace,
  history: readonly TrialRecord[],
  { trialNumber }: SuggestContext,
): TrialRecord[] {
  return membersOf(space, history).filter(({ number }) => number < trialNumber);
}

/** The number and the measured members of the last whole generation of which something is known. */
function lastKnown(
  members: readonly TrialRecord[],
  population: number,
): { readonly generation: number; readonly measured: readonly TrialRecord[] } | undefined {
  for (let generation = Math.floor(members.length / population) - 1; generation >= 0; generation--) {
    const measured = members
      .slice(generation * population, (generation + 1) * population)
      .filter((record) => lessonOf(record) === 'measured');
    if (measured.length > 0) return { generation, measured };
  }
  return undefined;
}

function forerunner(
  space: SearchSpace,
  history: readonly TrialRecord[],
  context: SuggestContext,
  { population, truncation }: PbtSettings,
): Forerunner | undefined {
  const members = membersBefore(space, history, context);
  const before = lastKnown(members, population);
  if (!before) return undefined;
  const ranked = bestMeasured(before.measured, population);
  const share = Math.max(1, Math.floor(truncation * ranked.length));
  const own = members[before.generation * population + (members.length % population)];
  const rank = ranked.indexOf(own);
  if (rank >= 0 && (rank < share || rank < ranked.length - share)) return { record: own, kept: true };
  const chosen = Rng.of(context.seed, 'pbt', context.trialNumber, 'exploit').int(share);
  return { record: ranked[chosen], kept: false };
}

/** Values near others, each moved by `perturbation` to either side or drawn anew. */
function explored(
  space: SearchSpace,
  values: Assignment,
  { seed, trialNumber }: SuggestContext,
  { perturbation, resample }: PbtSettings,
): Assignment {
  return assign(space, (parameter): ParameterValue => {
    const only = onlyValue(parameter);
    if (only !== undefined) return only;
    const rng = Rng.of(seed, 'pbt', trialNumber, parameter.name);
    const anew = rng.uniform() < resample || !Object.hasOwn(values, parameter.name);
    if (parameter.kind === 'categorical')
      return anew ? parameter.values[rng.int(parameter.values.length)] : values[parameter.name];
    const axis = new Axis(parameter);
    if (anew) return axis.valueAt(axis.low + axis.width * rng.uniform());
    const old = values[parameter.name] as number;
    const sign = rng.uniform() < 0.5 ? -1 : 1;
    const moved = Math.min(axis.high, Math.max(axis.low, axis.place(old) + sign * perturbation * axis.width));
    const value = axis.valueAt(moved);
    if (value !== old || !axis.discrete) return value;
    // Less than half a step: to the next value of the grid.
    const [from, to] = axis.stretch(old);
    return axis.valueAt(sign < 0 ? from - (to - from) / 2 : to + (to - from) / 2);
  });
}

export const pbt: Sampler<PbtSettings> = {
  settings,
  suggest: (space, history, context, settings) => {
    const from = forerunner(space, history, context, settings);
    if (!from) return random.suggest(space, history, context, {});
    return from.kept ? from.record.parameters : explored(space, from.record.parameters, context, settings);
  },
  lineage: {
    origin: (space, history, context, settings) =>
      forerunner(space, history, context, settings)?.record.number,
    // Whom a generation is made from is known when all of the one before have ended.
    waits: (space, history, context, { population }) => {
      const members = membersBefore(space, history, context);
      const begun = members.length - (members.length % population);
      return members.slice(Math.max(0, begun - population), begun).some((r) => lessonOf(r) === 'running');
    },
    oldestOrigin: (space, history, { population }) => {
      const members = membersOf(space, history);
      // Up to the first that runs, nobody's place changes any more.
      const running = members.findIndex((r) => lessonOf(r) === 'running');
      const settled = running < 0 ? members : members.slice(0, running);
      const before = lastKnown(settled, population);
      return before ? settled[before.generation * population].number : 0;
    },
    longest: (trials, { population }) => Math.ceil(trials / population),
  },
};
