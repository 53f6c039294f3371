/**
 * The recorded state of an experiment and what the controller may do about it. The tuning service gathers an
 * `ExperimentSnapshot` from its store and its job runner, asks `decide`, and applies the actions in order: what
 * concerns rows in one transaction, what concerns jobs after its commit. A crash in between is harmless, since
 * the next decision starts again from what is recorded.
 */
import type { Assignment, SearchSpace } from './space.js';

export interface Limits {
  /** Search trials, failed ones included. At least 1. */
  readonly maxTrials: number;
  /** Trials that run at the same time. At least 1. */
  readonly parallelTrials: number;
  /** The experiment fails when more search trials than this have failed. Infeasible ones do not count. */
  readonly maxFailedTrials: number;
  /** After this much time since `startedAt` no further search trial starts. */
  readonly maxDurationMs?: number;
  /** Tokens that all search trials together may train on, planned tokens of running ones included. */
  readonly maxTokens?: number;
  /** The search ends when an objective (minimised) is at or below this. */
  readonly goal?: number;
}

export interface ControllerSpec {
  readonly space: SearchSpace;
  readonly limits: Limits;
  /** `name` is a key of `samplers`; `options` are checked against that sampler's schema. */
  readonly searchAlgorithm: { readonly name: string; readonly options?: Readonly<Record<string, unknown>> };
  readonly seed: number | string;
  /** Attempts of one trial; those that ended after a checkpoint on request do not count. At least 1. */
  readonly maxAttempts: number;
  /** Planned tokens of one search trial; needed where `limits.maxTokens` is set. */
  readonly trialTokens?: number;
}

export type ExperimentState =
  | 'waiting'
  | 'running'
  | 'paused'
  | 'finalizing'
  | 'succeeded'
  | 'failed'
  | 'cancelled';

export type TrialKind = 'search' | 'final';

export type TrialState =
  | 'queued'
  | 'running'
  | 'succeeded'
  | 'stopped'
  | 'failed'
  | 'infeasible'
  | 'cancelled';

export interface TrialSnapshot {
  /** From 0, without gaps, search and final trials in one sequence. */
  readonly number: number;
  readonly kind: TrialKind;
  /** `queued` is an enqueued trial that has not been launched. */
  readonly state: TrialState;
  readonly parameters: Assignment;
  /** From 1; the attempt that owns the trial. 0 while queued. */
  readonly attempt: number;
  /** How many of the attempts before this one were interrupted on request (`Retry.interrupted`). */
  readonly interruptions: number;
  readonly reason?: string;
  /** Best so far while running. Minimised. */
  readonly objective?: number;
  /** Optimizer steps done. */
  readonly step?: number;
  /** Tokens trained on so far. */
  readonly tokens: number;
  /** Tokens seen at the best point. */
  readonly bestTokens?: number;
  /** Milliseconds since 1970; renewed by heartbeats, set by launch, retry and start. Absent while queued. */
  readonly leaseExpiresAt?: number;
  /** Whether the present attempt has been heard of: it fetched its assignment or sent a heartbeat. */
  readonly heard: boolean;
  /** Whether a stop directive is recorded for it. */
  readonly stopping: boolean;
}

/** `pending`: accepted, not started (waiting for a machine); its lease does not run. */
export type JobPhase = 'pending' | 'running' | 'succeeded' | 'failed';

/** A job as the runner shows it. Jobs must be read before trials, so that an ended job's report is seen. */
export interface JobSnapshot {
  readonly number: number;
  readonly attempt: number;
  readonly phase: JobPhase;
  /** Of an ended job, where the runner knows it. */
  readonly exitCode?: number;
  /** The runner's word for the end, for example `OOMKilled`, `Evicted`. */
  readonly cause?: string;
}

export interface ExperimentSnapshot {
  readonly spec: ControllerSpec;
  readonly experiment: {
    readonly state: ExperimentState;
    /** Milliseconds since 1970; absent while waiting. */
    readonly startedAt?: number;
  };
  /** Ordered by number. */
  readonly trials: readonly TrialSnapshot[];
  /** Every job of the experiment that the runner still has, stale attempts included. */
  readonly jobs: readonly JobSnapshot[];
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** Record the trial as running with this attempt (insert it unless it was queued), then create its job. */
export interface Launch {
  readonly type: 'launch';
  readonly number: number;
  readonly kind: 'search';
  readonly attempt: 1;
  readonly parameters: Assignment;
  /** `default`: the declared defaults, tried first. */
  readonly source: 'enqueued' | 'default' | 'suggested';
}

/** Record the final trial as running and the experiment as finalizing, then create the job. */
export interface StartFinal {
  readonly type: 'start-final';
  readonly number: number;
  readonly kind: 'final';
  readonly attempt: 1;
  /** The winner's. */
  readonly parameters: Assignment;
  readonly winner: number;
  /** Tokens the winner had seen at its best point, before `final_scale`. */
  readonly bestTokens: number;
}

/** Make the job of this running attempt exist; creating it twice must be harmless. */
export interface StartJob {
  readonly type: 'start-job';
  readonly number: number;
  readonly attempt: number;
}

/** Record the new attempt as the owner with a new lease, then create its job, which resumes from the checkpoint. */
export interface Retry {
  readonly type: 'retry';
  readonly number: number;
  /** The new attempt. */
  readonly attempt: number;
  /** Why the former attempt ended: a word, a colon, a sentence. */
  readonly reason: string;
  /** Count it under `interruptions`. */
  readonly interrupted: boolean;
}

/** Record a stop directive; the trainer gets it with its next heartbeat and finishes as `stopped`. */
export interface StopTrial {
  readonly type: 'stop';
  readonly number: number;
  readonly attempt: number;
  readonly reason: string;
}

/** Record the terminal state of a trial that cannot report it any more. */
export interface EndTrial {
  readonly type: 'end';
  readonly number: number;
  readonly state: 'failed' | 'infeasible' | 'cancelled';
  readonly reason: string;
}

/** Delete a job that lives although its attempt owns nothing any more. */
export interface RemoveJob {
  readonly type: 'remove-job';
  readonly number: number;
  readonly attempt: number;
}

/** Record the end of the experiment. */
export interface FinishExperiment {
  readonly type: 'finish';
  readonly state: 'succeeded' | 'failed';
  readonly reason: string;
  /** The best search trial, where there is one. */
  readonly winner?: number;
}

export type Action =
  | Launch
  | StartFinal
  | StartJob
  | Retry
  | StopTrial
  | EndTrial
  | RemoveJob
  | FinishExperiment;

const terminal: ReadonlySet<string> = new Set(['succeeded', 'stopped', 'failed', 'infeasible', 'cancelled']);

/** Whether a trial in this state is over for good. */
export function isTerminal(state: TrialState): boolean {
  return terminal.has(state);
}

/** Whether an experiment in this state is over for good. */
export function isOver(state: ExperimentState): boolean {
  return state === 'succeeded' || state === 'failed' || state === 'cancelled';
}
