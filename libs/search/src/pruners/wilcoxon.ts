/**
 * Stops a trial that is worse than the best whole trial on the folds they share, by Wilcoxon's signed-rank test; never
 * one whose mean over its folds is as good.
 */

import { z } from 'zod';
import { mean } from '../mean.js';
import { signedRankP } from '../signed-rank.js';
import { comparison, goOn, peersOf, short, type TrialCurve, type Verdict } from './curves.js';
import type { Pruner } from './pruner.js';

const settings = z.strictObject({
  strata: comparison.strata,
  /** Stops below this probability. */
  pThreshold: z.number().gt(0).lt(1).default(0.1),
  /** Shared folds, at least. */
  startUpFolds: z.number().int().min(2).default(2),
});

type WilcoxonSettings = z.output<typeof settings>;

function judge(trial: TrialCurve, others: readonly TrialCurve[], settings: WilcoxonSettings): Verdict {
  const folds = trial.folds ?? {};
  const names = Object.keys(folds).sort();
  const broken = names.find((name) => !Number.isFinite(folds[name]));
  if (broken !== undefined && names.length >= settings.startUpFolds)
    return { decision: 'stop', reason: `no finite objective of fold ${broken}` };
  const [best] = peersOf(trial, others, settings.strata)
    .filter(({ state, folds = {} }) => {
      const values = Object.values(folds);
      return state === 'succeeded' && values.length > 0 && values.every(Number.isFinite);
    })
    .map(({ number, folds = {} }) => ({ number, folds, mean: mean(Object.values(folds)) }))
    .sort((a, b) => a.mean - b.mean || a.number - b.number);
  if (!best) return goOn('no whole trial to compare with');
  const shared = names.filter((name) => Object.hasOwn(best.folds, name));
  if (shared.length < settings.startUpFolds)
    return goOn(`${shared.length} folds shared with trial ${best.number}`);
  const own = mean(names.map((name) => folds[name]));
  const p = signedRankP(shared.map((name) => folds[name] - best.folds[name]));
  const reason = `mean ${short([own])} over ${names.length} folds against ${short([best.mean])} of trial ${best.number}, p = ${short([p])} over ${shared.length}`;
  return own > best.mean && p < settings.pThreshold ? { decision: 'stop', reason } : goOn(reason);
}

export const wilcoxon: Pruner<WilcoxonSettings> = { settings, judge };
