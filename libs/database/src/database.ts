/** PostgreSQL for one service: its own schema, migrations, transactions. */
import { setTimeout as delay } from 'node:timers/promises';
import {
  Aborted,
  aborted,
  FailedPrecondition,
  ResourceExhausted,
  systemClock,
  Unavailable,
} from '@emotune/base';
import pg from 'pg';
import { Session } from './session.js';

/** Runs statements: on any connection, or inside one transaction. */
export interface Sql {
  query<Row extends object = Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
  ): Promise<Row[]>;
}

/** Serialization failure, deadlock. */
const overtaken = new Set(['40001', '40P01']);
const attempts = 12;
/** Between two attempts to reach a server that is away. */
const lookMs = 250;
/** Any number that no other program takes: migrations of one schema wait for each other. */
const migrationLock = 0x656d6f74;

// int8 and numeric as numbers: ours stay below 2^53.
const types = new pg.TypeOverrides();
types.setTypeParser(pg.types.builtins.INT8, Number);
types.setTypeParser(pg.types.builtins.NUMERIC, Number);

/** Errors of the server's state, of its disk and of the connection get our names; those of a statement stay. */
function named(cause: Error & { code?: string }): Error {
  const code = cause.code ?? '';
  if (code.startsWith('53') || code === '54000') {
    return new ResourceExhausted(`PostgreSQL has run out of something: ${cause.message}`, { cause });
  }
  const lost =
    /^(08|57P|E[A-Z_]{3,})/.test(code) ||
    /^Cannot use a pool after calling end|^Connection terminated|^Client (has encountered|was closed)|timeout exceeded when/.test(
      cause.message,
    );
  return lost ? new Unavailable(`PostgreSQL cannot be reached: ${cause.message}`, { cause }) : cause;
}

export class Database implements Sql {
  private closed: Promise<void> | undefined;
  private readonly sessions = new Set<Session>();

  private constructor(
    private readonly pool: pg.Pool,
    private readonly connection: pg.ClientConfig,
    readonly schema: string,
  ) {}

  /** @throws Unavailable when the server does not answer; FailedPrecondition when it refuses user or database. */
  static async connect(url: string, schema: string): Promise<Database> {
    const connection: pg.ClientConfig = {
      connectionString: url,
      connectionTimeoutMillis: 10_000,
      options: `-c search_path=${schema}`,
      types,
    };
    const pool = new pg.Pool({ ...connection, max: 5 });
    // A connection that breaks between statements is replaced at the next one.
    pool.on('error', () => {});
    pool.on('connect', (client) => client.on('error', () => {}));
    const database = new Database(pool, connection, schema);
    try {
      await database.run('read committed', async (sql) => {
        await database.lock(sql);
        await sql.query(`create schema if not exists ${pg.escapeIdentifier(schema)}`);
      });
    } catch (error) {
      await pool.end();
      const { code = '', message } = error as { code?: string; message: string };
      if (!/^(28|3D|42501)/.test(code)) throw error;
      throw new FailedPrecondition(`PostgreSQL refuses the connection: ${message}`, { cause: error });
    }
    return database;
  }

  /**
   * Applies those of `migrations` that have not been: each runs once, in order. Append only.
   * @throws FailedPrecondition when the schema has migrations that this code does not know.
   */
  async migrate(migrations: readonly string[]): Promise<void> {
    // Read committed: what is done must be read after the wait for the lock, not before.
    await this.run('read committed', async (sql) => {
      await this.lock(sql);
      await sql.query(
        'create table if not exists migrations (number int primary key, applied_at timestamptz not null default now())',
      );
      const [{ count }] = await sql.query<{ count: number }>('select count(*) from migrations');
      if (count > migrations.length) {
        throw new FailedPrecondition(
          `The database schema ${this.schema} was written by a newer version of EmoTune ` +
            `(${count} migrations, ${migrations.length} known); run that version`,
        );
      }
      for (const [number, text] of migrations.entries()) {
        if (number < count) continue;
        await sql.query(text);
        await sql.query('insert into migrations (number) values ($1)', [number]);
      }
    });
  }

  async query<Row extends object>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    try {
      return (await this.pool.query(text, [...values])).rows;
    } catch (error) {
      throw named(error as Error);
    }
  }

  /**
   * Runs `work` in one transaction; it runs again when another transaction came in between. Serializable, unless told
   * that `work` locks the rows that it depends on: such transactions never make serializable ones run again for what
   * they only read.
   * @throws Aborted when that happens every time; Unavailable when the connection breaks: then it may be committed or not.
   */
  transaction<T>(
    work: (sql: Sql) => Promise<T>,
    isolation: 'serializable' | 'read committed' = 'serializable',
  ): Promise<T> {
    return this.run(isolation, work);
  }

  /** A connection beside the pool, until it or this is closed. @throws Unavailable, also once this is closed. */
  async session(): Promise<Session> {
    if (this.closed) throw new Unavailable('The connection to PostgreSQL is closed');
    const client = new pg.Client(this.connection);
    // Before it is connected, an error also rejects the attempt.
    client.on('error', () => {});
    try {
      await client.connect();
    } catch (error) {
      throw named(error as Error);
    }
    const session = new Session(client, named);
    this.sessions.add(session);
    session.lost.addEventListener('abort', () => this.sessions.delete(session));
    if (this.closed) await session.close();
    return session;
  }

  /**
   * Tells whether the server is there: at first, and at each change, until the signal aborts. A server that says nothing
   * is taken for away after some seconds.
   */
  async watch(tell: (isThere: boolean, reason: string) => void, signal: AbortSignal): Promise<void> {
    let said: boolean | undefined;
    const say = (isThere: boolean, reason = '') => {
      if (said !== isThere && !signal.aborted) tell(isThere, reason);
      said = isThere;
    };
    while (!signal.aborted) {
      try {
        const session = await this.session();
        say(true);
        await aborted(AbortSignal.any([session.lost, signal]));
        if (session.lost.aborted) say(false, (session.lost.reason as Error).message);
        await session.close();
      } catch (error) {
        say(false, (error as Error).message);
      }
      await systemClock.sleep(lookMs, signal).catch(() => {});
    }
  }

  /** Ends its sessions, and the pool once its queries have ended; a second call changes nothing. */
  close(): Promise<void> {
    this.closed ??= Promise.all([this.pool.end(), ...[...this.sessions].map((of) => of.close())]).then(
      () => {},
    );
    return this.closed;
  }

  private async lock(sql: Sql): Promise<void> {
    await sql.query('select pg_advisory_xact_lock($1, hashtext($2))', [migrationLock, this.schema]);
  }

  private async run<T>(isolation: string, work: (sql: Sql) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.runOnce(isolation, work);
      } catch (error) {
        if (!overtaken.has((error as { code?: string }).code ?? '')) throw named(error as Error);
        if (attempt === attempts) {
          throw new Aborted('Other changes of the same data came in between every time; try again', {
            cause: error,
          });
        }
      }
      await delay(Math.min(2 ** attempt, 100) * Math.random());
    }
  }

  private async runOnce<T>(isolation: string, work: (sql: Sql) => Promise<T>): Promise<T> {
    const client = await this.pool.connect();
    let broken: Error | undefined;
    try {
      await client.query(`begin isolation level ${isolation}`);
      const result = await work({
        query: async (text, values = []) => (await client.query(text, [...values])).rows as never,
      });
      await client.query('commit');
      return result;
    } catch (error) {
      await client.query('rollback').catch((cause) => {
        broken = cause;
      });
      throw error;
    } finally {
      client.release(broken);
    }
  }
}
