/**
 * Events leave a service through a table: written in the transaction that makes them true, relayed afterwards. Between
 * publishing an event and deleting its row the process may die; then the event is published again, and inboxes see that.
 * One of a service's processes relays, so that events of a key keep their order. One that does not know yet that another
 * has taken over repeats events at most: each relay publishes those of a key in order, from one that was not known to be
 * published on.
 */
import { randomUUID } from 'node:crypto';
import { type Clock, every, Rest, Unavailable } from '@emotune/base';
import { traceparent } from '@emotune/base/trace';
import { type Database, lead, type Sql, type Term } from '@emotune/database';
import { type Bus, type BusEvent, pauseAfter, type Retry, standardRetry, type Tell } from './bus.js';
import { pruneEventTables } from './pruning.js';
import { contentTypeOf, type Topic } from './topics.js';

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
 * Records an event in the transaction that makes it true; the commit wakes the relay, in whichever process it is.
 * @param key The resource's name: events of one key keep the order of their commits.
 * @param parent W3C trace context of what led to it; default: that of the work that emits it.
 */
export async function emit<T>(
  sql: Sql,
  topic: Topic<T>,
  key: string,
  message: T,
  parent: string | undefined = traceparent(),
): Promise<void> {
  const id = randomUUID();
  const headers = {
    'event-id': id,
    'content-type': contentTypeOf(topic),
    ...(parent === undefined ? {} : { traceparent: parent }),
  };
  // Numbers are given before commits: without the lock an event could be numbered first and seen second.
  await sql.query(
    `select pg_advisory_xact_lock(hashtext(current_schema() || '.outbox'), hashtext($1)),
            pg_notify(current_schema() || '.outbox', '')`,
    [key],
  );
  await sql.query('insert into outbox (event_id, topic, key, payload, headers) values ($1, $2, $3, $4, $5)', [
    id,
    topic.name,
    key,
    Buffer.from(topic.encode(message)),
    headers,
  ]);
}

/**
 * Publishes events again that are dead letters, from this table on as if they were new.
 * @throws Unavailable when one is on its way to another group already
 */
export async function emitAgain(sql: Sql, events: readonly BusEvent[]): Promise<void> {
  for (const { id, topic, key, payload, headers } of events) {
    const [row] = await sql.query<{ group: string | null }>(
      `insert into outbox (event_id, topic, key, payload, headers) values ($1, $2, $3, $4, $5)
       on conflict (event_id) do update set failure = null returning headers->>'group' as group`,
      [id, topic, key, Buffer.from(payload), headers],
    );
    if (row.group !== (headers['group'] ?? null))
      throw new Unavailable(`event ${id} is on its way to group ${row.group}; try again in a moment`);
  }
  await sql.query("select pg_notify(current_schema() || '.outbox', '')");
}

/** Takes back what was not published yet of a key: what it tells of is deleted in the same transaction. */
export async function withdraw(sql: Sql, topics: readonly Topic<unknown>[], key: string): Promise<void> {
  const names = topics.map(({ name }) => name);
  await sql.query('delete from outbox where key = $1 and topic = any($2)', [key, names]);
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
const pruneMs = 10 * 60_000;

/** Relays the events of one service, those of one key in order; a key that waits holds up no other. */
export class Outbox {
  private readonly closing = new AbortController();
  /** Keys with an event on its way. */
  private readonly busy = new Set<string>();
  private readonly rest: Rest;
  private running: Promise<void> | undefined;

  constructor(
    private readonly database: Database,
    private readonly bus: Pick<Bus, 'publish'>,
    private readonly clock: Clock,
    private readonly retry: Retry = standardRetry,
    private readonly tell: Tell = () => {},
  ) {
    this.rest = new Rest(clock);
  }

  start(): void {
    const { signal } = this.closing;
    this.running ??= lead(this.database, 'outbox', { clock: this.clock, signal }, (term) => this.relay(term));
  }

  /** Looks into the table at once instead of within a second, if this process relays. */
  wake(): void {
    this.rest.wake();
  }

  /** Stops relaying. Events on their way are not waited for: they stay in the table and are published again. */
  async close(): Promise<void> {
    this.closing.abort();
    await this.running;
  }

  private async relay({ signal, session }: Term): Promise<void> {
    await session.listen(`${this.database.schema}.outbox`, () => this.wake());
    const stopPruning = every(pruneMs, this.clock, () =>
      pruneEventTables(this.database, this.tell, signal).catch(ifAway),
    );
    try {
      await this.relayUntil(signal);
    } finally {
      await stopPruning();
    }
  }

  private async relayUntil(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const rows = await this.next();
      for (const [key, events] of Map.groupBy(rows, ({ key }) => key)) {
        this.busy.add(key);
        void this.send(events, signal).finally(() => {
          this.busy.delete(key);
          this.wake();
        });
      }
      await this.rest.take(everyMs, signal);
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

  private async send(events: readonly BusEvent[], signal: AbortSignal): Promise<void> {
    for (const event of events) await this.sendOne(event, signal);
  }

  /** Until it is published, once as far as this relay knows, or was refused too often for another reason than an absent bus; returns early on abort. */
  private async sendOne(event: BusEvent, signal: AbortSignal): Promise<void> {
    let published = false;
    let refusals = 0;
    let reason = '';
    for (let calls = 1; !signal.aborted; calls++) {
      try {
        if (!published && refusals < this.retry.tries) {
          await this.bus.publish([event]);
          published = true;
        }
        if (published) await this.database.query('delete from outbox where event_id = $1', [event.id]);
        else {
          await this.database.query('update outbox set failure = $2 where event_id = $1', [event.id, reason]);
          this.tell('an event cannot be published and stays in the outbox', { ...nameOf(event), reason });
        }
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
}

const nameOf = ({ id, topic, key }: BusEvent) => ({ event: id, topic, key });

/** For what is tried again when PostgreSQL is back. */
function ifAway(error: unknown): void {
  if (!(error instanceof Unavailable)) throw error;
}
