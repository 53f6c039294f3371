/**
 * Bayesian optimisation with a Gaussian process, of numbers, categories and conditional parameters: each trial is where the
 * process promises most (`acquisition.ts`).
 */
import { z } from 'zod';
import { climb, modelOf, mostPromising } from '../acquisition.js';
import type { TrialRecord } from '../history.js';
import type { Sampler, SuggestContext } from '../sampler.js';
import type { Assignment, SearchSpace } from '../space.js';
import { random, randomDraws } from './random.js';

const settings = z.strictObject({
  /** Random trials first: until so many are measured, or half of them while the others run. */
  startUpTrials: z.number().int().min(1).default(10),
  /** The factor of the deviation in the confidence bound; without it expected improvement decides. */
  beta: z.number().min(0).max(1e6).optional(),
  maxPoints: z.number().int().min(10).max(2000).default(500),
  /** Least probability to work, as learned from infeasible trials; 0 leaves it unlearned. */
  minFeasibility: z.number().min(0).max(1).default(0.5),
  /** 0: whatever it costs, 1: improvement per cost. */
  costPower: z.number().min(0).max(1).default(0),
});

type GpSettings = z.output<typeof settings>;

function suggest(
  space: SearchSpace,
  history: readonly TrialRecord[],
  context: SuggestContext,
  settings: GpSettings,
): Assignment {
  return (
    mostPromising(space, history, context, settings, randomDraws(space, context)) ??
    random.suggest(space, history, context, {})
  );
}

/**
 * By how much the best measured trial is above the minimum at most, in the objective's units: its upper confidence bound
 * less the lowest lower one of the space (Makarova et al. 2022, equation 2, with their β = 2 ln(D n² π² / 6δ) / 5 and
 * δ = 0.1). Undefined before 10 trials are measured. Those that run have not shown yet what they narrow down.
 */
export function regretBound(
  space: SearchSpace,
  history: readonly TrialRecord[],
  context: SuggestContext,
): number | undefined {
  const ended = history.filter(({ state }) => state !== 'running');
  const model = modelOf(space, ended, context, settings.parse({}));
  if (!model) return undefined;
  const { process, kept, unit, encode } = model;
  const dimensions = encode(kept[0].parameters).length;
  const beta = (2 * Math.log((dimensions * (kept.length * Math.PI) ** 2) / 0.6)) / 5;
  const bound = (values: Assignment, sign: 1 | -1): number => {
    const { mean, variance } = process.at(encode(values));
    return mean + sign * Math.sqrt(beta * variance);
  };
  const best = kept.reduce((least, { parameters }) => Math.min(least, bound(parameters, 1)), Infinity);
  const below = (values: Assignment) => -bound(values, -1);
  return unit * (best + below(climb(model, space, below, randomDraws(space, context), context)));
}

export const gp: Sampler<GpSettings> = { settings, suggest };
