/**
 * Quasi-random search: points of a scrambled Sobol' sequence, which cover the space more evenly than random ones.
 * Each parameter has a dimension of its own, so conditions take nothing from the others' evenness; parameters beyond
 * the table's dimensions are random.
 */
import { Rng } from '@emotune/base';
import { z } from 'zod';
import { Axis } from '../axis.js';
import type { Sampler } from '../sampler.js';
import { OwenScrambling, sobol as point, sobolDimensions } from '../sobol.js';
import { assign, onlyValue, type Parameter, type ParameterValue } from '../space.js';

function valueAtShare(parameter: Parameter, u: number): ParameterValue {
  if (parameter.kind === 'categorical') return parameter.values[Math.floor(u * parameter.values.length)];
  const axis = new Axis(parameter);
  return axis.valueAt(axis.low + axis.width * u);
}

/** The point follows from seed and trial number, whatever came before. */
export const sobol: Sampler<Record<string, never>> = {
  settings: z.strictObject({}),
  suggest: (space, _history, { seed, trialNumber }) => {
    const scrambling = new OwenScrambling(Rng.of(seed, 'sobol'));
    const free = space.parameters.filter((parameter) => onlyValue(parameter) === undefined);
    const dimension = new Map(free.map((parameter, d) => [parameter, d]));
    return assign(space, (parameter) => {
      const d = dimension.get(parameter);
      if (d === undefined) return onlyValue(parameter) as ParameterValue;
      return valueAtShare(
        parameter,
        d < sobolDimensions
          ? scrambling.apply(point(trialNumber, d), d)
          : Rng.of(seed, 'sobol', trialNumber, parameter.name).uniform(),
      );
    });
  },
};
