/** Writes what a decision changed, in as many statements as there are kinds of change. */
import { sha256 } from '@emotune/base';
import type { Sql } from '@emotune/database';
import type { Experiment, Trial } from './state.js';
import { newToken } from './token.js';

/** An attempt whose trainer is to be started. */
export interface Started {
  readonly trial: number;
  readonly attempt: number;
  /** Known to this process and the trainer alone: if we die before the job starts, the attempt is lost and another made. */
  readonly token: string;
}

const dateOf = (ms: number | null) => (ms === null ? null : new Date(ms));

/** Records the difference between what was read in this transaction and what it has become. */
export async function saveChanges(sql: Sql, before: Experiment, after: Experiment): Promise<Started[]> {
  const { name } = after;
  if (after.state !== before.state || after.reason !== before.reason)
    await sql.query(
      `update experiments set state = $2, reason = $3, started_at = $4, ended_at = $5, revision = revision + 1
       where name = $1`,
      [name, after.state, after.reason, dateOf(after.startedAt), dateOf(after.endedAt)],
    );
  const created = after.trials.slice(before.trials.length);
  if (created.length > 0)
    await sql.query(
      `insert into trials (experiment, number, kind, state, reason, parameters, enqueued, total_tokens, origin,
         origin_tokens, keeps_checkpoint, created_at, started_at, ended_at)
       select $1, * from unnest($2::int[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::boolean[],
         $8::bigint[], $9::int[], $10::bigint[], $11::boolean[], $12::timestamptz[], $13::timestamptz[],
         $14::timestamptz[])`,
      [
        name,
        ...columns(created, ['number', 'kind', 'state', 'reason']),
        created.map(({ parameters }) => JSON.stringify(parameters)),
        ...columns(created, ['enqueued', 'totalTokens', 'origin', 'originTokens', 'keepsCheckpoint']),
        ...dates(created),
      ],
    );
  const changed = before.trials
    .map(({ number }) => after.trials[number])
    .filter((t) => t !== before.trials[t.number]);
  if (changed.length > 0)
    await sql.query(
      `update trials t set state = c.state, reason = c.reason, judgement = c.judgement, started_at = c.started_at,
         ended_at = c.ended_at, revision = revision + 1
       from unnest($2::int[], $3::text[], $4::text[], $5::jsonb[], $6::timestamptz[], $7::timestamptz[])
         as c (number, state, reason, judgement, started_at, ended_at)
       where t.experiment = $1 and t.number = c.number`,
      [
        name,
        ...columns(changed, ['number', 'state', 'reason']),
        changed.map(({ judgement }) => (judgement ? JSON.stringify(judgement) : null)),
        ...dates(changed).slice(1),
      ],
    );
  const attempts = [...created, ...changed].flatMap((trial) => {
    const known = before.trials[trial.number]?.attempts ?? [];
    return trial.attempts
      .map((attempt, i) => ({
        ...attempt,
        trial: trial.number,
        isNew: i >= known.length,
        same: attempt === known[i],
      }))
      .filter(({ same }) => !same);
  });
  const ended = attempts.filter(({ isNew, outcome }) => !isNew && outcome !== null);
  if (ended.length > 0)
    await sql.query(
      `update attempts a set outcome = c.outcome, reason = c.reason, ended_at = c.ended_at, wants_checkpoint = false
       from unnest($2::int[], $3::int[], $4::text[], $5::text[], $6::timestamptz[])
         as c (trial, number, outcome, reason, ended_at)
       where a.experiment = $1 and a.trial = c.trial and a.number = c.number and a.outcome is null`,
      [
        name,
        ...columns(ended, ['trial', 'number', 'outcome', 'reason']),
        ended.map(({ endedAt }) => dateOf(endedAt)),
      ],
    );
  const started = attempts.filter(({ isNew }) => isNew).map((attempt) => ({ ...attempt, token: newToken() }));
  if (started.length > 0)
    await sql.query(
      `insert into attempts (experiment, trial, number, token_hash, lease_until, created_at)
       select $1, * from unnest($2::int[], $3::int[], $4::text[], $5::timestamptz[], $6::timestamptz[])`,
      [
        name,
        ...columns(started, ['trial', 'number']),
        started.map(({ token }) => sha256(token)),
        started.map(({ leaseUntil }) => dateOf(leaseUntil)),
        started.map(({ createdAt }) => dateOf(createdAt)),
      ],
    );
  return started.map(({ trial, number, token }) => ({ trial, attempt: number, token }));
}

function columns<T, K extends keyof T>(rows: readonly T[], names: readonly K[]): T[K][][] {
  return names.map((name) => rows.map((row) => row[name]));
}

function dates(trials: readonly Trial[]): (Date | null)[][] {
  return [
    trials.map(({ createdAt }) => dateOf(createdAt)),
    trials.map(({ startedAt }) => dateOf(startedAt)),
    trials.map(({ endedAt }) => dateOf(endedAt)),
  ];
}
