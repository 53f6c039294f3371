/**
 * Stops a trial whose best value so far is worse than a percentile of whole trials at as many examples (Golovin et
 * al. 2017, "Google Vizier", section 3.2; with the rule of Optuna's PercentilePruner). With several objectives: a
 * trial all of whose points are dominated by that share of the others.
 */
import { z } from 'zod';
import { dominates } from '../fronts.js';
import {
  comparison,
  goOn,
  isFinitePoint,
  measuredPoints,
  peersOf,
  short,
  stalled,
  type TrialCurve,
  type Verdict,
  valuesAt,
} from './curves.js';
import type { Pruner } from './pruner.js';

const common = {
  ...comparison,
  /** Whole trials to compare with, at least. */
  startUpTrials: z.number().int().min(1).default(5),
};

const settings = z.strictObject({
  ...common,
  /** Share of the others, best first, that a trial has to be among: 25 keeps the best quarter. */
  percentile: z.number().gt(0).lt(100),
});

type PercentileSettings = z.output<typeof settings>;

/** The percentile with linear interpolation between neighbours, of ascending values. */
function percentileOf(values: readonly number[], percentile: number): number {
  const place = ((values.length - 1) * percentile) / 100;
  const below = values[Math.floor(place)];
  const above = values[Math.ceil(place)];
  return below === above ? below : below + (place % 1) * (above - below);
}

function judge(trial: TrialCurve, others: readonly TrialCurve[], settings: PercentileSettings): Verdict {
  const points = measuredPoints(trial);
  const last = points.at(-1);
  if (!last) return goOn('nothing measured yet');
  const { examples } = last;
  if (examples < settings.warmUp) return goOn(`warm-up until ${settings.warmUp} examples`);
  const peers = peersOf(trial, others, settings.strata)
    .filter(({ state }) => state === 'succeeded')
    .map((peer) => valuesAt(peer, examples))
    .filter((values) => values !== undefined && !values.includes(Infinity)) as (readonly number[])[];
  if (peers.length < settings.startUpTrials)
    return goOn(`${peers.length} trials like it have come to ${examples} examples, too few to compare with`);
  const finite = points.filter(isFinitePoint);
  if (finite.length === 0)
    return { decision: 'stop', reason: `no finite objective in ${points.length} measurements` };
  if (settings.patience > 0 && !stalled(points, settings.patience)) return goOn('it still improves');

  if (last.values.length === 1) {
    const best = Math.min(...finite.map(({ values }) => values[0]));
    const limit = percentileOf(
      peers.map(([value]) => value).sort((a, b) => a - b),
      settings.percentile,
    );
    const compared = `${short([limit])}, percentile ${settings.percentile} of ${peers.length} trials like it at ${examples} examples`;
    return best > limit
      ? { decision: 'stop', reason: `its best ${short([best])} is worse than ${compared}` }
      : goOn(`its best ${short([best])} is not worse than ${compared}`);
  }
  const beating = peers.filter((peer) => finite.every(({ values }) => dominates(peer, values))).length;
  const reason = `${beating} of ${peers.length} trials like it dominate all of its points at ${examples} examples`;
  return beating > (peers.length * settings.percentile) / 100 ? { decision: 'stop', reason } : goOn(reason);
}

export const percentile: Pruner<PercentileSettings> = { settings, judge };

const medianSettings = z.strictObject(common);

export const median: Pruner<z.output<typeof medianSettings>> = {
  settings: medianSettings,
  judge: (trial, others, settings) => judge(trial, others, { ...settings, percentile: 50 }),
};
