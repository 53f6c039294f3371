/**
 * Random search: every active parameter drawn alone, evenly on its own scale. Of a parameter with k categories, any k trials
 * in a row from a multiple of k on have them all, so that a few trials see each. Needs no history.
 */
import { Rng } from '@emotune/base';
import { z } from 'zod';
import { Axis } from '../axis.js';
import type { Sampler, SuggestContext } from '../sampler.js';
import {
  type Assignment,
  assign,
  onlyValue,
  type Parameter,
  type ParameterValue,
  type SearchSpace,
} from '../space.js';

type RngOf = (trialNumber: number) => Rng;

/**
 * A category that no earlier trial of the same k has drawn, each as likely as the others: an own draw, or where another has it,
 * one of those that are left.
 */
export function coveringDraw<T>(values: readonly T[], trialNumber: number, rngOf: RngOf): T {
  const begin = trialNumber - (trialNumber % values.length);
  let left = [...values];
  for (let number = begin; ; number++) {
    const rng = rngOf(number);
    const own = values[rng.int(values.length)];
    const drawn = left.includes(own) ? own : left[rng.int(left.length)];
    if (number === trialNumber) return drawn;
    left = left.filter((value) => value !== drawn);
  }
}

/** One value, from a parameter's categories or evenly along its line. */
function draw(parameter: Parameter, trialNumber: number, rngOf: RngOf): ParameterValue {
  const only = onlyValue(parameter);
  if (only !== undefined) return only;
  if (parameter.kind === 'categorical') return coveringDraw(parameter.values, trialNumber, rngOf);
  const axis = new Axis(parameter);
  return axis.valueAt(axis.low + axis.width * rngOf(trialNumber).uniform());
}

/** The values follow from seed and trial number, whatever came before. */
export const random: Sampler<Record<string, never>> = {
  settings: z.strictObject({}),
  suggest: (space, _history, { seed, trialNumber }) =>
    assign(space, (parameter) =>
      draw(parameter, trialNumber, (number) => Rng.of(seed, 'random', number, parameter.name)),
    ),
};

/** Values for one trial's choice, by the draw's number; each parameter alone, every category as likely as the others. */
export function randomDraws(space: SearchSpace, { seed, trialNumber }: SuggestContext) {
  const axes = new Map(space.parameters.map((p) => [p, p.kind === 'categorical' ? undefined : new Axis(p)]));
  return (number: number): Assignment => {
    const rng = Rng.of(seed, 'draw', trialNumber, number);
    return assign(space, (parameter) => {
      const only = onlyValue(parameter);
      if (only !== undefined) return only;
      if (parameter.kind === 'categorical') return parameter.values[rng.int(parameter.values.length)];
      const axis = axes.get(parameter) as Axis;
      return axis.valueAt(axis.low + axis.width * rng.uniform());
    });
  };
}
