/** Experiments as `decide` finds them, for its tests. */
import type { JobStatus } from '@emotune/jobs';
import type { Assignment } from '@emotune/search';
import { expect } from 'vitest';
import { type Action } from './decide.js';
import { planOf } from './spec.js';
import type { Attempt, Experiment, Trial } from './state.js';
import { boundFeatures, experimentSpec } from './testing.js';

export const now = 1_000_000;
const leaseMs = 30_000;

export const plan = (changes: Parameters<typeof experimentSpec>[0] = {}) => planOf(experimentSpec(changes));

export function attempt(number: number, changes: Partial<Attempt> = {}): Attempt {
  return {
    number,
    step: -1,
    checkpoint: '',
    checkpointAsks: 0,
    createdAt: now - 60_000,
    leaseUntil: now + 10_000,
    begunAt: now - 55_000,
    outcome: null,
    reason: '',
    endedAt: changes.outcome ? now - 50_000 : null,
    ...changes,
  };
}

export function trial(number: number, changes: Partial<Trial> = {}): Trial {
  return {
    number,
    kind: 'search',
    state: 'running',
    reason: '',
    parameters: { learningRate: 1e-3 * (number + 1) },
    enqueued: false,
    objective: null,
    folds: [],
    step: 0,
    tokens: 0,
    totalTokens: 1000,
    bestTokens: 0,
    tokensPerSecond: 0,
    modelPrefix: '',
    origin: null,
    originTokens: 0,
    keepsCheckpoint: false,
    examples: 0,
    judgedAt: 0,
    judgement: null,
    createdAt: now - 70_000,
    startedAt: null,
    endedAt: null,
    attempts: [attempt(1)],
    ...changes,
  };
}

export const done = (number: number, objective: number, changes: Partial<Trial> = {}) =>
  trial(number, {
    state: 'succeeded',
    objective,
    step: 10,
    tokens: 1000,
    bestTokens: 800,
    attempts: [attempt(1, { outcome: 'succeeded' })],
    ...changes,
  });
export const failed = (number: number, reason = 'Crashed: exit code 1') =>
  trial(number, { state: 'failed', reason, attempts: [attempt(1, { outcome: 'failed', reason })] });
export const queued = (number: number, parameters: Assignment = { learningRate: 2e-3 }) =>
  trial(number, { state: 'queued', enqueued: true, parameters, attempts: [] });

export function job(trial: number, attempt: number, changes: Partial<JobStatus> = {}): JobStatus {
  return { name: `run-t${trial}-a${attempt}`, labels: {}, phase: 'running', ...changes };
}

/** By default a job runs for each attempt that does. */
export function experiment(
  changes: Partial<Omit<Experiment, 'jobs'>> & { jobs?: JobStatus[] } = {},
): Experiment {
  const trials = changes.trials ?? [];
  const running = trials.flatMap((t) =>
    t.attempts.filter((a) => a.outcome === null).map((a) => job(t.number, a.number)),
  );
  const { jobs = running, ...rest } = changes;
  return {
    name: 'run',
    plan: plan(),
    state: 'running',
    features: boundFeatures,
    bases: [],
    checkpointAsks: 0,
    createdAt: 0,
    reason: '',
    obstacle: '',
    shortage: () => '',
    startedAt: now - 100_000,
    endedAt: null,
    history: [],
    rates: new Map(),
    curves: () => [],
    trials,
    model: null,
    listeningSince: 0,
    leaseMs,
    ...rest,
    jobs: new Map(jobs.map((j) => [j.name, j])),
  };
}

export const types = (actions: readonly Action[]) => actions.map(({ type }) => type);

export const only = (actions: readonly Action[]): Action => {
  expect(actions).toHaveLength(1);
  return actions[0];
};
