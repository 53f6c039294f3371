/** What is recorded of an experiment: the words and shapes that decisions are made from. Times are in milliseconds. */
import type { JobStatus } from '@emotune/jobs';
import type { ModelConfig } from '@emotune/models';
import type { Assignment, SuggestContext, TrialCurve, TrialRecord, Verdict } from '@emotune/search';
import type { RowLengths } from '@emotune/training';
import type { Rate } from './cost.js';
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
  | 'paused'
  | 'succeeded'
  | 'stopped'
  | 'failed'
  | 'infeasible'
  | 'cancelled';

/**
 * How an attempt ended. The first four are reported by its trainer (or told by its exit code); `lost` is nobody's
 * word, `interrupted` left on request after a checkpoint or with its machine, `cancelled` was not wanted any more.
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
  /** The highest step that was reported; −1: none. */
  readonly step: number;
  /** The newest checkpoint's folder; empty: none. */
  readonly checkpoint: string;
  /** How many of the experiment's `checkpointAsks` it has answered; behind them, another checkpoint is asked for. */
  readonly checkpointAsks: number;
  readonly createdAt: number;
  readonly leaseUntil: number;
  /** When its trainer was heard of first; null: its job waits, or it was never heard of. */
  readonly begunAt: number | null;
  /** Null while it runs. */
  readonly outcome: Outcome | null;
  readonly reason: string;
  readonly endedAt: number | null;
}

/** What was decided of a running trial: its trainer is told to stop, or, to pause it, its job is. */
export interface Judgement {
  readonly decision: Exclude<Verdict['decision'], 'continue'>;
  /** A word such as Pruned, Converged or LimitReached, with a sentence after a colon. */
  readonly reason: string;
  readonly at: number;
}

/** A record from elsewhere, numbered below 0. */
export interface Taught extends TrialRecord {
  /** When it was imported; absent: with the experiment. */
  readonly taughtAt?: number;
}

/** A fold that has ended. Steps, tokens, examples and seconds are of the trial until then. */
export interface Fold {
  readonly objective: number;
  /** Tokens that the fold had trained on at its best point. */
  readonly bestTokens: number;
  readonly step: number;
  readonly tokens: number;
  readonly examples: number;
  readonly elapsedSeconds: number;
}

/** Where a trial stands among those that go on from each other's checkpoints. */
export interface LineagePlace {
  /** The trial whose last checkpoint it goes on from; null: it begins anew. */
  readonly origin: number | null;
  /** Planned tokens of the trials of its lineage before it. */
  readonly originTokens: number;
}

export interface Trial extends LineagePlace {
  readonly number: number;
  readonly kind: TrialKind;
  readonly state: TrialState;
  readonly reason: string;
  readonly parameters: Assignment;
  /** Given by a person, not suggested. */
  readonly enqueued: boolean;
  /** It was begun, and its checkpoints were not removed yet: they go when it has ended and no trial can go on from them. */
  readonly keepsCheckpoint: boolean;
  /** The objective of the report, or the best so far; with folds the mean of those that have ended. */
  readonly objective: number | null;
  /** Those that have ended, in order. */
  readonly folds: readonly Fold[];
  readonly step: number;
  readonly tokens: number;
  readonly totalTokens: number;
  readonly bestTokens: number;
  readonly tokensPerSecond: number;
  /** The folder of what the final training made; empty: nothing. */
  readonly modelPrefix: string;
  /** Training examples seen at the last measurement. */
  readonly examples: number;
  /** Examples seen at its last verdict. */
  readonly judgedAt: number;
  readonly judgement: Judgement | null;
  readonly createdAt: number;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  readonly attempts: readonly Attempt[];
}

/** A base model as it was when the experiment was accepted. */
export interface Base {
  readonly architecture: string;
  readonly model: string;
  readonly version: string;
  readonly prefix: string;
  readonly tokenizer: string;
  /** Recorded where `training.memoryLimitMib` asks whether it fits. */
  readonly config?: ModelConfig;
}

export interface BoundFeatures {
  readonly version: string;
  readonly dataset: string;
  readonly datasetVersion: string;
  /** Folder of the shards by tokenizer. */
  readonly prefixes: Readonly<Record<string, string>>;
  /** The lengths of the rows, by tokenizer; absent where they were bound before it was recorded. */
  readonly rows?: Readonly<Record<string, RowLengths>>;
}

/** Whether trials can be trained: the feature set's shards for every base model are there. */
export type Features =
  | { readonly state: 'waiting' }
  | { readonly state: 'ready'; readonly bound: BoundFeatures }
  | { readonly state: 'failed'; readonly reason: string };

/** The model version that came of the final trial. */
export interface TrainedModel {
  /** name@version */
  readonly id: string;
  readonly state: 'trained' | 'registered';
  /** Null until its evaluation ended; `failure` is empty when that went well. */
  readonly evaluation: { readonly failure: string } | null;
}

/** What a decision depends on beside what is recorded. */
export interface Surroundings {
  /** By name. */
  readonly jobs: ReadonlyMap<string, JobStatus>;
  /** Since when this process hears heartbeats: a lease that ran out before is not held against a trainer. */
  readonly listeningSince: number;
  /** A heartbeat must come within this time. */
  readonly leaseMs: number;
  /** What the start of a trial lacks now, as a reason; empty: nothing. */
  readonly shortage: (trial: Pick<Trial, 'number' | 'kind' | 'parameters'>) => string;
}

export const nobody: Surroundings = {
  jobs: new Map(),
  listeningSince: 0,
  leaseMs: 0,
  shortage: () => '',
};

export interface Experiment extends Surroundings {
  readonly name: string;
  /** With the limits that hold now. */
  readonly plan: Plan;
  readonly bases: readonly Base[];
  readonly state: ExperimentState;
  readonly features: Features;
  readonly reason: string;
  /** What outside of it stands in the way, as a reason: somebody has to mend that. Empty: nothing. */
  readonly obstacle: string;
  /** How often all trainers were asked for a checkpoint. */
  readonly checkpointAsks: number;
  readonly createdAt: number;
  /** When the search began. */
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  /** What earlier experiments and other programs taught. */
  readonly history: readonly Taught[];
  /** How likely values are to work, where that is known beforehand: see `SuggestContext`. */
  readonly feasibility?: SuggestContext['feasibility'];
  /** Throughput to expect, by architecture, before trials of this experiment have shown theirs. */
  readonly rates: ReadonlyMap<string, Rate>;
  /** Learning curves of its search trials; asked for only while a trial is paused. */
  readonly curves: () => readonly TrialCurve[];
  /** Ordered by number, which counts from 0 without a gap. */
  readonly trials: readonly Trial[];
  readonly model: TrainedModel | null;
}

/** Objectives by fold. */
export function foldScores({ folds }: Pick<Trial, 'folds'>): Record<string, number> {
  return Object.fromEntries(folds.map(({ objective }, fold) => [fold, objective]));
}

export function hasEnded(state: ExperimentState): boolean {
  return state === 'succeeded' || state === 'failed' || state === 'cancelled';
}

export function isOpen(trial: { readonly state: TrialState }): boolean {
  return trial.state === 'queued' || trial.state === 'running' || trial.state === 'paused';
}

/** All but the winner's training. */
export function searchTrials<T extends Pick<Trial, 'kind'>>(trials: readonly T[]): T[] {
  return trials.filter(({ kind }) => kind === 'search');
}

/** A pure function of the attempt, at most 52 characters for names of at most 40: creating it twice is harmless. */
export function jobName(experiment: string, trial: number, attempt: number): string {
  return `${experiment}-t${trial}-a${attempt}`;
}

/** The trial and attempt that a job was started for; undefined for another experiment's. */
export function numberOfJob(
  experiment: string,
  job: string,
): { readonly trial: number; readonly attempt: number } | undefined {
  if (!job.startsWith(`${experiment}-t`)) return undefined;
  const match = /^(\d+)-a(\d+)$/.exec(job.slice(experiment.length + 2));
  return match ? { trial: Number(match[1]), attempt: Number(match[2]) } : undefined;
}
