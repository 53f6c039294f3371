/** Rows of the tuning service, and what they mean to the rules. */
import { NotFound } from '@emotune/base';
import type { Sql } from '@emotune/database';
import type { JobStatus } from '@emotune/jobs';
import type { tuning } from '@emotune/proto';
import type { Assignment } from '@emotune/search';
import { planOf } from './spec.js';
import type {
  Attempt,
  Experiment,
  ExperimentState,
  Features,
  Outcome,
  TrainedModel,
  Trial,
  TrialKind,
  TrialState,
} from './state.js';

/** A base model as it was when the experiment was accepted. */
export interface Base {
  readonly architecture: string;
  readonly model: string;
  readonly version: string;
  readonly prefix: string;
  readonly tokenizer: string;
}

export interface BoundFeatures {
  readonly version: string;
  readonly dataset: string;
  readonly datasetVersion: string;
  /** Folder of the shards by tokenizer. */
  readonly prefixes: Readonly<Record<string, string>>;
}

export interface ExperimentRow {
  readonly name: string;
  readonly spec: tuning.ExperimentSpec;
  readonly bases: readonly Base[];
  readonly state: ExperimentState;
  readonly reason: string;
  readonly features: BoundFeatures | null;
  readonly features_failure: string | null;
  readonly model_version: string;
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
  readonly step: number;
  readonly tokens: number;
  readonly total_tokens: number;
  readonly best_tokens: number;
  readonly tokens_per_second: number;
  readonly model_prefix: string;
  readonly created_at: Date;
  readonly started_at: Date | null;
  readonly ended_at: Date | null;
  readonly revision: number;
  /** Attempts so far. */
  readonly attempts: number;
}

export interface AttemptRow {
  readonly trial: number;
  readonly number: number;
  readonly lease_until: Date;
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
}

/** @throws NotFound */
export async function experimentRow(sql: Sql, name: string): Promise<ExperimentRow> {
  const [row] = await sql.query<ExperimentRow>('select * from experiments where name = $1', [name]);
  if (!row)
    throw new NotFound(
      `expected an experiment, got ${JSON.stringify(name)}; "emotune experiment list" shows all`,
    );
  return row;
}

const trialColumns = `t.*, (select count(*) from attempts a where a.experiment = t.experiment and a.trial = t.number) as attempts`;

export function trialRows(sql: Sql, experiments: readonly string[]): Promise<TrialRow[]> {
  return sql.query<TrialRow>(
    `select ${trialColumns} from trials t where t.experiment = any($1) order by t.experiment, t.number`,
    [experiments],
  );
}

export async function trialRow(sql: Sql, experiment: string, number: number): Promise<TrialRow> {
  const [row] = await sql.query<TrialRow>(
    `select ${trialColumns} from trials t where t.experiment = $1 and t.number = $2`,
    [experiment, number],
  );
  if (!row) throw new NotFound(`expected a trial of ${experiment}, got number ${number}`);
  return row;
}

function attemptOf(row: AttemptRow): Attempt {
  return {
    number: row.number,
    createdAt: row.created_at.getTime(),
    leaseUntil: row.lease_until.getTime(),
    outcome: row.outcome,
    reason: row.reason,
    endedAt: row.ended_at?.getTime() ?? null,
  };
}

export function trialOf(row: TrialRow, attempts: readonly AttemptRow[] = []): Trial {
  return {
    number: row.number,
    kind: row.kind,
    state: row.state,
    reason: row.reason,
    parameters: row.parameters,
    enqueued: row.enqueued,
    objective: row.objective,
    step: row.step,
    tokens: row.tokens,
    totalTokens: row.total_tokens,
    bestTokens: row.best_tokens,
    attempts: attempts.filter(({ trial }) => trial === row.number).map(attemptOf),
  };
}

function featuresOf({ features, features_failure: failure }: ExperimentRow): Features {
  if (failure !== null) return { state: 'failed', reason: failure };
  return { state: features ? 'ready' : 'waiting' };
}

async function trainedModel(sql: Sql, id: string): Promise<TrainedModel | null> {
  if (id === '') return null;
  const [row] = await sql.query<ModelRow>("select * from models where name || '@' || version = $1", [id]);
  return {
    id,
    state: row.state,
    evaluation: row.evaluation === null ? null : { failure: row.evaluation_failure },
  };
}

/** What `decide` needs, as recorded now. */
export async function readExperiment(
  sql: Sql,
  row: ExperimentRow,
  surroundings: {
    readonly jobs: ReadonlyMap<string, JobStatus>;
    readonly listeningSince: number;
    readonly leaseMs: number;
  },
): Promise<Experiment> {
  const trials = await trialRows(sql, [row.name]);
  const attempts = await sql.query<AttemptRow>(
    'select trial, number, lease_until, outcome, reason, created_at, ended_at from attempts where experiment = $1 order by trial, number',
    [row.name],
  );
  return {
    name: row.name,
    plan: planOf(row.spec),
    state: row.state,
    features: featuresOf(row),
    startedAt: row.started_at?.getTime() ?? null,
    trials: trials.map((trial) => trialOf(trial, attempts)),
    model: await trainedModel(sql, row.model_version),
    ...surroundings,
  };
}
