/** What becomes of a trainer's report: whether it is heard, what it changes, what it is answered. Pure. */
import { Aborted, FailedPrecondition, type Violation, Violations } from '@emotune/base';
import { judge, mean, type TrialCurve, type Verdict } from '@emotune/search';
import { outcomeOf } from './decide.js';
import type { Plan } from './spec.js';
import { type Attempt, type ExperimentState, type Fold, hasEnded, type Trial } from './state.js';
import { endOfAttempt } from './transitions.js';

/** An attempt with what it belongs to. */
export interface Owner {
  readonly state: ExperimentState;
  /** Of the experiment. */
  readonly checkpointAsks: number;
  readonly trial: Omit<Trial, 'attempts'>;
  readonly attempt: Attempt;
}

export interface Answer {
  readonly directive: 'continue' | 'checkpoint' | 'stop';
  readonly reason: string;
}

/** The numbers of one measurement. */
export interface Measured {
  readonly step: number;
  readonly tokens: number;
  readonly examples: number;
  readonly elapsedSeconds: number;
  /** Absent: not measured here. NaN and ±∞: measured, and broken. */
  readonly objective?: number | undefined;
  /** The fold, from 0, that the objective is of; absent for a trial without folds. */
  readonly fold?: number | undefined;
  readonly tokensPerSecond?: number | undefined;
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

function countViolations(
  counts: Omit<Measured, 'objective' | 'fold' | 'tokensPerSecond'>,
  at: string,
): Violation[] {
  return (['step', 'tokens', 'examples', 'elapsedSeconds'] as const)
    .filter((name) => !(counts[name] >= 0 && counts[name] < Infinity))
    .map((name) => ({
      field: `${at}.${name}`,
      description: `expected a number of at least 0, got ${counts[name]}`,
    }));
}

/** @throws InvalidArgument naming every number that cannot be. */
export function checkReport(measurements: readonly Measured[], folds: readonly Fold[]): void {
  const violations = new Violations(folds.flatMap((fold, i) => countViolations(fold, `folds[${i}]`)));
  folds.forEach(({ objective }, i) => {
    if (!Number.isFinite(objective))
      violations.add(
        `folds[${i}].objective`,
        `expected a finite number, got ${objective}: a fold that diverges ends its trial`,
      );
  });
  measurements.forEach((m, i) => {
    violations.addAll(countViolations(m, `measurements[${i}]`));
    const before = measurements[i - 1];
    if (before && m.step < before.step)
      violations.add(
        `measurements[${i}].step`,
        `expected at least ${before.step}, the step before it, got ${m.step}`,
      );
  });
  violations.throwIfAny();
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
    const { step, tokens, examples, objective, fold } = m;
    if (step > attempt.step) {
      fresh.push(m);
      attempt = { ...attempt, step };
      trial = { ...trial, step, tokens, examples };
    }
    // A repetition may add what its step lacked. Folds count once they have ended.
    if (
      fold === undefined &&
      objective !== undefined &&
      Number.isFinite(objective) &&
      objective < (trial.objective ?? Infinity)
    )
      trial = { ...trial, objective, bestTokens: tokens };
    if (m.tokensPerSecond !== undefined) trial = { ...trial, tokensPerSecond: m.tokensPerSecond };
  }
  return { owner: { ...owner, trial, attempt }, fresh };
}

/** The owner after the folds that its trainer has finished so far, each counted once: their mean is the objective. */
export function withFolds(owner: Owner, finished: readonly Fold[]): Owner {
  const { trial } = owner;
  if (finished.length <= trial.folds.length) return owner;
  const folds = [...trial.folds, ...finished.slice(trial.folds.length)];
  const objective = mean(folds.map((fold) => fold.objective));
  const bestTokens = Math.round(mean(folds.map((fold) => fold.bestTokens)));
  return { ...owner, trial: { ...trial, folds, objective, bestTokens } };
}

/** Lets the pruner judge a trial that has just measured its objective, or finished a fold. */
export function judged(
  owner: Owner,
  curve: TrialCurve,
  others: readonly TrialCurve[],
  { earlyStopping, training }: Plan,
  now: number,
): Owner {
  const { trial } = owner;
  if (trial.kind !== 'search' || trial.judgement) return owner;
  if (training.folds > 1 && trial.folds.length === training.folds) return owner;
  const { decision, reason }: Verdict = judge({ ...curve, judgedAt: trial.judgedAt }, others, earlyStopping);
  const judgedAt = curve.points.at(-1)?.examples ?? trial.judgedAt;
  if (decision === 'continue') return { ...owner, trial: { ...trial, judgedAt } };
  const word = { finish: 'Converged', stop: 'Pruned', pause: 'Paused' }[decision];
  const judgement = { decision, reason: `${word}: ${earlyStopping.name}: ${reason}`, at: now };
  return { ...owner, trial: { ...trial, judgedAt, judgement } };
}

/** Each step once: the last measurement of a step in a report completes those before it. */
export function completed<M extends Measured>(measurements: readonly M[]): M[] {
  const byStep = new Map<number, M>();
  for (const m of measurements) {
    const before = byStep.get(m.step);
    byStep.set(m.step, before ? { ...m, ...before, objective: before.objective ?? m.objective } : m);
  }
  return [...byStep.values()];
}

/** The attempt after it was heard of, and what its trainer is told. */
export function answer(
  { trial, attempt, checkpointAsks }: Owner,
  checkpoint: string,
  now: number,
  leaseMs: number,
): { readonly attempt: Attempt; readonly answer: Answer } {
  const newer = checkpoint !== '' && checkpoint !== attempt.checkpoint;
  const heard = {
    ...attempt,
    ...(newer ? { checkpoint, checkpointAsks } : {}),
    begunAt: attempt.begunAt ?? now,
    leaseUntil: now + leaseMs,
  };
  const { judgement } = trial;
  if (judgement && judgement.decision !== 'pause')
    return { attempt: heard, answer: { directive: 'stop', reason: judgement.reason } };
  if (judgement || heard.checkpointAsks < checkpointAsks)
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
  /** 0: not said. */
  readonly tokensPerSecond: number;
}

/** The owner after its last word. */
export function finished(owner: Owner, report: FinalReport, now: number): Owner {
  const { trial, attempt } = owner;
  const told = trial.folds.length > 0 ? trial.objective! : report.objective;
  const { outcome, reason } = outcomeOf(trial, { ...report, objective: told });
  const objective = told !== undefined && Number.isFinite(told) ? told : trial.objective;
  return {
    ...owner,
    attempt: endOfAttempt(attempt, outcome, reason, now),
    trial: {
      ...trial,
      objective,
      step: Math.max(trial.step, report.step),
      tokens: Math.max(trial.tokens, report.tokens),
      bestTokens: report.bestTokens || trial.bestTokens,
      tokensPerSecond: report.tokensPerSecond > 0 ? report.tokensPerSecond : trial.tokensPerSecond,
      modelPrefix: report.modelPrefix,
    },
  };
}
