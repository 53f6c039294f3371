/** Takes events in so that each has its effect once, however often it is delivered. */
import { Internal } from '@emotune/base';
import { spanned } from '@emotune/base/trace';
import type { Database, Sql } from '@emotune/database';
import type { Bus, BusEvent } from './bus.js';
import { messageOfEvent, type Topic } from './topics.js';

/** What a group does with the events of one topic; made by `on`. */
export interface TopicHandler {
  readonly topic: string;
  /** What is to be done about an event. @throws Poison when it cannot be read */
  readonly read: (event: BusEvent) => (sql: Sql) => Promise<void>;
}

export function on<T>(topic: Topic<T>, handle: (sql: Sql, message: T) => Promise<void>): TopicHandler {
  return {
    topic: topic.name,
    read: (event) => {
      const message = messageOfEvent(topic, event);
      return (sql) => handle(sql, message);
    },
  };
}

/**
 * Subscribes `group` to all of its topics. An event is noted in the inbox in the transaction in which its handler acts,
 * so a second delivery does nothing. The handler may run again when its transaction does; long work belongs to a worker
 * that it wakes by what it writes. Returns how to leave.
 */
export function consume(options: {
  readonly database: Database;
  readonly bus: Bus;
  readonly group: string;
  readonly handlers: readonly TopicHandler[];
}): Promise<() => Promise<void>> {
  const { database, bus, group, handlers } = options;
  const byTopic = new Map(handlers.map(({ topic, read }) => [topic, read]));
  if (byTopic.size < handlers.length) throw new Internal(`group ${group} has two handlers of one topic`);
  return bus.subscribe(group, [...byTopic.keys()], async (event) => {
    const read = byTopic.get(event.topic);
    if (!read) throw new Internal(`group ${group} takes no ${event.topic}`);
    const act = read(event);
    const span = { parent: event.headers['traceparent'] ?? '', kind: 'consumer' } as const;
    const taking = () =>
      database.transaction(async (sql) => {
        const taken = await sql.query(
          'insert into inbox (consumer, event_id) values ($1, $2) on conflict do nothing returning 1',
          [group, event.id],
        );
        if (taken.length > 0) await act(sql);
      });
    await spanned(
      `take ${event.topic}`,
      { ...span, attributes: { 'messaging.consumer.group.name': group } },
      taking,
    );
  });
}
