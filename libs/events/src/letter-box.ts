/** Where a bus without a broker keeps its dead letters. */
import type { Clock } from '@emotune/base';
import type { Database, Sql } from '@emotune/database';
import { type BusEvent, type DeadLetters, type Letter, type LetterFilter, letterOf } from './bus.js';
import { append, eventLogMigrations, prune } from './event-log.js';

export interface LetterBox extends DeadLetters {
  /** @param dead as `deadLetter` makes it. @throws Unavailable when it is not kept. */
  add(dead: BusEvent): Promise<void>;
}

export class MemoryLetters implements LetterBox {
  /** By id, the newest last. */
  private readonly letters = new Map<string, Letter>();
  private added = 0;

  constructor(private readonly clock: Clock) {}

  async add(dead: BusEvent): Promise<void> {
    const letter = letterOf(dead, new Date(this.clock.now()), placeOf(++this.added));
    this.letters.delete(letter.id);
    this.letters.set(letter.id, letter);
  }

  async list(
    which: LetterFilter,
    page: { readonly after: string; readonly limit: number },
  ): Promise<Letter[]> {
    return pageOfLetters([...this.letters.values()], which, page);
  }

  async find(ids: readonly string[]): Promise<Letter[]> {
    return ids.flatMap((id) => this.letters.get(id) ?? []);
  }

  async resend(
    ids: readonly string[],
    send: (events: readonly BusEvent[]) => Promise<void>,
  ): Promise<Letter[]> {
    const found = await this.find(ids);
    await send(found.map(({ event }) => event));
    for (const { id, place } of found) if (this.letters.get(id)?.place === place) this.letters.delete(id);
    return found;
  }
}

/** Sorts as the number does. */
export function placeOf(number: number): string {
  return String(number).padStart(16, '0');
}

/** Of letters in the order of their places. */
export function pageOfLetters(
  letters: readonly Letter[],
  { topic, group }: LetterFilter,
  { after, limit }: { readonly after: string; readonly limit: number },
): Letter[] {
  return letters
    .filter(
      (letter) =>
        letter.place > after &&
        (topic === '' || letter.event.topic === topic) &&
        (group === '' || letter.group === group),
    )
    .slice(0, limit);
}

interface LetterRow {
  readonly position: number;
  readonly event_id: string;
  readonly topic: string;
  readonly key: string;
  readonly payload: Buffer;
  readonly headers: Record<string, string>;
  readonly published_at: Date;
}

/** Of the newest row of each letter. */
const newest = `select distinct on (event_id, headers->>'group') * from events where topic like '%.dlq'`;
const inOrder = `order by event_id, headers->>'group', position desc`;
const isOneOf = `headers->>'group' || '/' || event_id::text = any($1)`;

/** In the bus's schema, among its events. */
export class PostgresLetters implements LetterBox {
  constructor(private readonly database: Database) {}

  /** Over a schema that no bus has opened. */
  static async open(database: Database): Promise<PostgresLetters> {
    await database.migrate(eventLogMigrations);
    await prune(database);
    return new PostgresLetters(database);
  }

  async add(dead: BusEvent): Promise<void> {
    await this.database.transaction((sql) => append(sql, [dead]), 'read committed');
  }

  async list(
    { topic, group }: LetterFilter,
    { after, limit }: { readonly after: string; readonly limit: number },
  ): Promise<Letter[]> {
    const rows = await this.database.query<LetterRow>(
      `select * from (${newest} and ($1 = '' or topic = $1 || '.dlq') and ($2 = '' or headers->>'group' = $2) ${inOrder}) as letters
       where lpad(position::text, 16, '0') > $3 order by position limit $4`,
      [topic, group, after, limit],
    );
    return rows.map(letterOfRow);
  }

  async find(ids: readonly string[]): Promise<Letter[]> {
    return findLetters(this.database, ids);
  }

  async resend(
    ids: readonly string[],
    send: (events: readonly BusEvent[]) => Promise<void>,
  ): Promise<Letter[]> {
    const found = await this.find(ids);
    await send(found.map(({ event }) => event));
    // One that has died again meanwhile is a newer row.
    const newestPlace = Math.max(0, ...found.map(({ place }) => Number(place)));
    await this.database.query(
      `with gone as (select position from events where topic like '%.dlq' and ${isOneOf} and position <= $2),
            deliveries_gone as (delete from deliveries where position in (select position from gone))
       delete from events where position in (select position from gone)`,
      [found.map(({ id }) => id), newestPlace],
    );
    return found;
  }
}

async function findLetters(sql: Sql, ids: readonly string[]): Promise<Letter[]> {
  const rows = await sql.query<LetterRow>(
    `select * from (${newest} and ${isOneOf} ${inOrder}) as letters order by position`,
    [ids],
  );
  return rows.map(letterOfRow);
}

function letterOfRow({ position, event_id, topic, key, payload, headers, published_at }: LetterRow): Letter {
  const dead = { id: event_id, topic, key, payload: new Uint8Array(payload), headers };
  return letterOf(dead, published_at, placeOf(Number(position)));
}
