/**
 * What a decision changes of what is recorded: pure, so that the database only keeps the difference. A change that must
 * not be, such as a second end of a trial, is a broken invariant of ours and throws.
 */
import { Internal } from '@emotune/base';
import { type Action, decide } from './decide.js';
import { type Attempt, type Experiment, hasEnded, isOpen, type LineagePlace, type Trial } from './state.js';

/** What is only done. */
const unrecorded: ReadonlySet<Action['type']> = new Set([
  ...(['stop-job', 'remove-job', 'store-model', 'register-model', 'clear-checkpoints'] as const),
]);

/** Whether an action is recorded by itself. */
function isRecorded({ type }: Action): boolean {
  return !unrecorded.has(type);
}

function trialAt({ name, trials }: Experiment, number: number): Trial {
  const trial = trials[number];
  if (!trial) throw new Internal(`${name} has no trial ${number}`);
  return trial;
}

function withTrial(experiment: Experiment, trial: Trial): Experiment {
  return { ...experiment, trials: experiment.trials.with(trial.number, trial) };
}

function assertOpen({ name }: Experiment, trial: Trial, action: string): void {
  if (!isOpen(trial))
    throw new Internal(`${action} of trial ${trial.number} of ${name}, which is ${trial.state} already`);
}

function newAttempt(number: number, now: number, leaseMs: number): Attempt {
  return {
    number,
    step: -1,
    checkpoint: '',
    wantsCheckpoint: false,
    outcome: null,
    reason: '',
    createdAt: now,
    leaseUntil: now + leaseMs,
    endedAt: null,
  };
}

/** The experiment after an action. @throws Internal when the action must not be. */
function record(experiment: Experiment, action: Action, now: number): Experiment {
  const { trials, leaseMs } = experiment;
  switch (action.type) {
    case 'enter':
      return {
        ...experiment,
        state: action.state,
        reason: action.reason,
        startedAt: experiment.startedAt ?? now,
      };
    case 'finish':
      if (hasEnded(experiment.state)) throw new Internal(`${experiment.name} has ended already`);
      return { ...experiment, state: action.state, reason: action.reason, endedAt: now };
    case 'create-trial': {
      if (hasEnded(experiment.state) || action.number !== trials.length)
        throw new Internal(`${experiment.name} cannot have another trial ${action.number}`);
      const { type: _, ...given } = action;
      const created = newTrial({ ...given, enqueued: false }, now);
      return { ...experiment, trials: [...trials, created] };
    }
    case 'judge': {
      const trial = trialAt(experiment, action.trial);
      assertOpen(experiment, trial, action.type);
      return withTrial(experiment, { ...trial, judgement: { ...action.judgement, at: now } });
    }
    case 'start-attempt': {
      const trial = trialAt(experiment, action.trial);
      assertOpen(experiment, trial, action.type);
      const owned = trial.attempts.some(({ outcome }) => outcome === null);
      if (hasEnded(experiment.state) || owned || action.attempt !== trial.attempts.length + 1)
        throw new Internal(
          `trial ${trial.number} of ${experiment.name} cannot have attempt ${action.attempt}`,
        );
      return withTrial(experiment, {
        ...trial,
        state: 'running',
        judgement: null,
        startedAt: trial.startedAt ?? now,
        attempts: [...trial.attempts, newAttempt(action.attempt, now, leaseMs)],
      });
    }
    case 'end-attempt': {
      const trial = trialAt(experiment, action.trial);
      const attempt = trial.attempts[action.attempt - 1];
      if (attempt?.outcome !== null) return experiment;
      const { outcome, reason } = action;
      const ended = { ...attempt, outcome, reason, endedAt: now, wantsCheckpoint: false };
      return withTrial(experiment, { ...trial, attempts: trial.attempts.with(action.attempt - 1, ended) });
    }
    case 'pause-trial': {
      const trial = trialAt(experiment, action.trial);
      assertOpen(experiment, trial, action.type);
      return withTrial(experiment, { ...trial, state: 'paused', judgement: null });
    }
    case 'end-trial': {
      const trial = trialAt(experiment, action.trial);
      assertOpen(experiment, trial, action.type);
      return withTrial(experiment, { ...trial, state: action.state, reason: action.reason, endedAt: now });
    }
    case 'remove-job': {
      const jobs = new Map(experiment.jobs);
      jobs.delete(action.job);
      return { ...experiment, jobs };
    }
    default:
      return experiment;
  }
}

export function newTrial(
  given: Pick<Trial, 'number' | 'kind' | 'parameters' | 'totalTokens' | 'enqueued'> & Partial<LineagePlace>,
  now: number,
): Trial {
  return {
    origin: null,
    originTokens: 0,
    keepsCheckpoint: false,
    ...given,
    state: 'queued',
    reason: '',
    objective: null,
    step: 0,
    tokens: 0,
    bestTokens: 0,
    examples: 0,
    folds: [],
    judgedAt: 0,
    judgement: null,
    createdAt: now,
    startedAt: null,
    endedAt: null,
    attempts: [],
  };
}

/** Actions of one transaction, at most: other work comes in between. */
const mostActions = 256;

export interface Advance {
  readonly experiment: Experiment;
  /** Whether anything is to be recorded. */
  readonly changed: boolean;
  /** What is to be done once that is recorded, each once. */
  readonly acts: readonly Action[];
}

/** Decides and records until there is nothing left to decide, or much to do. */
export function advance(before: Experiment, now: number): Advance {
  let experiment = before;
  let recorded = 0;
  let acts: Action[] = [];
  do {
    const actions = decide(experiment, now);
    acts = [...acts.filter(({ type }) => type === 'remove-job'), ...actions.filter((a) => !isRecorded(a))];
    for (const action of actions) experiment = record(experiment, action, now);
    const count = actions.filter(isRecorded).length;
    recorded += count;
    if (count === 0) break;
  } while (recorded < mostActions);
  return { experiment, changed: recorded > 0, acts };
}
