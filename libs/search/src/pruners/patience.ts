/** Ends a trial whose curve has levelled out, unless it leads. Compares no learning curve with another. */
import { z } from 'zod';
import { dominates } from '../fronts.js';
import { goOn, isFinitePoint, measuredPoints, stalled, type TrialCurve, type Verdict } from './curves.js';
import type { Pruner } from './pruner.js';

const settings = z.strictObject({
  /** Measurements without improvement. */
  patience: z.number().int().min(1).default(5),
  /** An improvement is more than this. */
  minDelta: z.number().min(0).default(0),
  /** Examples seen before which nothing ends. */
  warmUp: z.number().min(0).default(0),
});

type PatienceSettings = z.output<typeof settings>;

function judge(trial: TrialCurve, others: readonly TrialCurve[], settings: PatienceSettings): Verdict {
  const points = measuredPoints(trial);
  const last = points.at(-1);
  if (!last) return goOn('nothing measured yet');
  if (last.examples < settings.warmUp) return goOn(`warm-up until ${settings.warmUp} examples`);
  if (!stalled(points, settings.patience, settings.minDelta)) return goOn('it still improves');
  const reason = `no improvement in ${settings.patience} measurements`;
  const finite = points.filter(isFinitePoint);
  if (finite.length === 0) return { decision: 'stop', reason: `${reason}, none of which was finite` };
  const rivals = others.filter(({ number }) => number !== trial.number).flatMap(measuredPoints);
  const beaten = finite.every(({ values }) => rivals.some((rival) => dominates(rival.values, values)));
  return beaten ? { decision: 'finish', reason } : goOn(`${reason}, but no trial is better`);
}

export const patience: Pruner<PatienceSettings> = { settings, judge };
