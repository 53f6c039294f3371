/** One trace a trial: it follows from the trial, so that every process of the service, also a later one, adds to the same. */
import { pastSpan, traceOf } from '@emotune/base';
import type { Trial } from './state.js';

type Traced = Pick<Trial, 'number' | 'createdAt'>;

/** @param createdAt of the trial, milliseconds since 1970 */
export function trialTrace(experiment: string, { number, createdAt }: Traced): string {
  return traceOf('trial', experiment, number, createdAt);
}

/** Tells of a trial that has ended, and of its attempts. */
export function traceTrial(experiment: string, trial: Trial): void {
  if (trial.endedAt === null) return;
  const parent = trialTrace(experiment, trial);
  const attributes = {
    'emotune.experiment': experiment,
    'emotune.trial': trial.number,
    'emotune.state': trial.state,
    'emotune.tokens': trial.tokens,
  };
  const failure = trial.state === 'failed' ? trial.reason : undefined;
  pastSpan('trial', { parent, attributes, from: trial.createdAt, to: trial.endedAt, failure });
  for (const { number, createdAt, endedAt, outcome, reason } of trial.attempts)
    pastSpan('attempt', {
      ...{ parent, from: createdAt, to: endedAt ?? trial.endedAt },
      attributes: { ...attributes, 'emotune.attempt': number, 'emotune.outcome': outcome ?? '' },
      failure: outcome === 'failed' || outcome === 'lost' ? reason : undefined,
    });
}
