/**
 * Events leave a service through a table: written in the transaction that makes them true, relayed afterwards. Between
 * publishing an event and deleting its row the process may die; then the event is published again, and inboxes see that.
 * Two relays on one table are safe for the same reason, and wasteful.
 */
import { randomUUID } from 'node:crypto';
import { type Clock, Unavailable } from '@emotune/base';
import type { Database, Sql } from '@emotune/database';
import { type Bus, type BusEvent, pauseAfter, type Retry, standardRetry } from './bus.js';
import type { Topic } from './topics.js';

/** The first migration of every service. */
export const eventTables = `
create table outbox (
  sequence bigint generated always as identity primary key,
  event_id uuid not null unique,
  topic text not null,
  key text not null,
  payload bytea not null,
  headers jsonb not null,
  created_at timestamptz not null default now(),
  -- Why it cannot be published; such rows are left alone.
  failure text
);
create table inbox (
  consumer text not null,
  event_id uuid not null,
  received_at timestamptz not null default now(),
  primary key (consumer, event_id)
);`;

/**
 * Records an event in the transaction that makes it true; `Outbox.wake()` after the commit sends it at once.
 * @param key The resource's name: events of one key keep the order of their commits.
 * @param traceparent W3C trace context of the call that led to it.
 */
export async function emit<T>(
  sql: Sql,
  topic: Topic<T>,
  key: string,
  message: T,
  traceparent?: string,
): Promise<void> {
  const id = randomUUID();
  const headers = {
    'event-id': id,
    'content-type': 'application/x-protobuf',
    ...(traceparent === undefined ? {} : { traceparent }),
  };
  // Numbers are given before commits: without the lock an event could be numbered first and seen second.
  await sql.query("select pg_advisory_xact_lock(hashtext(current_schema() || '.outbox'), hashtext($1))", [
    key,
  ]);
  await sql.query('insert into outbox (event_id, topic, key, payload, headers) values ($1, $2, $3, $4, $5)', [
    id,
    topic.name,
    key,
    Buffer.from(topic.encode(message)),
    headers,
  ]);
}

interface Row {
  readonly event_id: string;
  readonly topic: string;
  readonly key: string;
  readonly payload: Buffer;
  readonly headers: Record<string, string>;
}

function eventOf({ event_id, topic, key, payload, headers }: Row): BusEvent {
  return { id: event_id, topic, key, payload: new Uint8Array(payload), headers };
}

const batch = 200;
const everyMs = 1000;

/** Relays the events of one service, those of one key in order; a key that waits holds up no other. */
export class Outbox {
  private readonly closing = new AbortController();
  /** Keys with an event on its way. */
  private readonly busy = new Set<string>();
  private running: Promise<void> | undefined;
  private nap: AbortController | undefined;
  private woken = false;

  constructor(
    private readonly database: Database,
    private readonly bus: Bus,
    private readonly clock: Clock,
    private readonly retry: Retry = standardRetry,
  ) {}

  start(): void {
    this.running ??= this.relay();
  }

  /** Looks into the table at once instead of within a second. */
  wake(): void {
    this.woken = true;
    this.nap?.abort();
  }

  /** Stops relaying. Events on their way are not waited for: they stay in the table and are published again. */
  async close(): Promise<void> {
    this.closing.abort();
    await this.running;
  }

  private async relay(): Promise<void> {
    const { signal } = this.closing;
    while (!signal.aborted) {
      this.woken = false;
      const rows = await this.next();
      for (const [key, events] of byKey(rows)) {
        this.busy.add(key);
        void this.send(events).finally(() => {
          this.busy.delete(key);
          this.wake();
        });
      }
      if (this.woken || signal.aborted) continue;
      this.nap = new AbortController();
      await this.clock.sleep(everyMs, AbortSignal.any([this.nap.signal, signal])).catch(() => {});
      this.nap = undefined;
    }
  }

  /** Nothing while the database is away: the next round reads it. */
  private async next(): Promise<BusEvent[]> {
    const rows = await this.database
      .query<Row>(
        `select event_id, topic, key, payload, headers from outbox
         where failure is null and key <> all($1::text[]) order by sequence limit ${batch}`,
        [[...this.busy]],
      )
      .catch((error): Row[] => {
        if (error instanceof Unavailable) return [];
        throw error;
      });
    return rows.map(eventOf);
  }

  private async send(events: readonly BusEvent[]): Promise<void> {
    for (const event of events) await this.sendOne(event);
  }

  /** Until it is published, or was refused too often for another reason than an absent bus; returns early on close. */
  private async sendOne(event: BusEvent): Promise<void> {
    const { signal } = this.closing;
    let refusals = 0;
    let reason = '';
    for (let calls = 1; !signal.aborted; calls++) {
      try {
        if (refusals < this.retry.tries) await this.publish(event);
        else
          await this.database.query('update outbox set failure = $2 where event_id = $1', [event.id, reason]);
        return;
      } catch (error) {
        if (!(error instanceof Unavailable)) {
          refusals++;
          reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
        }
      }
      await this.clock.sleep(pauseAfter(calls, this.retry), signal).catch(() => {});
    }
  }

  private async publish(event: BusEvent): Promise<void> {
    await this.bus.publish([event]);
    await this.database.query('delete from outbox where event_id = $1', [event.id]);
  }
}

/** Groups events, which keep their order. */
function byKey(events: readonly BusEvent[]): Map<string, BusEvent[]> {
  const result = new Map<string, BusEvent[]>();
  for (const event of events) {
    const before = result.get(event.key);
    if (before) before.push(event);
    else result.set(event.key, [event]);
  }
  return result;
}
