/**
 * One trace a trial: it follows from the trial, so that every process of the service, also a later one, adds to the same. Its
 * root is told when the trial has ended.
 */
import { pastRoot, pastSpan, traceOf } from '@emotune/base/trace';
import type { Experiment, Trial } from './state.js';

type Traced = Pick<Trial, 'number' | 'createdAt'>;

function wordsOf(experiment: string, { number, createdAt }: Traced) {
  return ['trial', experiment, number, createdAt] as const;
}

/** @param createdAt of the trial, milliseconds since 1970 */
export function trialTrace(experiment: string, trial: Traced): string {
  return traceOf(...wordsOf(experiment, trial));
}

/** Tells of the trials that a change has ended, and of their attempts. To be called once the change is committed. */
export function traceEnded(before: Experiment, after: Experiment): void {
  for (const trial of after.trials) {
    const was = before.trials[trial.number];
    if (trial !== was && trial.endedAt !== null && (was?.endedAt ?? null) === null)
      traceTrial(after.name, trial, trial.endedAt);
  }
}

function traceTrial(experiment: string, trial: Trial, to: number): void {
  const attributes = {
    'emotune.experiment': experiment,
    'emotune.trial': trial.number,
    'emotune.state': trial.state,
    'emotune.tokens': trial.tokens,
  };
  const failure = trial.state === 'failed' ? trial.reason : undefined;
  pastRoot(wordsOf(experiment, trial), { attributes, from: trial.createdAt, to, failure });
  const parent = trialTrace(experiment, trial);
  for (const { number, createdAt, endedAt, outcome, reason } of trial.attempts)
    pastSpan('attempt', {
      ...{ parent, from: createdAt, to: endedAt ?? to },
      attributes: { ...attributes, 'emotune.attempt': number, 'emotune.outcome': outcome ?? '' },
      failure: outcome === 'failed' || outcome === 'lost' ? reason : undefined,
    });
}
