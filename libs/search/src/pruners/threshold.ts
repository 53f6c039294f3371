/** Stops a trial whose last objective is outside fixed bounds or not finite. */
import { z } from 'zod';
import { goOn, type TrialCurve, type Verdict } from './curves.js';
import type { Pruner } from './pruner.js';

const settings = z
  .strictObject({
    /** Which objective, from 0. */
    objective: z.number().int().min(0).default(0),
    lower: z.number().optional(),
    upper: z.number().optional(),
    /** Examples seen before which nothing is stopped. */
    warmUp: z.number().min(0).default(0),
  })
  .refine(({ lower, upper }) => lower !== undefined || upper !== undefined, {
    message: 'expected lower, upper or both',
  })
  .refine(({ lower = -Infinity, upper = Infinity }) => lower <= upper, {
    message: 'expected at most upper',
    path: ['lower'],
  });

type ThresholdSettings = z.output<typeof settings>;

function judge(trial: TrialCurve, _others: readonly TrialCurve[], settings: ThresholdSettings): Verdict {
  const { objective, lower = -Infinity, upper = Infinity, warmUp } = settings;
  const last = trial.points.findLast(({ values }) => values[objective] !== undefined);
  if (!last) return goOn('nothing measured yet');
  if (last.examples < warmUp) return goOn(`warm-up until ${warmUp} examples`);
  const value = last.values[objective] as number;
  if (Number.isFinite(value) && value >= lower && value <= upper) return goOn('within its bounds');
  return {
    decision: 'stop',
    reason: `objective ${value} at ${last.examples} examples: expected ${
      upper === Infinity
        ? `at least ${lower}`
        : lower === -Infinity
          ? `at most ${upper}`
          : `${lower} to ${upper}`
    }`,
  };
}

export const threshold: Pruner<ThresholdSettings> = { settings, judge };
