import type { Sql } from '@emotune/database';
import { testDatabase } from '@emotune/database/testing';
import { beforeAll, expect, it } from 'vitest';
import { tuningMigrations } from './index.js';
import { Ledger } from './ledger.js';
import { planOf } from './spec.js';
import { nobody } from './state.js';
import { experimentRow } from './store.js';
import { experimentSpec } from './testing.js';

const database = await testDatabase('ledger');
const surroundings = { ...nobody, leaseMs: 1 };
const name = 'run';
const trials = 400;
const open = [7, 399];

beforeAll(async () => {
  await database.migrate(tuningMigrations);
  const bases = [{ architecture: 'opt', model: 'base-opt', version: '1', prefix: '', tokenizer: '' }];
  await database.query(
    `insert into experiments (name, spec, bases, state, reason, features, created_at, started_at)
     values ($1, $2, $3, 'running', '', '{}', now(), now())`,
    [name, JSON.stringify(planOf(experimentSpec({ name })).spec), JSON.stringify(bases)],
  );
  await database.query(
    `insert into trials (experiment, number, kind, state, parameters, enqueued, objective, total_tokens, tokens, created_at)
     select $1, n, 'search', case when n = any($2) then 'running' else 'succeeded' end, '{"learningRate": 0.001}', false,
       n, 100, 100, now() from generate_series(0, $3) n`,
    [name, open, trials - 1],
  );
  await database.query(
    `insert into attempts (experiment, trial, number, token_hash, lease_until, created_at, outcome, ended_at)
     select experiment, number, 1, '', now(), now(), case when state = 'running' then null else 'succeeded' end, now()
     from trials`,
  );
  await database.query(
    `insert into measurements (experiment, trial, attempt, step, tokens, examples, elapsed_seconds, objective, stage,
       learning_rate, tokens_per_second, further)
     select experiment, number, 1, s, s, 10 * s, s, number + 1.0 / s, 0, 0, 0, '{}' from trials, generate_series(1, 3) s`,
  );
});

/** The database, and how many rows each look at it gave. */
function counted(): { sql: Sql; rows: () => number } {
  let rows = 0;
  const query = async <Row extends object>(text: string, values?: readonly unknown[]) => {
    const found = await database.query<Row>(text, values);
    rows += found.length;
    return found;
  };
  return {
    sql: { query: query as Sql['query'] },
    rows: () => {
      const count = rows;
      rows = 0;
      return count;
    },
  };
}

it('reads a history once, then what is open and new; a new ledger finds the same in the rows', async () => {
  const { sql, rows } = counted();
  const ledger = new Ledger();
  const row = await experimentRow(database, name);
  const first = await ledger.read(sql, row, surroundings);
  expect(first.trials.map(({ number }) => number)).toEqual(Array.from({ length: trials }, (_, n) => n));
  expect(rows()).toBe(2 * trials);
  const again = await ledger.read(sql, row, surroundings);
  // Both open trials, each with its attempt.
  expect(rows()).toBe(4);
  for (const trial of again.trials)
    if (!open.includes(trial.number)) expect(trial).toBe(first.trials[trial.number]);

  await database.query("update trials set state = 'stopped', ended_at = now() where number = 7");
  await database.query(
    `insert into trials (experiment, number, kind, state, parameters, enqueued, total_tokens, created_at)
     values ($1, $2, 'search', 'queued', '{}', true, 100, now())`,
    [name, trials],
  );
  const changed = await ledger.read(sql, row, surroundings);
  expect(rows()).toBe(5);
  expect(changed.trials[7].state).toBe('stopped');
  expect(changed.trials[trials]).toMatchObject({ state: 'queued', attempts: [] });
  const { curves: _, ...recorded } = changed;
  const { curves: __, ...rebuilt } = await new Ledger().read(database, row, surroundings);
  expect(rebuilt).toEqual(recorded);
});

it('reads curves of trials that have ended once, and those of others at most every two seconds', async () => {
  const { sql, rows } = counted();
  const ledger = new Ledger();
  const curves = await ledger.curves(sql, name, 0);
  expect(curves[5]).toEqual({
    number: 5,
    state: 'succeeded',
    parameters: { learningRate: 0.001 },
    judgedAt: 0,
    points: [1, 2, 3].map((s) => ({ examples: 10 * s, values: [5 + 1 / s] })),
    folds: {},
  });
  expect(rows()).toBeGreaterThan(3 * trials);
  await ledger.curves(sql, name, 1500);
  expect(rows()).toBe(0);
  const later = await ledger.curves(sql, name, 2500);
  // Trials 399 and 400, the attempt of one, and its three points.
  expect(rows()).toBe(2 + 1 + 3);
  expect(later[5]).toBe(curves[5]);
});

it('an experiment whose model was deleted has none', async () => {
  const row = { ...(await experimentRow(database, name)), model_version: 'winner@1' };
  const { model } = await new Ledger().read(database, row, surroundings);
  expect(model).toBeNull();
});
