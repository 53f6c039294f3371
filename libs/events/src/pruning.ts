/** Rows of outbox and inbox that have had their time go in small batches, by the process that relays. */
import type { Database } from '@emotune/database';
import type { Tell } from './bus.js';

/** Longer than a bus keeps an event or a dead letter: until then it may come again. */
export const inboxDays = 45;
/** What could not be published waits so long for a person. */
const refusedDays = 90;

const batch = 1_000;

/** Until nothing is left that is old enough, or the signal aborts. @throws Unavailable */
export async function pruneEventTables(database: Database, tell: Tell, signal: AbortSignal): Promise<void> {
  await inBatches(signal, async () => {
    const gone = await database.query(
      `delete from inbox where ctid = any(array(
         select ctid from inbox where received_at < now() - $1 * interval '1 day' limit ${batch}
       )) returning 1`,
      [inboxDays],
    );
    return gone.length;
  });
  const topics = new Map<string, number>();
  await inBatches(signal, async () => {
    const gone = await database.query<{ topic: string }>(
      `delete from outbox where ctid = any(array(
         select ctid from outbox where failure is not null and created_at < now() - $1 * interval '1 day' limit ${batch}
       )) returning topic`,
      [refusedDays],
    );
    for (const { topic } of gone) topics.set(topic, (topics.get(topic) ?? 0) + 1);
    return gone.length;
  });
  for (const [topic, events] of topics)
    tell('events that could not be published are removed', { topic, events, days: refusedDays });
}

async function inBatches(signal: AbortSignal, remove: () => Promise<number>): Promise<void> {
  while (!signal.aborted && (await remove()) === batch);
}
