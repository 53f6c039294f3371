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

function forerunner(
  space: SearchSpace,
  history: readonly TrialRecord[],
  { seed, trialNumber }: SuggestContext,
  { population, truncation }: PbtSettings,
): Forerunner | undefined {
  const members = history.filter(
    (r) => r.number < trialNumber && lessonOf(r) !== 'nothing' && allows(space, r.parameters),
  );
  const generation = Math.floor(members.length / population);
  const measuredOf = (g: number) =>
    members.slice(g * population, (g + 1) * population).filter((record) => lessonOf(record) === 'measured');
  // A generation of which nothing is known is passed over.
  let before = generation - 1;
  while (before >= 0 && measuredOf(before).length === 0) before--;
  if (before < 0) return undefined;
  const ranked = bestMeasured(measuredOf(before), population);
  const share = Math.max(1, Math.floor(truncation * ranked.length));
  const own = members[before * population + (members.length % population)];
  const rank = ranked.indexOf(own);
  if (rank >= 0 && (rank < share || rank < ranked.length - share)) return { record: own, kept: true };
  const chosen = Rng.of(seed, 'pbt', trialNumber, 'exploit').int(share);
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
  origin: (space, history, context, settings) => forerunner(space, history, context, settings)?.record.number,
};
