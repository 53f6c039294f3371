/** Random search: every active parameter drawn alone, evenly on its own scale. Needs no history. */
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

/** One value, evenly from a parameter's categories or along its line. */
function draw(parameter: Parameter, rng: Rng): ParameterValue {
  const only = onlyValue(parameter);
  if (only !== undefined) return only;
  if (parameter.kind === 'categorical') return parameter.values[rng.int(parameter.values.length)];
  const axis = new Axis(parameter);
  return axis.valueAt(axis.low + axis.width * rng.uniform());
}

/** The values follow from seed and trial number, whatever came before. */
export const random: Sampler<Record<string, never>> = {
  settings: z.strictObject({}),
  suggest: (space, _history, { seed, trialNumber }) =>
    assign(space, (parameter) => draw(parameter, Rng.of(seed, 'random', trialNumber, parameter.name))),
};

/** Values for one trial's choice, by the draw's number. */
export function randomDraws(space: SearchSpace, { seed, trialNumber }: SuggestContext) {
  return (draw: number): Assignment =>
    random.suggest(space, [], { seed: `${seed} ${trialNumber}`, trialNumber: draw }, {});
}
