/** Takes events in so that each has its effect once, however often it is delivered. */
import type { Database, Sql } from '@emotune/database';
import type { Bus } from './bus.js';
import type { Topic } from './topics.js';

/**
 * Subscribes `group` to a topic. The event is noted in the inbox in the transaction in which `handle` acts, so a second
 * delivery does nothing. `handle` may run again when its transaction does; long work belongs to a worker that it wakes
 * by what it writes. Returns how to leave.
 */
export function consume<T>(options: {
  readonly database: Database;
  readonly bus: Bus;
  readonly group: string;
  readonly topic: Topic<T>;
  readonly handle: (sql: Sql, message: T) => Promise<void>;
}): Promise<() => Promise<void>> {
  const { database, bus, group, topic, handle } = options;
  return bus.subscribe(group, [topic.name], async (event) => {
    const message = topic.decode(event.payload);
    await database.transaction(async (sql) => {
      const taken = await sql.query(
        'insert into inbox (consumer, event_id) values ($1, $2) on conflict do nothing returning 1',
        [group, event.id],
      );
      if (taken.length > 0) await handle(sql, message);
    });
  });
}
