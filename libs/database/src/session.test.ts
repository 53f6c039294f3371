import { Unavailable } from '@emotune/base';
import { beforeAll, expect, it } from 'vitest';
import { Database } from './database.js';
import { testDatabase, testDatabaseUrl } from './testing.js';

let database: Database;
beforeAll(async () => {
  database = await testDatabase('sessions');
});

it('works in the schema of its database and reads numbers as it does', async () => {
  const session = await database.session();
  expect(await session.query('select current_schema() as schema, 5::bigint as five')).toEqual([
    { schema: 'sessions', five: 5 },
  ]);
  await session.close();
  await session.close();
});

it('hears what is notified on its channel, and nothing else', async () => {
  const session = await database.session();
  const heard: string[] = [];
  await session.listen('News', () => heard.push('news'));
  await session.listen('other', () => heard.push('other'));
  await database.query(`select pg_notify('News', '')`);
  await expect.poll(() => heard).toEqual(['news']);
  await session.close();
});

it('tells at once when the server ends it, and refuses from then on', async () => {
  const session = await database.session();
  const [{ pid }] = await session.query<{ pid: number }>('select pg_backend_pid() as pid');
  const lost = new Promise((resolve) => session.lost.addEventListener('abort', resolve));
  await database.query('select pg_terminate_backend($1)', [pid]);
  await lost;
  expect(session.lost.reason).toBeInstanceOf(Unavailable);
  await expect(session.query('select 1')).rejects.toThrow(Unavailable);
  await session.close();
});

it('counts as lost once it is closed, and gives its connection back', async () => {
  const session = await database.session();
  const [{ pid }] = await session.query<{ pid: number }>('select pg_backend_pid() as pid');
  await session.close();
  expect(session.lost.aborted).toBe(true);
  await expect.poll(() => database.query('select 1 from pg_stat_activity where pid = $1', [pid])).toEqual([]);
});

it('ends with its database, and is not to be had of one that is closed', async () => {
  const closed = await Database.connect(await testDatabaseUrl(), 'sessions');
  const session = await closed.session();
  await closed.close();
  expect(session.lost.aborted).toBe(true);
  await expect(closed.session()).rejects.toThrow(Unavailable);
});
