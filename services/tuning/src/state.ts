/** What is recorded of an experiment: the words and shapes that decisions are made from. Times are in milliseconds. */
import type { JobStatus } from '@emotune/jobs';
import type { Assignment } from '@emotune/search';
import type { Plan } from './spec.js';

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

/**
 * How an attempt ended. The first four are reported by its trainer (or told by its exit code); `lost` is nobody's
 * word, `interrupted` left on request after a checkpoint, `cancelled` was not wanted any more.
 */
export type Outcome =
  | 'succeeded'
  | 'stopped'
  | 'failed'
  | 'infeasible'
  | 'lost'
  | 'interrupted'
  | 'cancelled';

export interface Attempt {
  /** From 1. */
  readonly number: number;
  readonly createdAt: number;
  readonly leaseUntil: number;
  /** Null while it runs. */
  readonly outcome: Outcome | null;
  readonly reason: string;
  readonly endedAt: number | null;
}

export interface Trial {
  readonly number: number;
  readonly kind: TrialKind;
  readonly state: TrialState;
  readonly reason: string;
  readonly parameters: Assignment;
  /** Given by a person, not suggested. */
  readonly enqueued: boolean;
  /** Of the report, or the best so far. */
  readonly objective: number | null;
  readonly step: number;
  readonly tokens: number;
  readonly totalTokens: number;
  readonly bestTokens: number;
  readonly attempts: readonly Attempt[];
}

/** Whether trials can be trained: the feature set's shards for every base model are there. */
export type Features =
  | { readonly state: 'waiting' | 'ready' }
  | { readonly state: 'failed'; readonly reason: string };

/** The model version that came of the final trial. */
export interface TrainedModel {
  /** name@version */
  readonly id: string;
  readonly state: 'trained' | 'registered';
  /** Null until its evaluation ended; `failure` is empty when that went well. */
  readonly evaluation: { readonly failure: string } | null;
}

export interface Experiment {
  readonly name: string;
  readonly plan: Plan;
  readonly state: ExperimentState;
  readonly features: Features;
  /** When the search began. */
  readonly startedAt: number | null;
  /** Ordered by number, which counts from 0 without a gap. */
  readonly trials: readonly Trial[];
  readonly model: TrainedModel | null;
  /** By name. */
  readonly jobs: ReadonlyMap<string, JobStatus>;
  /** Since when this process hears heartbeats: a lease that ran out before is not held against a trainer. */
  readonly listeningSince: number;
  /** A heartbeat must come within this time. */
  readonly leaseMs: number;
}

export function hasEnded(state: ExperimentState): boolean {
  return state === 'succeeded' || state === 'failed' || state === 'cancelled';
}

export function isOpen(trial: { readonly state: TrialState }): boolean {
  return trial.state === 'queued' || trial.state === 'running';
}

/** A pure function of the attempt, at most 52 characters for names of at most 40: creating it twice is harmless. */
export function jobName(experiment: string, trial: number, attempt: number): string {
  return `${experiment}-t${trial}-a${attempt}`;
}
