/** What becomes of a trainer's report: whether it is heard, what it changes, what it is answered. Pure. */
import { Aborted, FailedPrecondition, InvalidArgument, type Violation } from '@emotune/base';
import { judge, type TrialCurve, type Verdict } from '@emotune/search';
import { outcomeOf } from './decide.js';
import type { Plan } from './spec.js';
import { type Attempt, type ExperimentState, hasEnded, type Trial } from './state.js';

/** An attempt with what it belongs to. */
export interface Owner {
  readonly state: ExperimentState;
  readonly trial: Omit<Trial, 'attempts'>;
  readonly attempt: Attempt;
}

export interface Answer {
  readonly directive: 'continue' | 'checkpoint' | 'stop';
  readonly reason: string;
}

/** Of one measurement. */
export interface Measured {
  readonly step: number;
  readonly tokens: number;
  readonly examples: number;
  readonly elapsedSeconds: number;
  /** Absent: not measured here. NaN and ±∞: measured, and broken. */
  readonly objective?: number | undefined;
}

/** Why nobody wants what the attempt does, or undefined. */
export function unwanted({ state, trial }: Owner): string | undefined {
  if (hasEnded(state)) return `the experiment has ended: ${state}`;
  return trial.state === 'cancelled' ? trial.reason : undefined;
}

/** @throws Aborted when the attempt is over, unless nobody wants it any more: then it is told so. */
export function assertOwner({ trial, attempt }: Owner): void {
  const { outcome, number } = attempt;
  if (outcome !== null && outcome !== 'cancelled')
    throw new Aborted(
      `attempt ${number} of trial ${trial.number} is over (${outcome}): end without a report`,
    );
}

/** @throws InvalidArgument naming every number that cannot be. */
export function checkMeasurements(measurements: readonly Measured[]): void {
  const violations: Violation[] = [];
  measurements.forEach((m, i) => {
    for (const name of ['step', 'tokens', 'examples', 'elapsedSeconds'] as const)
      if (!(m[name] >= 0 && m[name] < Infinity))
        violations.push({
          field: `measurements[${i}].${name}`,
          description: `expected a number of at least 0, got ${m[name]}`,
        });
    const before = measurements[i - 1];
    if (before && m.step < before.step)
      violations.push({
        field: `measurements[${i}].step`,
        description: `expected at least ${before.step}, the step before it, got ${m.step}`,
      });
  });
  if (violations.length > 0) throw new InvalidArgument(violations);
}

/**
 * The owner after measurements, each step once, and those that are new.
 * @param known Steps that the attempt has reported, as far as `measurements` repeats them.
 * @throws FailedPrecondition when a step is new and below one that was reported.
 */
export function measure<M extends Measured>(
  owner: Owner,
  measurements: readonly M[],
  known: ReadonlySet<number>,
): { readonly owner: Owner; readonly fresh: readonly M[] } {
  let { trial, attempt } = owner;
  const fresh: M[] = [];
  for (const m of measurements) {
    if (m.step <= attempt.step && !known.has(m.step) && !fresh.some(({ step }) => step === m.step))
      throw new FailedPrecondition(
        `trial ${trial.number}, attempt ${attempt.number}: expected a step above ${attempt.step}, got ${m.step}: steps do not go backwards within an attempt`,
      );
    const { step, tokens, examples, objective } = m;
    if (step > attempt.step) {
      fresh.push(m);
      attempt = { ...attempt, step };
      trial = { ...trial, step, tokens, examples };
    }
    // A repetition may add what its step lacked.
    if (objective !== undefined && Number.isFinite(objective) && objective < (trial.objective ?? Infinity))
      trial = { ...trial, objective, bestTokens: tokens };
  }
  return { owner: { ...owner, trial, attempt }, fresh };
}

/** Lets the pruner judge a trial that has just measured its objective. */
export function judged(
  owner: Owner,
  curve: TrialCurve,
  others: readonly TrialCurve[],
  { earlyStopping }: Plan,
  now: number,
): Owner {
  const { trial } = owner;
  if (trial.kind !== 'search' || trial.judgement) return owner;
  const { decision, reason }: Verdict = judge({ ...curve, judgedAt: trial.judgedAt }, others, earlyStopping);
  const judgedAt = curve.points.at(-1)?.examples ?? trial.judgedAt;
  if (decision === 'continue') return { ...owner, trial: { ...trial, judgedAt } };
  const word = { finish: 'Converged', stop: 'Pruned', pause: 'Paused' }[decision];
  const judgement = { decision, reason: `${word}: ${earlyStopping.name}: ${reason}`, at: now };
  return { ...owner, trial: { ...trial, judgedAt, judgement } };
}

/** The attempt after it was heard of, and what its trainer is told. */
export function answer(
  { trial, attempt }: Owner,
  checkpoint: string,
  leaseUntil: number,
): { readonly attempt: Attempt; readonly answer: Answer } {
  const newer = checkpoint !== '' && checkpoint !== attempt.checkpoint;
  const wantsCheckpoint = attempt.wantsCheckpoint && !newer;
  const heard = {
    ...attempt,
    checkpoint: newer ? checkpoint : attempt.checkpoint,
    wantsCheckpoint,
    leaseUntil,
  };
  const { judgement } = trial;
  if (judgement && judgement.decision !== 'pause')
    return { attempt: heard, answer: { directive: 'stop', reason: judgement.reason } };
  if (judgement || wantsCheckpoint)
    return {
      attempt: heard,
      answer: { directive: 'checkpoint', reason: judgement?.reason ?? 'the experiment is paused' },
    };
  return { attempt: heard, answer: { directive: 'continue', reason: '' } };
}

export interface FinalReport {
  readonly state: 'succeeded' | 'stopped' | 'failed' | 'infeasible';
  readonly reason: string;
  readonly objective?: number | undefined;
  readonly bestTokens: number;
  readonly tokens: number;
  readonly step: number;
  readonly modelPrefix: string;
}

/** The owner after its last word. */
export function finished(owner: Owner, report: FinalReport, now: number): Owner {
  const { trial, attempt } = owner;
  const { outcome, reason } = outcomeOf(trial, { ...report, objective: report.objective });
  const objective =
    report.objective !== undefined && Number.isFinite(report.objective) ? report.objective : trial.objective;
  return {
    ...owner,
    attempt: { ...attempt, outcome, reason, endedAt: now, wantsCheckpoint: false },
    trial: {
      ...trial,
      objective,
      step: Math.max(trial.step, report.step),
      tokens: Math.max(trial.tokens, report.tokens),
      bestTokens: report.bestTokens || trial.bestTokens,
    },
  };
}
