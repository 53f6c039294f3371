/** Rows of the tuning service, and what they mean to the rules. */
import { NotFound, show } from '@emotune/base';
import type { Sql } from '@emotune/database';
import type { tuning } from '@emotune/proto';
import type { Assignment } from '@emotune/search';
import type { Owner } from './reports.js';
import type {
  Attempt,
  Base,
  BoundFeatures,
  ExperimentState,
  Features,
  Fold,
  Judgement,
  Outcome,
  Taught,
  TrainedModel,
  Trial,
  TrialKind,
  TrialState,
} from './state.js';

/** Where a trial's results and checkpoints lie in the object store, all attempts. */
export function trialPrefix(experiment: string, number: number): string {
  return `trials/${experiment}/${number}`;
}

/** Where the logs of an experiment's trials lie in the object store. */
export function logsPrefix(experiment: string): string {
  return `logs/${experiment}`;
}

/** Where its trainers write checkpoints. */
export function checkpointsPrefix(experiment: string, number: number): string {
  return `${trialPrefix(experiment, number)}/checkpoints`;
}

export interface ExperimentRow {
  readonly name: string;
  /** As it was accepted. */
  readonly spec: tuning.ExperimentSpec;
  /** Raised since; null: those of the spec. */
  readonly limits: tuning.Limits | null;
  readonly history: readonly Taught[];
  readonly bases: readonly Base[];
  readonly state: ExperimentState;
  readonly reason: string;
  readonly obstacle: string;
  readonly features: BoundFeatures | null;
  readonly features_failure: string | null;
  readonly model_version: string;
  readonly checkpoint_asks: number;
  readonly created_at: Date;
  readonly started_at: Date | null;
  readonly ended_at: Date | null;
  readonly revision: number;
}

export interface TrialRow {
  readonly experiment: string;
  readonly number: number;
  readonly kind: TrialKind;
  readonly state: TrialState;
  readonly reason: string;
  readonly parameters: Assignment;
  readonly enqueued: boolean;
  readonly objective: number | null;
  readonly folds: readonly Fold[];
  readonly step: number;
  readonly tokens: number;
  readonly total_tokens: number;
  readonly best_tokens: number;
  readonly examples: number;
  readonly judged_at: number;
  readonly judgement: Judgement | null;
  readonly origin: number | null;
  readonly origin_tokens: number;
  readonly keeps_checkpoint: boolean;
  readonly tokens_per_second: number;
  readonly model_prefix: string;
  readonly created_at: Date;
  readonly started_at: Date | null;
  readonly ended_at: Date | null;
  readonly revision: number;
  /** Attempts so far. */
  readonly attempts: number;
  /** Seconds that the trainers of all of them ran until now. */
  readonly seconds: number;
}

export interface AttemptRow {
  readonly trial: number;
  readonly number: number;
  readonly step: number;
  readonly checkpoint: string;
  readonly checkpoint_asks: number;
  readonly lease_until: Date;
  readonly begun_at: Date | null;
  readonly outcome: Outcome | null;
  readonly reason: string;
  readonly created_at: Date;
  readonly ended_at: Date | null;
}

export interface ModelRow {
  readonly sequence: number;
  readonly name: string;
  readonly version: string;
  readonly kind: 'base' | 'tuned';
  readonly state: 'trained' | 'registered';
  readonly family: string;
  readonly parameters: number;
  readonly tokenizer: string;
  readonly prefix: string;
  readonly base_prefix: string;
  readonly promoted_at: Date | null;
  readonly lineage: tuning.Lineage | null;
  readonly evaluation: string | null;
  readonly evaluation_failure: string;
  readonly created_at: Date;
  readonly teaching: tuning.Teaching | null;
  readonly source: string;
  readonly licence: string;
}

/** @throws NotFound */
export async function experimentRow(sql: Sql, name: string): Promise<ExperimentRow> {
  const [row] = await sql.query<ExperimentRow>('select * from experiments where name = $1', [name]);
  if (!row)
    throw new NotFound(`expected an experiment, got ${show(name)}; "emotune experiment list" shows all`);
  return row;
}

/** The spec with the limits that hold now. */
export function specNow({ spec, limits }: ExperimentRow): tuning.ExperimentSpec {
  return limits ? { ...spec, limits } : spec;
}

const trialColumns = `t.*, a.attempts, a.seconds`;
const theirAttempts = `cross join lateral (select count(*) as attempts,
  coalesce(sum(extract(epoch from coalesce(a.ended_at, least($5::timestamptz, a.lease_until)) - a.begun_at))::float8, 0)
    as seconds
  from attempts a where a.experiment = t.experiment and a.trial = t.number) a`;

interface TrialsWanted {
  readonly numbers?: readonly number[];
  readonly from?: number;
  readonly limit?: number;
  /** Until when attempts that run count; left out: until their leases end. */
  readonly now?: Date;
}

/** Trials of one experiment: those with these numbers, and from a number on. */
export function trialRows(
  sql: Sql,
  experiment: string,
  { numbers = [], from = 0, limit, now }: TrialsWanted = {},
): Promise<TrialRow[]> {
  return sql.query<TrialRow>(
    `select ${trialColumns} from trials t ${theirAttempts}
     where t.experiment = $1 and (t.number = any($2) or t.number >= $3::bigint) order by t.number limit $4`,
    [experiment, numbers, from, limit ?? null, now ?? null],
  );
}

/** @throws NotFound */
export async function trialRow(sql: Sql, experiment: string, number: number, now?: Date): Promise<TrialRow> {
  const wanted = { numbers: [number], from: largestInteger };
  const [row] = await trialRows(sql, experiment, now ? { ...wanted, now } : wanted);
  if (!row) throw new NotFound(`expected a trial of ${experiment}, got number ${number}`);
  return row;
}

const largestInteger = 2 ** 31 - 1;

function attemptOf(row: AttemptRow): Attempt {
  return {
    number: row.number,
    step: row.step,
    checkpoint: row.checkpoint,
    checkpointAsks: row.checkpoint_asks,
    createdAt: row.created_at.getTime(),
    leaseUntil: row.lease_until.getTime(),
    begunAt: row.begun_at?.getTime() ?? null,
    outcome: row.outcome,
    reason: row.reason,
    endedAt: row.ended_at?.getTime() ?? null,
  };
}

/** Columns of a trial that do not depend on its attempts. */
export type TrialColumns = Omit<TrialRow, 'attempts' | 'seconds' | 'revision'>;

export function trialOf(row: TrialColumns, attempts: readonly AttemptRow[] = []): Trial {
  return {
    number: row.number,
    kind: row.kind,
    state: row.state,
    reason: row.reason,
    parameters: row.parameters,
    enqueued: row.enqueued,
    objective: row.objective,
    folds: row.folds,
    step: row.step,
    tokens: row.tokens,
    totalTokens: row.total_tokens,
    bestTokens: row.best_tokens,
    tokensPerSecond: row.tokens_per_second,
    modelPrefix: row.model_prefix,
    examples: row.examples,
    judgedAt: row.judged_at,
    judgement: row.judgement,
    origin: row.origin,
    originTokens: row.origin_tokens,
    keepsCheckpoint: row.keeps_checkpoint,
    createdAt: row.created_at.getTime(),
    startedAt: row.started_at?.getTime() ?? null,
    endedAt: row.ended_at?.getTime() ?? null,
    attempts: attempts.map(attemptOf),
  };
}

/** An attempt with what it belongs to, as its trainer's call finds it. */
export interface OwnerRow extends Owner {
  readonly tokenHash: string;
}

type JoinedRow = AttemptRow & {
  readonly token_hash: string;
  readonly experiment_state: ExperimentState;
  readonly experiment_asks: number;
  readonly trial_row: Omit<TrialColumns, 'created_at' | 'started_at' | 'ended_at'> &
    Readonly<Record<'created_at' | 'started_at' | 'ended_at', string | null>>;
};

/** Locks the attempt, and nothing else. Undefined when there is none such. */
export async function ownerOf(
  sql: Sql,
  place: { readonly experiment: string; readonly trial: number; readonly attempt: number },
): Promise<OwnerRow | undefined> {
  const [row] = await sql.query<JoinedRow>(
    `select a.*, e.state as experiment_state, e.checkpoint_asks as experiment_asks, to_jsonb(t) as trial_row
     from attempts a join trials t on t.experiment = a.experiment and t.number = a.trial
     join experiments e on e.name = a.experiment
     where a.experiment = $1 and a.trial = $2 and a.number = $3 for update of a`,
    [place.experiment, place.trial, place.attempt],
  );
  if (!row) return undefined;
  const { trial_row: trial } = row;
  const date = (text: string | null) => (text === null ? null : new Date(text));
  const { attempts: _, ...own } = trialOf({
    ...trial,
    created_at: new Date(trial.created_at ?? 0),
    started_at: date(trial.started_at),
    ended_at: date(trial.ended_at),
  });
  return {
    state: row.experiment_state,
    checkpointAsks: row.experiment_asks,
    trial: own,
    attempt: attemptOf(row),
    tokenHash: row.token_hash,
  };
}

export function featuresOf({ features, features_failure: failure }: ExperimentRow): Features {
  if (failure !== null) return { state: 'failed', reason: failure };
  return features ? { state: 'ready', bound: features } : { state: 'waiting' };
}

/** Null before there is one, and once it was deleted, which only an experiment that has ended allows. */
export async function trainedModel(sql: Sql, id: string): Promise<TrainedModel | null> {
  if (id === '') return null;
  const [row] = await sql.query<ModelRow>("select * from models where name || '@' || version = $1", [id]);
  if (!row) return null;
  return {
    id,
    state: row.state,
    evaluation: row.evaluation === null ? null : { failure: row.evaluation_failure },
  };
}
