/** Random search: every active parameter drawn alone, evenly on its own scale. Needs no history. */
import { Rng } from '@emotune/base';
import {
  type Assignment,
  assign,
  gridSteps,
  gridValue,
  type NumericParameter,
  onlyValue,
  type Parameter,
  type ParameterValue,
  type SearchSpace,
} from '../space.js';

function drawNumber(parameter: NumericParameter, rng: Rng): number {
  const { kind, min, max, log } = parameter;
  if (log && kind === 'integer') {
    // Half a step beyond either end, so that the ends are as likely as their share of the logarithm.
    const [low, high] = [Math.log(min - 0.5), Math.log(max + 0.5)];
    return Math.min(max, Math.max(min, Math.round(Math.exp(low + (high - low) * rng.uniform()))));
  }
  if (log) {
    const value = Math.exp(Math.log(min) + (Math.log(max) - Math.log(min)) * rng.uniform());
    return Math.min(max, Math.max(min, value));
  }
  const steps = gridSteps(parameter);
  return steps === undefined ? min + (max - min) * rng.uniform() : gridValue(parameter, rng.int(steps + 1));
}

function draw(parameter: Parameter, rng: Rng): ParameterValue {
  const only = onlyValue(parameter);
  if (only !== undefined) return only;
  return parameter.kind === 'categorical'
    ? parameter.values[rng.int(parameter.values.length)]
    : drawNumber(parameter, rng);
}

/** The values of trial `trialNumber`: the same for the same seed, whatever came before. */
export function sampleRandom(space: SearchSpace, seed: number | string, trialNumber: number): Assignment {
  return assign(space, (parameter) => draw(parameter, Rng.of(seed, 'random', trialNumber, parameter.name)));
}
