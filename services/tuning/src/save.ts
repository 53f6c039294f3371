/**
 * The one writer of experiments, trials, attempts and measurements: it records the difference between what was read in a
 * transaction and what it has become, in as many statements as there are kinds of change. What becomes of it is said by
 * pure functions, and what must not be is refused here once more.
 */
import { sha256 } from '@emotune/base';
import type { Database, Sql } from '@emotune/database';
import type { tuning } from '@emotune/proto';
import { newSecret } from './attempt-secret.js';
import { type Column, column } from './columns.js';
import { measured } from './measurements.js';
import type { Owner } from './reports.js';
import type { Attempt, Experiment, Trial } from './state.js';
import { assertAttemptMayBecome, assertMayBecome } from './transitions.js';

/** A transaction over a whole experiment, while its trainers report all the time: each of them locks its attempt first. */
export function deciding<T>(database: Database, work: (sql: Sql) => Promise<T>): Promise<T> {
  return database.transaction(work, 'serializable', attempts.name);
}

/** An attempt whose trainer is to be started. */
export interface Started {
  readonly trial: number;
  readonly attempt: number;
  /** Known to this process and the trainer alone: if we die before the job starts, the attempt is lost and another made. */
  readonly secret: string;
}

const json = (value: unknown) => (value === null ? null : JSON.stringify(value));
/** JSON without null fields, as specs are kept. */
export const filled = (value: unknown) => JSON.stringify(value, (_, v) => v ?? undefined);
const date = (ms: number | null) => (ms === null ? null : new Date(ms));

/** Rows that belong to an experiment. */
interface Table<T> {
  readonly name: string;
  /** The column of the experiment's name. */
  readonly owner: string;
  /** What tells its rows of one experiment apart. */
  readonly keys: readonly Column<T>[];
  readonly columns: readonly Column<T>[];
  /** Rows count their changes. */
  readonly revised: boolean;
}

/** What of an experiment changes after its acceptance. */
const experiments: Table<Experiment> = {
  name: 'experiments',
  owner: 'name',
  keys: [],
  revised: true,
  columns: [
    column('state', 'text', ({ state }) => state),
    column('reason', 'text', ({ reason }) => reason),
    column('obstacle', 'text', ({ obstacle }) => obstacle),
    column('limits', 'jsonb', ({ plan }) => plan.limits, filled),
    column('history', 'jsonb', ({ history }) => history, json),
    column(
      'features',
      'jsonb',
      ({ features }) => features,
      (features) => json(features.state === 'ready' ? features.bound : null),
    ),
    column(
      'features_failure',
      'text',
      ({ features }) => features,
      (features) => (features.state === 'failed' ? features.reason : null),
    ),
    column('model_version', 'text', ({ model }) => model?.id ?? ''),
    column('checkpoint_asks', 'int', ({ checkpointAsks }) => checkpointAsks),
    column('started_at', 'timestamptz', ({ startedAt }) => startedAt, date),
    column('ended_at', 'timestamptz', ({ endedAt }) => endedAt, date),
  ],
};

type TrialRecord = Omit<Trial, 'attempts'>;

const trials: Table<TrialRecord> = {
  name: 'trials',
  owner: 'experiment',
  revised: true,
  keys: [column('number', 'int', ({ number }) => number)],
  columns: [
    column('kind', 'text', ({ kind }) => kind),
    column('state', 'text', ({ state }) => state),
    column('reason', 'text', ({ reason }) => reason),
    column('parameters', 'jsonb', ({ parameters }) => parameters, json),
    column('enqueued', 'boolean', ({ enqueued }) => enqueued),
    column('objective', 'float8', ({ objective }) => objective),
    column('folds', 'jsonb', ({ folds }) => folds, json),
    column('step', 'bigint', ({ step }) => step),
    column('tokens', 'bigint', ({ tokens }) => tokens),
    column('total_tokens', 'bigint', ({ totalTokens }) => totalTokens),
    column('best_tokens', 'bigint', ({ bestTokens }) => bestTokens),
    column('tokens_per_second', 'float8', ({ tokensPerSecond }) => tokensPerSecond),
    column('model_prefix', 'text', ({ modelPrefix }) => modelPrefix),
    column('examples', 'bigint', ({ examples }) => examples),
    column('judged_at', 'bigint', ({ judgedAt }) => judgedAt),
    column('judgement', 'jsonb', ({ judgement }) => judgement, json),
    column('origin', 'int', ({ origin }) => origin),
    column('origin_tokens', 'bigint', ({ originTokens }) => originTokens),
    column('keeps_checkpoint', 'boolean', ({ keepsCheckpoint }) => keepsCheckpoint),
    column('created_at', 'timestamptz', ({ createdAt }) => createdAt, date),
    column('started_at', 'timestamptz', ({ startedAt }) => startedAt, date),
    column('ended_at', 'timestamptz', ({ endedAt }) => endedAt, date),
  ],
};

type AttemptRecord = Attempt & { readonly trial: number };

const attempts: Table<AttemptRecord> = {
  name: 'attempts',
  owner: 'experiment',
  revised: false,
  keys: [column('trial', 'int', ({ trial }) => trial), column('number', 'int', ({ number }) => number)],
  columns: [
    column('step', 'bigint', ({ step }) => step),
    column('checkpoint', 'text', ({ checkpoint }) => checkpoint),
    column('checkpoint_asks', 'int', ({ checkpointAsks }) => checkpointAsks),
    column('lease_until', 'timestamptz', ({ leaseUntil }) => leaseUntil, date),
    column('begun_at', 'timestamptz', ({ begunAt }) => begunAt, date),
    column('outcome', 'text', ({ outcome }) => outcome),
    column('reason', 'text', ({ reason }) => reason),
    column('created_at', 'timestamptz', ({ createdAt }) => createdAt, date),
    column('ended_at', 'timestamptz', ({ endedAt }) => endedAt, date),
  ],
};

const names = (columns: readonly { readonly name: string }[]) => columns.map(({ name }) => name).join(', ');

/** Arrays, one a column, of the values of all rows, as `unnest` takes them from the second parameter on. */
function unnested<T>(
  columns: readonly Column<T>[],
  rows: readonly T[],
): { text: string; values: unknown[][] } {
  return {
    text: `unnest(${columns.map(({ type }, i) => `$${i + 2}::${type}[]`).join(', ')})`,
    values: columns.map(({ of, stored }) => rows.map((row) => stored(of(row) as never))),
  };
}

async function insert<T>(
  sql: Sql,
  { name, owner, keys, columns }: Table<T>,
  experiment: string,
  rows: readonly T[],
  further: readonly Column<T>[] = [],
): Promise<void> {
  if (rows.length === 0) return;
  const all = [...keys, ...columns, ...further];
  const { text, values } = unnested(all, rows);
  await sql.query(`insert into ${name} (${owner}, ${names(all)}) select $1, * from ${text}`, [
    experiment,
    ...values,
  ]);
}

interface Change<T> {
  readonly before: T;
  readonly after: T;
}

/** Writes the columns in which any of the rows differs, and no other. */
async function update<T>(
  sql: Sql,
  { name, owner, keys, columns, revised }: Table<T>,
  experiment: string,
  changes: readonly Change<T>[],
): Promise<void> {
  const set = columns.filter(({ of }) => changes.some(({ before, after }) => of(before) !== of(after)));
  if (set.length === 0) return;
  const all = [...keys, ...set];
  const revision = revised ? ', revision = r.revision + 1' : '';
  if (changes.length === 1) {
    // Reports change one row each, and are many: a join would take PostgreSQL twice as long to plan.
    const [{ after }] = changes;
    const assigned = set.map((c, i) => `${c.name} = $${i + 2 + keys.length}`).join(', ');
    const same = keys.map((key, i) => ` and r.${key.name} = $${i + 2}`).join('');
    await sql.query(`update ${name} r set ${assigned}${revision} where r.${owner} = $1${same}`, [
      experiment,
      ...all.map(({ of, stored }) => stored(of(after) as never)),
    ]);
    return;
  }
  const { text, values } = unnested(
    all,
    changes.map(({ after }) => after),
  );
  const assigned = set.map((c) => `${c.name} = c.${c.name}`).join(', ');
  const same = keys.map((key) => ` and r.${key.name} = c.${key.name}`).join('');
  await sql.query(
    `update ${name} r set ${assigned}${revision} from ${text} as c (${names(all)}) where r.${owner} = $1${same}`,
    [experiment, ...values],
  );
}

/** Records an experiment that was just accepted, with the trials that it begins with. */
export async function saveNew(sql: Sql, experiment: Experiment): Promise<void> {
  const { name, plan, bases, createdAt } = experiment;
  const accepted = [
    column<Experiment, unknown>('spec', 'jsonb', () => plan.spec, filled),
    column<Experiment, unknown>('bases', 'jsonb', () => bases, json),
    column<Experiment, number>('created_at', 'timestamptz', () => createdAt, date),
  ];
  // Its limits are those of the spec.
  const columns = experiments.columns.filter((c) => c.name !== 'limits');
  await insert(sql, { ...experiments, columns }, name, [experiment], accepted);
  await insert(sql, trials, name, experiment.trials);
}

/**
 * Records the difference between what was read in this transaction and what it has become.
 * @throws Internal when it must not become that.
 */
export async function saveChanges(sql: Sql, before: Experiment, after: Experiment): Promise<Started[]> {
  assertMayBecome(before, after);
  const { name } = after;
  await update(sql, experiments, name, [{ before, after }]);
  await insert(sql, trials, name, after.trials.slice(before.trials.length));
  const changed = before.trials
    .map((trial, i) => ({ before: trial, after: after.trials[i] }))
    .filter((trial) => trial.before !== trial.after);
  await update(sql, trials, name, changed);
  const ofAttempts = after.trials.flatMap((trial) => {
    const known = before.trials[trial.number];
    if (trial === known) return [];
    return trial.attempts.map((attempt, i) => ({
      before: known?.attempts[i] && { ...known.attempts[i], trial: trial.number },
      after: { ...attempt, trial: trial.number },
      same: attempt === known?.attempts[i],
    }));
  });
  await update(
    sql,
    attempts,
    name,
    ofAttempts.filter((attempt): attempt is typeof attempt & Change<AttemptRecord> =>
      Boolean(attempt.before && !attempt.same),
    ),
  );
  const started = ofAttempts
    .filter((attempt) => !attempt.before)
    .map((attempt) => ({ ...attempt.after, secret: newSecret() }));
  const hash = column<(typeof started)[number], string>('token_hash', 'text', ({ secret }) => secret, sha256);
  await insert(sql, attempts, name, started, [hash]);
  return started.map(({ trial, number, secret }) => ({ trial, attempt: number, secret }));
}

/**
 * Records what a report has changed of its attempt and trial: the columns in which they differ alone, for other
 * transactions may change the trial at the same time. The attempt has to be locked.
 * @throws Internal when the attempt was over.
 */
export async function saveReport(sql: Sql, experiment: string, before: Owner, after: Owner): Promise<void> {
  const trial = after.trial.number;
  assertAttemptMayBecome(`trial ${trial} of ${experiment}`, before.attempt, after.attempt);
  if (after.trial !== before.trial)
    await update(sql, trials, experiment, [{ before: before.trial, after: after.trial }]);
  await update(sql, attempts, experiment, [
    { before: { ...before.attempt, trial }, after: { ...after.attempt, trial } },
  ]);
}

/** Records measurements of an attempt, no step twice among them; of a step that is there, what they add to it. */
export async function saveMeasurements(
  sql: Sql,
  experiment: string,
  { trial: { number: trial }, attempt: { number: attempt } }: Owner,
  measurements: readonly tuning.Measurement[],
): Promise<void> {
  if (measurements.length === 0) return;
  const columns = Object.values(measured);
  const { text, values } = unnested(columns, measurements);
  const [first, second] = [columns.length + 2, columns.length + 3];
  await sql.query(
    `insert into measurements as m (experiment, trial, attempt, ${names(columns)})
     select $1, $${first}, $${second}, * from ${text}
     on conflict (experiment, trial, attempt, step) do update set
       train_loss = coalesce(m.train_loss, excluded.train_loss),
       objective = coalesce(m.objective, excluded.objective),
       further = m.further || excluded.further`,
    [experiment, ...values, trial, attempt],
  );
}

/** Removes an experiment with its trials and what they measured. */
export async function removeExperiment(sql: Sql, name: string): Promise<void> {
  for (const { name: table, owner } of [
    { name: 'measurements', owner: 'experiment' },
    attempts,
    trials,
    experiments,
  ])
    await sql.query(`delete from ${table} where ${owner} = $1`, [name]);
}
