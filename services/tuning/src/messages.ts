/** Rows as messages of the contract. */
import type { Sql } from '@emotune/database';
import { tuning } from '@emotune/proto';
import { timestamp } from '@emotune/service';
import { ranking } from './decide.js';
import type { TrialKind, TrialState } from './state.js';
import { type ExperimentRow, type ModelRow, type TrialRow, trialOf, trialRows } from './store.js';
import { valueMessages } from './values.js';

interface MeasurementRow {
  readonly trial: number;
  readonly step: number;
  readonly tokens: number;
  readonly elapsed_seconds: number;
  readonly train_loss: number | null;
  readonly objective: number | null;
  readonly stage: number;
  readonly learning_rate: number;
  readonly tokens_per_second: number;
  readonly further: { [name: string]: number };
}

function grouped<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}

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

export function trialMessage(row: TrialRow, measurements: tuning.Measurement[] = []): tuning.Trial {
  return {
    experiment: row.experiment,
    number: row.number,
    kind: trialKindMessage(row.kind),
    state: trialStateMessage(row.state),
    reason: row.reason,
    parameters: valueMessages(row.parameters),
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
  };
}

function measurementMessage(row: MeasurementRow): tuning.Measurement {
  return {
    step: row.step,
    tokens: row.tokens,
    elapsedSeconds: row.elapsed_seconds,
    trainLoss: row.train_loss ?? undefined,
    objective: row.objective ?? undefined,
    stage: row.stage,
    learningRate: row.learning_rate,
    tokensPerSecond: row.tokens_per_second,
    values: row.further,
  };
}

/** Trials with their measurements, all or the last; where attempts measured the same step the later one counts. */
export async function measuredTrials(
  sql: Sql,
  rows: readonly TrialRow[],
  which: 'all' | 'last',
): Promise<tuning.Trial[]> {
  if (rows.length === 0) return [];
  const distinct = which === 'all' ? 'trial, step' : 'trial';
  const order = which === 'all' ? 'trial, step, attempt desc' : 'trial, attempt desc, step desc';
  const measurements = await sql.query<MeasurementRow>(
    `select distinct on (${distinct}) * from measurements where experiment = $1 and trial = any($2) order by ${order}`,
    [rows[0].experiment, rows.map(({ number }) => number)],
  );
  const byTrial = grouped(measurements, ({ trial }) => trial);
  return rows.map((row) => trialMessage(row, (byTrial.get(row.number) ?? []).map(measurementMessage)));
}

function experimentMessage(row: ExperimentRow, trials: readonly TrialRow[]): tuning.Experiment {
  const search = trials.filter(({ kind }) => kind === 'search');
  const count = (...states: TrialState[]) => search.filter(({ state }) => states.includes(state)).length;
  const [best] = ranking(trials.map((trial) => trialOf(trial)));
  return {
    name: row.name,
    spec: row.spec,
    state: `EXPERIMENT_STATE_${row.state.toUpperCase()}` as tuning.ExperimentState,
    reason: row.reason,
    trialsSucceeded: count('succeeded', 'stopped'),
    trialsRunning: count('running'),
    trialsFailed: count('failed', 'infeasible'),
    trialsTotal: search.length,
    bestObjective: best?.objective ?? undefined,
    bestTrial: best?.number,
    modelVersion: row.model_version,
    createTime: timestamp(row.created_at),
    startTime: timestamp(row.started_at),
    endTime: timestamp(row.ended_at),
  };
}

export async function experimentMessages(
  sql: Sql,
  rows: readonly ExperimentRow[],
): Promise<tuning.Experiment[]> {
  const trials = await trialRows(
    sql,
    rows.map(({ name }) => name),
  );
  const byExperiment = grouped(trials, ({ experiment }) => experiment);
  return rows.map((row) => experimentMessage(row, byExperiment.get(row.name) ?? []));
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
  };
}
