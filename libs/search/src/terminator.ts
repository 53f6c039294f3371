/**
 * When a search is over: when what further trials can improve is smaller than the error with which objectives are estimated
 * (Makarova et al. 2022, "Automatic termination for hyperparameter optimization").
 */
import { lessonOf, type TrialRecord } from './history.js';
import { regretBound } from './samplers/gp.js';
import type { SearchSpace } from './space.js';

export interface Termination {
  readonly stop: boolean;
  /** A sentence for people, with the figures. */
  readonly reason: string;
}

export interface TerminatorSettings {
  /** Standard error of a trial's objective, as from a bootstrap or the spread over folds; above 0. */
  readonly error: number;
  /** Measured trials before a search may end. */
  readonly minTrials?: number;
}

const show = (value: number) => String(Number(value.toPrecision(3)));

/** Whether a search with one objective should end after this history. Running trials count as measured at what is expected of them. */
export function termination(
  space: SearchSpace,
  history: readonly TrialRecord[],
  seed: number | string,
  { error, minTrials = 20 }: TerminatorSettings,
): Termination {
  if (!(error > 0)) return { stop: false, reason: 'the error of the objective is not known' };
  const measured = history.filter((record) => lessonOf(record) === 'measured').length;
  if (measured < minTrials)
    return { stop: false, reason: `${measured} of at least ${minTrials} trials are measured` };
  const bound = regretBound(space, history, { seed, trialNumber: history.length });
  if (bound === undefined) return { stop: false, reason: 'too few trials have values that the space allows' };
  const stop = bound < error;
  return {
    stop,
    reason: `further trials are expected to improve the objective by at most ${show(bound)}, ${
      stop ? 'less' : 'not less'
    } than the error of its estimate, ${show(error)}`,
  };
}
