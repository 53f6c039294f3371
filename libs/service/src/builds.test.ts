import { Aborted, aborted, FailedPrecondition, systemClock, Unavailable } from '@emotune/base';
import { Database } from '@emotune/database';
import { testDatabase, testDatabaseUrl } from '@emotune/database/testing';
import { emit, eventTables, MemoryBus, Outbox, topics } from '@emotune/events';
import { common } from '@emotune/proto';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { BuildDied } from './build-process.js';
import { type Attempt, type BuildOptions, Builds, buildClaimColumns, buildColumns } from './builds.js';
import { jsonLog } from './log.js';

interface Row {
  readonly name: string;
}

const { BUILD_STATE_PENDING, BUILD_STATE_BUILDING, BUILD_STATE_READY, BUILD_STATE_FAILED } =
  common.BuildState;
const patient = { timeout: 60_000, interval: 5 };

let database: Database;
beforeAll(async () => {
  database = await testDatabase('houses');
  await database.migrate([
    eventTables,
    `create table houses (name text primary key, state text not null, failure text not null default '',
       progress jsonb, built_by text, created_at timestamptz not null default now())`,
    buildColumns('houses'),
    buildClaimColumns('houses'),
  ]);
});
beforeEach(async () => {
  await database.query('truncate houses, outbox');
});

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** One process of the service, with connections of its own. */
async function replica(
  name: string,
  options: Partial<BuildOptions<Row>> & { readonly database?: Database } = {},
): Promise<Builds<Row>> {
  const own = options.database ?? (await Database.connect(await testDatabaseUrl(), 'houses'));
  const bus = new MemoryBus();
  const context = {
    database: own,
    outbox: new Outbox(own, bus, systemClock),
    clock: systemClock,
    log: jsonLog(() => {}),
    work: 'builds' as const,
  };
  const builds = new Builds<Row>(context, {
    table: 'houses',
    key: 'name',
    order: 'created_at, name',
    what: 'a house',
    everyMs: 20,
    build: async (row) => builtBy(row, name),
    passes: (error) => error instanceof Unavailable,
    failed: (sql, row, { reason }) => emit(sql, topics.datasetFailed, row.name, { name: row.name, reason }),
    ...options,
  });
  builds.start();
  closers.push(async () => {
    await builds.close();
    await own.close();
  });
  return builds;
}

function builtBy(row: Row, name: string): Awaited<ReturnType<BuildOptions<Row>['build']>> {
  return async (sql) => {
    await sql.query('update houses set built_by = $2 where name = $1', [row.name, name]);
    await emit(sql, topics.datasetReady, row.name, { name: row.name, version: name, prefix: '' });
  };
}

async function order(...names: readonly string[]): Promise<void> {
  for (const name of names)
    await database.query('insert into houses (name, state) values ($1, $2)', [name, BUILD_STATE_PENDING]);
}

const rows = () =>
  database.query<{ name: string; state: string; built_by: string | null; failure: string; attempt: number }>(
    'select name, state, built_by, failure, attempt from houses order by name',
  );
const states = async () => Object.fromEntries((await rows()).map(({ name, state }) => [name, state]));
const events = () =>
  database.query<{ topic: string; key: string }>('select topic, key from outbox order by sequence');

function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

it('builds each row once, however many processes there are, and at the same time', async () => {
  const names = Array.from({ length: 30 }, (_, i) => `house-${String(i).padStart(2, '0')}`);
  const begun: string[] = [];
  let together = 0;
  let most = 0;
  const build = (by: string) => async (row: Row) => {
    begun.push(row.name);
    most = Math.max(most, ++together);
    await new Promise((resolve) => setTimeout(resolve, 5));
    together--;
    return builtBy(row, by);
  };
  await order(...names);
  for (const by of ['a', 'b', 'c']) await replica(by, { build: build(by) });
  await expect
    .poll(states, patient)
    .toEqual(Object.fromEntries(names.map((name) => [name, BUILD_STATE_READY])));
  expect(begun.sort()).toEqual(names);
  expect(most).toBeGreaterThan(1);
  expect((await events()).map(({ key }) => key).sort()).toEqual(names);
});

it('hands the row of a process that died to another after the lease, and not before', async () => {
  const dying = await Database.connect(await testDatabaseUrl(), 'houses');
  const started = gate();
  const attempts: Attempt[] = [];
  await order('orphan');
  await replica('dying', {
    database: dying,
    leaseMs: 600,
    build: async (row, attempt) => {
      attempts.push(attempt);
      started.open();
      await aborted(attempt.signal);
      return builtBy(row, 'dying');
    },
  });
  await started.opened;
  await replica('living', { leaseMs: 600 });
  // It renews its claim.
  await new Promise((resolve) => setTimeout(resolve, 1500));
  expect(await rows()).toMatchObject([{ state: BUILD_STATE_BUILDING, attempt: 1 }]);
  // It renews nothing any more, as a process that was killed.
  await dying.close();
  await expect
    .poll(rows, patient)
    .toMatchObject([{ state: BUILD_STATE_READY, built_by: 'living', attempt: 2 }]);
  // It noticed by itself that it may have lost the row.
  await expect.poll(() => attempts[0].signal.aborted, patient).toBe(true);
});

it('takes a row whose process died before the clock was set back', async () => {
  await order('house');
  await database.query("update houses set attempt = 1, free_at = now() + interval '2 hours'");
  await replica('next');
  await expect.poll(states, patient).toEqual({ house: BUILD_STATE_READY });
});

it('lets an attempt change nothing once another has begun, and tells it to stop', async () => {
  const started = gate();
  const go = gate();
  const outcomes: unknown[] = [];
  let stale: Attempt | undefined;
  await order('contested');
  const slow = await replica('slow', {
    build: async (row, attempt) => {
      stale = attempt;
      started.open();
      await go.opened;
      await attempt.report({ phase: 'late', done: 1, total: 1, unit: '' });
      const late = attempt.change((sql) => sql.query("update houses set built_by = 'slow, half'"));
      outcomes.push(await late.catch((error) => error));
      outcomes.push(attempt.signal.aborted);
      return builtBy(row, 'slow');
    },
  });
  await started.opened;
  await replica('quick');
  // As when the slow process has hung for longer than its lease.
  await database.query('update houses set free_at = now()');
  await expect.poll(states, patient).toEqual({ contested: BUILD_STATE_READY });
  go.open();
  await slow.close();
  expect(outcomes).toEqual([expect.any(Aborted), true]);
  expect(stale?.signal.aborted).toBe(true);
  expect(await database.query('select state, built_by, progress, attempt from houses')).toEqual([
    { state: BUILD_STATE_READY, built_by: 'quick', progress: null, attempt: 2 },
  ]);
  expect(await events()).toEqual([{ topic: topics.datasetReady.name, key: 'contested' }]);
});

it.each([
  ['finished', async (row: Row) => builtBy(row, 'slow')],
  [
    'failed',
    async () => {
      throw new FailedPrecondition('too late');
    },
  ],
] as const)('does not let an attempt that %s too late end the row', async (_, end) => {
  const started = gate();
  const go = gate();
  await order('contested');
  const slow = await replica('slow', {
    build: async (row) => {
      started.open();
      await go.opened;
      return end(row);
    },
  });
  await started.opened;
  const holding = gate();
  const quick = gate();
  await replica('quick', {
    build: async (row) => {
      holding.open();
      await quick.opened;
      return builtBy(row, 'quick');
    },
  });
  await database.query('update houses set free_at = now()');
  await holding.opened;
  go.open();
  await slow.close();
  expect(await rows()).toMatchObject([
    { state: BUILD_STATE_BUILDING, failure: '', built_by: null, attempt: 2 },
  ]);
  quick.open();
  await expect.poll(rows, patient).toMatchObject([{ state: BUILD_STATE_READY, built_by: 'quick' }]);
  expect(await events()).toEqual([{ topic: topics.datasetReady.name, key: 'contested' }]);
});

it('keeps others from beginning while the end of an attempt is recorded', async () => {
  const ending = gate();
  const go = gate();
  const begun: string[] = [];
  await order('ending');
  await replica('first', {
    leaseMs: 50,
    build: async (row) => async (sql) => {
      begun.push('first');
      ending.open();
      await go.opened;
      await builtBy(row, 'first')(sql);
    },
  });
  await ending.opened;
  await database.query("insert into houses (name, state) values ('next', $1)", [BUILD_STATE_PENDING]);
  // The claim of the first has ended by now, were it not for its transaction.
  await new Promise((resolve) => setTimeout(resolve, 100));
  await replica('second', {
    build: async (row) => {
      begun.push(`second: ${row.name}`);
      return builtBy(row, 'second');
    },
  });
  await expect.poll(() => begun, patient).toEqual(['first', 'second: next']);
  go.open();
  await expect.poll(states, patient).toEqual({ ending: BUILD_STATE_READY, next: BUILD_STATE_READY });
  expect(begun).toEqual(['first', 'second: next']);
});

it('tries what lacked something again after a pause, and goes on with the others meanwhile', async () => {
  let tries = 0;
  await order('a-lacking', 'b-plain');
  await replica('only', {
    build: async (row) => {
      if (row.name === 'a-lacking' && ++tries < 4) throw new Unavailable('the bricks are late');
      return builtBy(row, 'only');
    },
  });
  await expect
    .poll(states, patient)
    .toEqual({ 'a-lacking': BUILD_STATE_READY, 'b-plain': BUILD_STATE_READY });
  expect((await events()).map(({ key }) => key)).toEqual(['b-plain', 'a-lacking']);
  expect((await rows())[0]).toMatchObject({ attempt: 4, failure: '' });
});

it('lets a build wait for space on the disk, however often, and says so', async () => {
  let full = true;
  let tries = 0;
  await replica('one', {
    build: async (row) => {
      tries++;
      if (full) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
      return builtBy(row, 'one');
    },
  });
  await order('a');
  await expect.poll(() => tries, patient).toBeGreaterThan(30);
  const [{ state, phase }] = await database.query<{ state: string; phase: string }>(
    "select state, progress->>'phase' as phase from houses",
  );
  expect([state, phase]).toEqual([
    BUILD_STATE_BUILDING,
    'waits for space: ENOSPC: no space left on device, write',
  ]);
  full = false;
  await expect.poll(states, patient).toEqual({ a: BUILD_STATE_READY });
});

it('ends what failed for good with the reason and the event, in one transaction', async () => {
  const failing = new Set(['fails']);
  let disturbed = 0;
  await order('fails');
  await replica('only', {
    leaseMs: 100,
    build: async (row) => {
      if (failing.has(row.name)) throw new FailedPrecondition('there is no ground');
      return builtBy(row, 'only');
    },
    failed: async (sql, { name }, { reason, retryable }) => {
      await emit(sql, topics.datasetFailed, name, { name, reason: `${reason}, ${retryable}` });
      if (disturbed++ === 0) throw new Unavailable('the connection breaks');
    },
  });
  await expect
    .poll(rows, patient)
    .toMatchObject([{ state: BUILD_STATE_FAILED, failure: 'there is no ground' }]);
  expect(await events()).toEqual([{ topic: topics.datasetFailed.name, key: 'fails' }]);
  const [{ payload }] = await database.query<{ payload: Buffer }>('select payload from outbox');
  expect(topics.datasetFailed.decode(payload).reason).toBe('there is no ground, false');
});

it('holds up no row behind those that wait', async () => {
  const missing = new Set(['a-waits', 'b-waits']);
  const asked: string[] = [];
  await order('a-waits', 'b-waits', 'c-ready');
  const builds = await replica('only', {
    waits: async ({ name }) => {
      asked.push(name);
      return missing.has(name);
    },
  });
  await expect.poll(states, patient).toEqual({
    'a-waits': BUILD_STATE_PENDING,
    'b-waits': BUILD_STATE_PENDING,
    'c-ready': BUILD_STATE_READY,
  });
  missing.clear();
  builds.wake();
  await expect
    .poll(async () => new Set(Object.values(await states())), patient)
    .toEqual(new Set([BUILD_STATE_READY]));
  expect(asked).toContain('b-waits');
});

it('gives its row back when it closes, for another to take at once', async () => {
  const started = gate();
  await order('left');
  const leaving = await replica('leaving', {
    build: async (row, attempt) => {
      started.open();
      await aborted(attempt.signal);
      attempt.signal.throwIfAborted();
      return builtBy(row, 'leaving');
    },
  });
  await started.opened;
  await leaving.close();
  expect(await database.query('select state, free_at <= now() as free from houses')).toEqual([
    { state: BUILD_STATE_BUILDING, free: true },
  ]);
  await replica('next');
  await expect.poll(rows, patient).toMatchObject([{ state: BUILD_STATE_READY, built_by: 'next' }]);
});

it('gives a row up whose builds die, with the reason, and builds it when it is asked for again', async () => {
  let tries = 0;
  await order('falls');
  const builds = await replica('only', {
    build: async (row) => {
      if (++tries <= 3) throw new BuildDied('it took more than the ground bears');
      return builtBy(row, 'only');
    },
  });
  await expect.poll(rows, patient).toMatchObject([
    {
      state: BUILD_STATE_FAILED,
      failure: 'given up after 3 attempts: it took more than the ground bears',
      attempt: 3,
    },
  ]);
  expect((await events()).map(({ key }) => key)).toEqual(['falls']);
  await database.query("update houses set state = $1, failure = ''", [BUILD_STATE_PENDING]);
  builds.wake();
  await expect.poll(rows, patient).toMatchObject([{ state: BUILD_STATE_READY, attempt: 4 }]);
});

it('gives a row up that nobody came to end, and counts no attempt that was given back', async () => {
  await order('cursed', 'given-back');
  await database.query("update houses set unended = 50 where name = 'cursed'");
  let tries = 0;
  await replica('only', {
    build: async (row) => {
      if (row.name === 'given-back' && ++tries < 3) throw new Unavailable('the bricks are late');
      return builtBy(row, 'only');
    },
  });
  await expect.poll(states, patient).toEqual({ cursed: BUILD_STATE_FAILED, 'given-back': BUILD_STATE_READY });
  expect((await rows())[0].failure).toMatch(/the service ended 50 times while it was built/);
});

it('cancels what is being built here, what waits, and nothing that has ended', async () => {
  const started = gate();
  await order('running', 'waiting');
  let stopped = false;
  const builds = await replica('only', {
    build: async (row, { signal }) => {
      if (row.name !== 'running') return builtBy(row, 'only');
      started.open();
      await aborted(signal);
      stopped = true;
      throw signal.reason;
    },
    waits: async ({ name }) => name === 'waiting',
  });
  await started.opened;
  expect(await builds.cancel('waiting', 'nobody wants it')).toBe(true);
  expect(await builds.cancel('running', 'nobody wants it')).toBe(true);
  expect(stopped).toBe(true);
  expect(await rows()).toMatchObject([
    { name: 'running', state: BUILD_STATE_FAILED, failure: 'nobody wants it', built_by: null },
    { name: 'waiting', state: BUILD_STATE_FAILED, failure: 'nobody wants it', built_by: null },
  ]);
  expect((await events()).map(({ key }) => key)).toEqual(['waiting', 'running']);
  expect(await builds.cancel('running', 'again')).toBe(false);
});

it('lets an attempt change nothing in a row that was deleted and made again', async () => {
  const started = gate();
  const go = gate();
  const again = gate();
  let begun = 0;
  await order('reborn');
  const slow = await replica('slow', {
    leaseMs: 3_600_000,
    build: async (row) => {
      if (++begun > 1) await again.opened;
      else {
        started.open();
        await go.opened;
      }
      return builtBy(row, begun > 1 ? 'the new attempt' : 'the old attempt');
    },
  });
  await started.opened;
  // As another process does.
  await database.query('delete from houses');
  await order('reborn');
  await database.query("update houses set attempt = 1, free_at = now() + interval '50 minutes'");
  go.open();
  await slow.close();
  expect(await rows()).toMatchObject([{ state: BUILD_STATE_PENDING, built_by: null, attempt: 1 }]);
  again.open();
});
