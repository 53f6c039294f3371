/**
 * What a decision changes of what is recorded: pure, so that the database only keeps the difference. A change that must
 * not be, such as a second end of a trial, is a broken invariant of ours and throws, whoever asked for it.
 */
import { Internal, show } from '@emotune/base';
import type { Suggestion } from '@emotune/search';
import { type Action, decide, suggestionFor } from './decide.js';
import type { Plan } from './spec.js';
import {
  type Attempt,
  type Base,
  type Experiment,
  hasEnded,
  isOpen,
  jobName,
  type LineagePlace,
  nobody,
  type Outcome,
  type Taught,
  type Trial,
} from './state.js';

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

/** What an experiment waits for before its search begins. */
export function waitsFor({ spec }: Plan): string {
  return `waits for the feature set ${show(spec.features)}`;
}

/** An experiment that was just accepted. */
export function newExperiment(
  plan: Plan,
  bases: readonly Base[],
  history: readonly Taught[],
  now: number,
): Experiment {
  return {
    name: plan.spec.name,
    plan,
    bases,
    history,
    state: 'waiting',
    reason: waitsFor(plan),
    obstacle: '',
    features: { state: 'waiting' },
    checkpointAsks: 0,
    createdAt: now,
    startedAt: null,
    endedAt: null,
    rates: new Map(),
    curves: () => [],
    trials: [],
    model: null,
    ...nobody,
  };
}

function newAttempt(number: number, now: number, { leaseMs, checkpointAsks }: Experiment): Attempt {
  return {
    number,
    step: -1,
    checkpoint: '',
    checkpointAsks,
    outcome: null,
    reason: '',
    createdAt: now,
    leaseUntil: now + leaseMs,
    begunAt: null,
    endedAt: null,
  };
}

/** An attempt after its end; one that is over stays as it is. */
export function endOfAttempt(attempt: Attempt, outcome: Outcome, reason: string, now: number): Attempt {
  return attempt.outcome === null ? { ...attempt, outcome, reason, endedAt: now } : attempt;
}

/** After a model version was made of what its final trial left. */
export function withModel(experiment: Experiment, id: string): Experiment {
  const model = { id, state: 'trained', evaluation: null } as const;
  return { ...experiment, model, reason: `waits for the evaluation of ${id}` };
}

/** After the checkpoints of these trials were removed. */
export function withoutCheckpoints(experiment: Experiment, numbers: readonly number[]): Experiment {
  return numbers.reduce((after, number) => {
    const trial = trialAt(after, number);
    return trial.keepsCheckpoint ? withTrial(after, { ...trial, keepsCheckpoint: false }) : after;
  }, experiment);
}

/** The experiment after an action. @throws Internal when the action must not be. */
export function record(experiment: Experiment, action: Action, now: number): Experiment {
  const { trials } = experiment;
  switch (action.type) {
    case 'enter':
      return {
        ...experiment,
        state: action.state,
        reason: action.reason,
        startedAt: experiment.startedAt ?? now,
      };
    case 'wait':
      return { ...experiment, obstacle: action.obstacle };
    case 'finish':
      if (hasEnded(experiment.state)) throw new Internal(`${experiment.name} has ended already`);
      return { ...experiment, state: action.state, reason: action.reason, endedAt: now };
    case 'create-trial': {
      if (hasEnded(experiment.state) || action.number !== trials.length)
        throw new Internal(`${experiment.name} cannot have another trial ${action.number}`);
      const { type: _, ...given } = action;
      const created = newTrial({ enqueued: false, ...given }, now);
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
      // Its job is asked for; until the runner is asked what it has, it waits.
      const job = {
        name: jobName(experiment.name, trial.number, action.attempt),
        labels: {},
        phase: 'queued',
      } as const;
      const jobs = new Map(experiment.jobs).set(job.name, job);
      return withTrial(
        { ...experiment, jobs },
        {
          ...trial,
          state: 'running',
          judgement: null,
          keepsCheckpoint: true,
          startedAt: trial.startedAt ?? now,
          attempts: [...trial.attempts, newAttempt(action.attempt, now, experiment)],
        },
      );
    }
    case 'explain': {
      const trial = trialAt(experiment, action.trial);
      assertOpen(experiment, trial, action.type);
      return withTrial(experiment, { ...trial, reason: action.reason });
    }
    case 'end-attempt': {
      const trial = trialAt(experiment, action.trial);
      const attempt = trial.attempts[action.attempt - 1];
      if (attempt?.outcome !== null) return experiment;
      // Nobody may have been there to see its end.
      const at = Math.min(now, attempt.leaseUntil);
      const ended = endOfAttempt(attempt, action.outcome, action.reason, at);
      return withTrial(experiment, { ...trial, attempts: trial.attempts.with(action.attempt - 1, ended) });
    }
    case 'pause-trial': {
      const trial = trialAt(experiment, action.trial);
      assertOpen(experiment, trial, action.type);
      return withTrial(experiment, { ...trial, state: 'paused', reason: '', judgement: null });
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
    tokensPerSecond: 0,
    modelPrefix: '',
    judgedAt: 0,
    judgement: null,
    createdAt: now,
    startedAt: null,
    endedAt: null,
    attempts: [],
  };
}

/** @throws Internal when an attempt that is over would end again, or go on. */
export function assertAttemptMayBecome(place: string, before: Attempt, after: Attempt): void {
  if (before.outcome !== null && after.outcome !== before.outcome)
    throw new Internal(
      `attempt ${before.number} of ${place} is over (${before.outcome}), it cannot be ${after.outcome ?? 'going on'}`,
    );
}

function assertTrialMayBecome(name: string, before: Trial, after: Trial): void {
  const place = `trial ${before.number} of ${name}`;
  if (!isOpen(before) && after.state !== before.state)
    throw new Internal(`${place} is ${before.state}, it cannot become ${after.state}`);
  if (after.attempts.length < before.attempts.length) throw new Internal(`${place} cannot lose attempts`);
  for (const [i, attempt] of before.attempts.entries())
    assertAttemptMayBecome(place, attempt, after.attempts[i]);
  if (after.attempts.filter(({ outcome }) => outcome === null).length > 1)
    throw new Internal(`${place} cannot have two attempts at once`);
}

/** @throws Internal when what is over would change, or trials would not follow each other. */
export function assertMayBecome(before: Experiment, after: Experiment): void {
  const { name, state } = before;
  if (hasEnded(state) && after.state !== state)
    throw new Internal(`${name} is ${state}, it cannot become ${after.state}`);
  if (after.trials.length < before.trials.length) throw new Internal(`${name} cannot lose trials`);
  for (const [i, trial] of after.trials.entries()) {
    const known = before.trials[i];
    if (trial === known) continue;
    if (trial.number !== i || (!known && hasEnded(state)))
      throw new Internal(`${name} cannot have another trial ${trial.number}`);
    if (known) assertTrialMayBecome(name, known, trial);
  }
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

/**
 * Decides and records until there is nothing left to decide, or much to do. Yields an experiment whose next trial needs values,
 * and goes on with them.
 */
export function* advancing(
  before: Experiment,
  now: number,
): Generator<Experiment, Advance, Suggestion | undefined> {
  let experiment = before;
  let recorded = 0;
  let acts: Action[] = [];
  do {
    let asked = false;
    let actions = decide(experiment, now, () => {
      asked = true;
      return undefined;
    });
    if (asked) {
      const suggestion = yield experiment;
      actions = decide(experiment, now, () => suggestion);
    }
    acts = [...acts.filter(({ type }) => type === 'remove-job'), ...actions.filter((a) => !isRecorded(a))];
    for (const action of actions) experiment = record(experiment, action, now);
    const count = actions.filter(isRecorded).length;
    recorded += count;
    if (count === 0) break;
  } while (recorded < mostActions);
  return { experiment, changed: recorded > 0, acts };
}

/** As `advancing`, with values that are computed by it. */
export function advance(before: Experiment, now: number): Advance {
  const steps = advancing(before, now);
  let step = steps.next();
  while (!step.done) step = steps.next(suggestionFor(step.value));
  return step.value;
}
