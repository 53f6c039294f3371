/**
 * Events in PostgreSQL: each is written once, with a delivery for every group that takes its topic. The first delivery of
 * a group, topic and key is claimed, for as long as the claim is renewed; the others of that key wait behind it. All
 * times are the server's, so that members need not agree on the time.
 */
import type { Database, Sql } from '@emotune/database';
import { type BusEvent, deadLetterDays, type Lag } from './bus.js';

export const eventLogMigrations: readonly string[] = [
  `create table subscriptions (consumer text, topic text, primary key (consumer, topic));
  create table events (
    position bigint generated always as identity primary key,
    event_id uuid not null,
    topic text not null,
    key text not null,
    payload bytea not null,
    headers jsonb not null,
    published_at timestamptz not null default now()
  );
  create table deliveries (
    consumer text not null,
    position bigint not null references events,
    topic text not null,
    key text not null,
    -- How often it was claimed, which tells a claim from an older one, and how often the event was at fault.
    calls int not null default 0,
    tries int not null default 0,
    -- When it may be claimed: the end of a claim or of a pause.
    free_at timestamptz not null default now(),
    primary key (consumer, position),
    -- Deleting the subscriptions of a group that is gone deletes what it has left.
    foreign key (consumer, topic) references subscriptions on delete cascade
  );
  create index on deliveries (consumer, topic, key, position);
  create index on deliveries (position)`,
];

/** Notified when events are published. */
export const eventChannel = 'emotune_events';

export interface Claim {
  readonly group: string;
  readonly position: number;
  readonly calls: number;
  readonly tries: number;
  readonly event: BusEvent;
}

interface ClaimRow {
  readonly position: number;
  readonly calls: number;
  readonly tries: number;
  readonly event_id: string;
  readonly topic: string;
  readonly key: string;
  readonly payload: Buffer;
  readonly headers: Record<string, string>;
}

/** Adds events, in their order, for the groups that take their topics. To be called within a transaction. */
export async function append(sql: Sql, events: readonly BusEvent[]): Promise<void> {
  const lanes = events.map(({ topic, key }) => JSON.stringify([topic, key]));
  // Positions are given before commits: without the locks an event could come to stand before one that was handed out.
  await sql.query(
    `select pg_advisory_xact_lock(hashtext(current_schema() || '.events'), lane)
     from (select distinct hashtext(lane) as lane from unnest($1::text[]) as lane order by lane) as lanes`,
    [lanes],
  );
  await sql.query(
    `with published as (
       insert into events (event_id, topic, key, payload, headers)
       select event_id, topic, key, payload, headers
       from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::jsonb[])
         with ordinality as event (event_id, topic, key, payload, headers, number)
       where topic like '%.dlq' or exists (select 1 from subscriptions where topic = event.topic)
       order by number
       returning position, topic, key, headers->>'group' as for_group
     )
     insert into deliveries (consumer, position, topic, key)
     select consumer, position, topic, key from published join subscriptions using (topic)
     where topic like '%.dlq' or coalesce(for_group, consumer) = consumer`,
    [
      events.map(({ id }) => id),
      events.map(({ topic }) => topic),
      events.map(({ key }) => key),
      events.map(({ payload }) => Buffer.from(payload)),
      events.map(({ headers }) => JSON.stringify(headers)),
    ],
  );
  await sql.query('select pg_notify($1, current_schema())', [eventChannel]);
}

export async function enter(sql: Sql, group: string, topics: readonly string[]): Promise<void> {
  await sql.query(
    'insert into subscriptions (consumer, topic) select $1, unnest($2::text[]) on conflict do nothing',
    [group, topics],
  );
}

/** What these groups have not taken yet. */
export async function lagOf(sql: Sql, groups: readonly string[]): Promise<Lag[]> {
  return await sql.query<Lag>(
    `select s.consumer as group, s.topic, count(d.position)::int as events
     from subscriptions s left join deliveries d using (consumer, topic)
     where s.consumer = any($1) group by s.consumer, s.topic`,
    [groups],
  );
}

/** Claims up to `most` deliveries of these topics, each the first of its key, the oldest first. */
export async function claim(
  sql: Sql,
  group: string,
  topics: readonly string[],
  options: { readonly most: number; readonly leaseMs: number },
): Promise<Claim[]> {
  // The recursion jumps from key to key in the index, however many deliveries each has.
  const rows = await sql.query<ClaimRow>(
    `with recursive heads as (
       (select topic, key, position from deliveries
        where consumer = $1 order by topic, key, position limit 1)
       union all
       select next.topic, next.key, next.position from heads, lateral (
         select topic, key, position from deliveries
         where consumer = $1 and (topic, key) > (heads.topic, heads.key)
         order by topic, key, position limit 1
       ) as next
     ), free as (
       select d.position from heads join deliveries d on d.consumer = $1 and d.position = heads.position
       where d.topic = any($2)
         -- Much further ahead than any claim lasts: the clock was set back.
         and (d.free_at <= now() or d.free_at > now() + 2 * $4 * interval '1 millisecond')
       order by d.position limit $3
       for update of d skip locked
     ), claimed as (
       update deliveries d set calls = calls + 1, free_at = now() + $4 * interval '1 millisecond'
       from free where d.consumer = $1 and d.position = free.position
       returning d.position, d.calls, d.tries
     )
     select claimed.*, event_id, topic, key, payload, headers
     from claimed join events using (position) order by position`,
    [group, topics, options.most, options.leaseMs],
  );
  return rows.map(({ position, calls, tries, event_id, topic, key, payload, headers }) => ({
    group,
    position,
    calls,
    tries,
    event: { id: event_id, topic, key, payload: new Uint8Array(payload), headers },
  }));
}

const isClaim = 'consumer = $1 and position = $2 and calls = $3';
const keyOf = ({ group, position, calls }: Claim) => [group, position, calls];

export async function renew(sql: Sql, claim: Claim, leaseMs: number): Promise<void> {
  await sql.query(`update deliveries set free_at = now() + $4 * interval '1 millisecond' where ${isClaim}`, [
    ...keyOf(claim),
    leaseMs,
  ]);
}

/** The delivery is done with. False when the claim was lost. */
export async function settle(sql: Sql, claim: Claim): Promise<boolean> {
  const rows = await sql.query(`delete from deliveries where ${isClaim} returning 1`, keyOf(claim));
  return rows.length > 0;
}

/** The delivery may be claimed again after a pause. */
export async function postpone(sql: Sql, claim: Claim, tries: number, pauseMs: number): Promise<void> {
  await sql.query(
    `update deliveries set tries = $4, free_at = now() + $5 * interval '1 millisecond' where ${isClaim}`,
    [...keyOf(claim), tries, pauseMs],
  );
}

/** Deletes what every group has taken. */
export async function prune(database: Database): Promise<void> {
  await database.query(
    `delete from events e where not exists (select 1 from deliveries d where d.position = e.position)
     and (topic not like '%.dlq' or published_at < now() - $1 * interval '1 day')`,
    [deadLetterDays],
  );
}
