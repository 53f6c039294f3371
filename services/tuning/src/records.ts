/** Trials as samplers see them. Pure. */
import { meaningOf } from '@emotune/jobs';
import type { TrialRecord } from '@emotune/search';
import { type Attempt, isOpen, type Trial } from './state.js';

const hourMs = 3_600_000;

/**
 * How long its trainer ran: a job that waits for a node takes no time. One whose trainer is silent is taken to have run until
 * its lease ended: who was to hear it may have been away for days.
 */
export function attemptMs({ begunAt, endedAt, leaseUntil }: Attempt, now: number): number {
  return begunAt === null ? 0 : Math.max(0, (endedAt ?? Math.min(now, leaseUntil)) - begunAt);
}

/** Hours that the trial's attempts have run until now. */
export function hoursOf({ attempts }: Trial, now: number): number {
  return attempts.reduce((sum, attempt) => sum + attemptMs(attempt, now), 0) / hourMs;
}

/** The records of trials that have ended, so that a search sees the same objects again. */
const records = new WeakMap<Trial, TrialRecord>();

/** What a sampler sees of a trial. */
function recordOf(trial: Trial): TrialRecord | undefined {
  const { number, state, reason, parameters, objective, step } = trial;
  if (state === 'cancelled') return undefined;
  const open = isOpen(trial);
  const known = records.get(trial);
  if (known) return known;
  const hours = open ? 0 : hoursOf(trial, 0);
  const record: TrialRecord = {
    number,
    state: open ? 'running' : (state as TrialRecord['state']),
    reason,
    parameters,
    step,
    // A running trial's best so far is not its result.
    ...(objective === null || open ? {} : { objective }),
    ...(state === 'failed' ? { blames: meaningOf(reason).blames } : {}),
    ...(state === 'succeeded' && hours > 0 ? { cost: hours } : {}),
  };
  if (!open) records.set(trial, record);
  return record;
}

export function recordsOf(trials: readonly Trial[]): TrialRecord[] {
  return trials.flatMap((trial) => recordOf(trial) ?? []);
}
