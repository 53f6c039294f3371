/** Rows as messages of the contract. */
import type { Sql } from '@emotune/database';
import { tuning } from '@emotune/proto';
import { standardError } from '@emotune/search';
import { timestamp } from '@emotune/service';
import { measurementsOf } from './measurements.js';
import type { TrialKind, TrialState } from './state.js';
import { type ExperimentRow, type ModelRow, specNow, type TrialRow } from './store.js';

const trialKinds: Readonly<Record<TrialKind, tuning.TrialKind>> = {
  search: tuning.TrialKind.TRIAL_KIND_SEARCH,
  final: tuning.TrialKind.TRIAL_KIND_FINAL,
};

export function trialKindMessage(kind: TrialKind): tuning.TrialKind {
  return trialKinds[kind];
}

function trialStateMessage(state: TrialState): tuning.TrialState {
  return `TRIAL_STATE_${state.toUpperCase()}` as tuning.TrialState;
}

/** @param gpus That a trial occupies. */
export function trialMessage(row: TrialRow, measurements: tuning.Measurement[] = [], gpus = 1): tuning.Trial {
  return {
    experiment: row.experiment,
    number: row.number,
    kind: trialKindMessage(row.kind),
    state: trialStateMessage(row.state),
    reason: row.reason,
    parameters: row.parameters,
    attempt: row.attempts,
    objective: row.objective ?? undefined,
    step: row.step,
    tokens: row.tokens,
    totalTokens: row.total_tokens,
    tokensPerSecond: row.tokens_per_second,
    bestTokens: row.best_tokens,
    createTime: timestamp(row.created_at),
    startTime: timestamp(row.started_at),
    endTime: timestamp(row.ended_at),
    measurements,
    gpuHours: (row.seconds / 3600) * gpus,
    folds: [...row.folds],
    objectiveError: standardError(row.folds.map(({ objective }) => objective)),
    origin: row.origin ?? undefined,
    originTokens: row.origin_tokens,
  };
}

/** Trials with their measurements. */
export async function measuredTrials(
  sql: Sql,
  rows: readonly TrialRow[],
  which: 'all' | 'last',
): Promise<tuning.Trial[]> {
  if (rows.length === 0) return [];
  const numbers = rows.map(({ number }) => number);
  const measurements = await measurementsOf(sql, rows[0].experiment, numbers, which);
  const byTrial = Map.groupBy(measurements, ({ trial }) => trial);
  return rows.map((row) => trialMessage(row, byTrial.get(row.number)));
}

/** Counts of search trials of an experiment by state, what they took, and the best. */
interface Summary {
  readonly experiment: string;
  readonly total: number;
  readonly succeeded: number;
  readonly running: number;
  readonly failed: number;
  readonly seconds: number;
  readonly best_trial: number | null;
  readonly best_objective: number | null;
}

/** Measured trials best first, as `compareMeasured` has them. */
export const bestFirst = `(t.state = 'stopped'), case when t.state = 'stopped' then -t.step end, t.objective, t.number`;
/** A finite objective of a search trial that has ended. */
export const isMeasured = `t.kind = 'search' and t.state in ('succeeded', 'stopped')
  and t.objective > '-Infinity'::float8 and t.objective < 'Infinity'::float8`;

function summaries(sql: Sql, names: readonly string[], now: Date): Promise<Summary[]> {
  return sql.query<Summary>(
    `select s.*, b.number as best_trial, b.objective as best_objective, coalesce(a.seconds, 0) as seconds
     from (select experiment, count(*) as total, count(*) filter (where state in ('succeeded', 'stopped')) as succeeded,
         count(*) filter (where state = 'running') as running,
         count(*) filter (where state in ('failed', 'infeasible')) as failed
       from trials where experiment = any($1) and kind = 'search' group by experiment) s
     left join lateral (select number, objective from trials t
       where t.experiment = s.experiment and ${isMeasured} order by ${bestFirst} limit 1) b on true
     left join lateral (select sum(extract(epoch from coalesce(a.ended_at, $2) - a.begun_at))::float8 as seconds
       from attempts a join trials t on t.experiment = a.experiment and t.number = a.trial
       where a.experiment = s.experiment and t.kind = 'search') a on true`,
    [names, now],
  );
}

function experimentMessage(row: ExperimentRow, summary: Summary | undefined): tuning.Experiment {
  const { gpusPerTrial = 1, pricePerGpuHour = 0 } = row.spec.cost ?? {};
  const gpuHours = ((summary?.seconds ?? 0) / 3600) * gpusPerTrial;
  return {
    name: row.name,
    spec: specNow(row),
    state: `EXPERIMENT_STATE_${row.state.toUpperCase()}` as tuning.ExperimentState,
    // What stands in its way is what people have to know.
    reason: (row.ended_at === null && row.obstacle) || row.reason,
    trialsSucceeded: summary?.succeeded ?? 0,
    trialsRunning: summary?.running ?? 0,
    trialsFailed: summary?.failed ?? 0,
    trialsTotal: summary?.total ?? 0,
    bestObjective: summary?.best_objective ?? undefined,
    bestTrial: summary?.best_trial ?? undefined,
    modelVersion: row.model_version,
    createTime: timestamp(row.created_at),
    startTime: timestamp(row.started_at),
    endTime: timestamp(row.ended_at),
    gpuHours,
    cost: gpuHours * pricePerGpuHour,
  };
}

/** @param now Until when running trials count. */
export async function experimentMessages(
  sql: Sql,
  rows: readonly ExperimentRow[],
  now: Date,
): Promise<tuning.Experiment[]> {
  const found = await summaries(
    sql,
    rows.map(({ name }) => name),
    now,
  );
  const byName = new Map(found.map((summary) => [summary.experiment, summary]));
  return rows.map((row) => experimentMessage(row, byName.get(row.name)));
}

const modelKinds = {
  base: tuning.ModelKind.MODEL_KIND_BASE,
  tuned: tuning.ModelKind.MODEL_KIND_TUNED,
} as const;
const modelStates = {
  trained: tuning.ModelState.MODEL_STATE_TRAINED,
  registered: tuning.ModelState.MODEL_STATE_REGISTERED,
} as const;

/** @param promoted Whether it is the one that is served under its name. */
export function modelMessage(row: ModelRow, promoted: boolean): tuning.Model {
  return {
    name: row.name,
    version: row.version,
    kind: modelKinds[row.kind],
    state: modelStates[row.state],
    family: row.family,
    parameters: row.parameters,
    tokenizer: row.tokenizer,
    prefix: row.prefix,
    basePrefix: row.base_prefix,
    promoted,
    lineage: row.lineage ?? undefined,
    evaluation: row.evaluation ?? '',
    createTime: timestamp(row.created_at),
    teaching: row.teaching ?? undefined,
    source: row.source,
    licence: row.licence,
    notices: [],
  };
}
