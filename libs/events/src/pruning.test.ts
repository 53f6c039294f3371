import { ManualClock, systemClock } from '@emotune/base';
import { testDatabase } from '@emotune/database/testing';
import { expect, it } from 'vitest';
import { deadLetterDays } from './bus.js';
import { emit, eventTables, Outbox } from './outbox.js';
import { inboxDays, pruneEventTables } from './pruning.js';
import { topics } from './topics.js';

const database = await testDatabase('pruned');
await database.migrate([eventTables]);
const old = (days: number) =>
  database.query(
    "insert into inbox select 'group', gen_random_uuid(), now() - $1 * interval '1 day' from generate_series(1, 2500)",
    [days],
  );
const inbox = async () => (await database.query('select 1 from inbox')).length;

it('inboxes remember for longer than any event or dead letter is kept', () => {
  const kept = Object.values(topics).map(({ retentionDays }) => retentionDays);
  expect(inboxDays).toBeGreaterThan(Math.max(...kept, deadLetterDays));
});

it('removes what is old, however much, tells of events that were never published, and leaves the rest', async () => {
  const told: unknown[] = [];
  await old(inboxDays + 1);
  await old(inboxDays - 1);
  const say = (key: string) =>
    database.transaction((sql) => emit(sql, topics.datasetFailed, key, { name: key, reason: '' }));
  for (const key of ['refused-long-ago', 'refused', 'waits']) await say(key);
  await database.query("update outbox set failure = 'too large' where key like 'refused%'");
  await database.query("update outbox set created_at = now() - interval '91 days' where key <> 'refused'");
  await pruneEventTables(database, (...news) => told.push(news), new AbortController().signal);
  expect(await inbox()).toBe(2500);
  expect(await database.query('select key from outbox order by key')).toEqual([
    { key: 'refused' },
    { key: 'waits' },
  ]);
  expect(told).toEqual([
    [
      'events that could not be published are removed',
      { topic: topics.datasetFailed.name, events: 1, days: 90 },
    ],
  ]);
});

it('is done by the process that relays', async () => {
  await database.query('truncate inbox, outbox');
  await old(inboxDays + 1);
  const clock = new ManualClock();
  const outbox = new Outbox(database, { publish: async () => {} }, clock);
  outbox.start();
  const pruned = async () => {
    clock.advance(60_000);
    await systemClock.sleep(10);
    return inbox();
  };
  await expect.poll(pruned).toBe(0);
  await outbox.close();
});
