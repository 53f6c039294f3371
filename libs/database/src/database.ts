/** PostgreSQL for one service: its own schema, migrations, transactions. */
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import {
  Aborted,
  aborted,
  EmotuneError,
  FailedPrecondition,
  ResourceExhausted,
  systemClock,
  Unavailable,
} from '@emotune/base';
import pg from 'pg';
import { parseIntoClientConfig } from 'pg-connection-string';
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
/** After so many of them a transaction keeps others from what they overtake it by. */
const patience = 3;
/** A server that takes a connection and says nothing for so long is away. */
export const connectMs = 10_000;
/** Between two attempts to reach a server that is away. */
const lookMs = 250;
/** Any number that no other program takes: migrations of one schema wait for each other. */
const migrationLock = 0x656d6f74;

// int8 and numeric as numbers: ours stay below 2^53.
const types = new pg.TypeOverrides();
types.setTypeParser(pg.types.builtins.INT8, Number);
types.setTypeParser(pg.types.builtins.NUMERIC, Number);

export interface DatabaseSettings {
  /** Connections at a time, beside those of sessions; default 5. */
  readonly pool?: number;
  /** How long a statement, or a pause within a transaction, may take; default 60. Migrations take what they take. */
  readonly statementSeconds?: number;
  /** Holds the password, read at each connection, so that it may change. */
  readonly passwordFile?: string | undefined;
  /** Somebody else makes the schema and migrates it, as a user that this one need not be; default false. */
  readonly migratedByOthers?: boolean;
}

/** A schema that others migrate, and have not yet. */
export class SchemaBehind extends Unavailable {}

const noCertificate = /CERT|^ERR_TLS|^UNABLE_TO_/;

/** Errors of the server's state, of its disk and of the connection get our names; those of a statement stay. */
function named(cause: Error & { code?: string }): Error {
  const code = cause.code ?? '';
  if (cause instanceof EmotuneError) return cause;
  if (code === '57014' || code === '25P03')
    return new Unavailable(
      `PostgreSQL ended what took longer than EMOTUNE_DATABASE_STATEMENT_SECONDS allows: ${cause.message}`,
      { cause },
    );
  if (/^(28|3D)/.test(code))
    return new FailedPrecondition(`PostgreSQL refuses the connection: ${cause.message}`, { cause });
  if (noCertificate.test(code))
    return new FailedPrecondition(
      `PostgreSQL shows a certificate that is not trusted (${code}); name its authority by sslrootcert in the URL`,
      { cause },
    );
  if (/does not support SSL/.test(cause.message))
    return new FailedPrecondition('PostgreSQL has no TLS; take sslmode out of the URL, or turn it on there', {
      cause,
    });
  if (code.startsWith('53') || code === '54000') {
    return new ResourceExhausted(`PostgreSQL has run out of something: ${cause.message}`, { cause });
  }
  const lost =
    /^(08|57P|E[A-Z_]{3,})/.test(code) ||
    /^Cannot use a pool after calling end|^Connection terminated|^Client (has encountered|was closed)|^timeout expired$|timeout exceeded when/.test(
      cause.message,
    );
  return lost ? new Unavailable(`PostgreSQL cannot be reached: ${cause.message}`, { cause }) : cause;
}

/** @throws FailedPrecondition where a file that it names cannot be read. */
function configOf(url: string): pg.ClientConfig {
  try {
    return parseIntoClientConfig(url) as pg.ClientConfig;
  } catch (cause) {
    const { code, path } = cause as NodeJS.ErrnoException;
    if (path === undefined) throw cause;
    throw new FailedPrecondition(
      `expected a readable file where the URL of PostgreSQL names one, got ${code}: ${path}`,
      { cause },
    );
  }
}

async function passwordIn(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (cause) {
    throw new FailedPrecondition(
      `EMOTUNE_DATABASE_PASSWORD_FILE: expected a readable file, got ${(cause as NodeJS.ErrnoException).code}: ${file}`,
      { cause },
    );
  }
}

export class Database implements Sql {
  private closed: Promise<void> | undefined;
  private readonly sessions = new Set<Session>();

  private constructor(
    private readonly pool: pg.Pool,
    private readonly connection: pg.ClientConfig,
    readonly schema: string,
    private readonly migratedByOthers: boolean,
  ) {}

  /**
   * @param url as libpq has it; with sslmode the server's certificate is always checked, by sslrootcert where that is given
   * @throws Unavailable when the server does not answer; FailedPrecondition when it refuses user, database or TLS.
   */
  static async connect(url: string, schema: string, settings: DatabaseSettings = {}): Promise<Database> {
    const { pool: max = 5, statementSeconds = 60, passwordFile, migratedByOthers = false } = settings;
    const limitMs = 1000 * statementSeconds;
    const connection: pg.ClientConfig = {
      ...configOf(url),
      ...(passwordFile === undefined ? {} : { password: () => passwordIn(passwordFile) }),
      connectionTimeoutMillis: connectMs,
      options: [
        ...[`-c search_path=${schema}`, `-c statement_timeout=${limitMs}`],
        `-c idle_in_transaction_session_timeout=${limitMs}`,
      ].join(' '),
      types,
    };
    const pool = new pg.Pool({ ...connection, max });
    // A connection that breaks between statements is replaced at the next one.
    pool.on('error', () => {});
    pool.on('connect', (client) => client.on('error', () => {}));
    const database = new Database(pool, connection, schema, migratedByOthers);
    try {
      if (migratedByOthers) await database.query('select 1');
      else
        await database.run('read committed', async (sql) => {
          await database.lock(sql);
          await sql.query(`create schema if not exists ${pg.escapeIdentifier(schema)}`);
        });
    } catch (error) {
      await pool.end();
      const { code = '', message } = error as { code?: string; message: string };
      if (code !== '42501') throw error;
      throw new FailedPrecondition(`PostgreSQL refuses the connection: ${message}`, { cause: error });
    }
    return database;
  }

  /**
   * Applies those of `migrations` that have not been: each runs once, in order. Append only. Where others migrate, looks whether
   * they have.
   * @returns how many there were before
   * @throws FailedPrecondition when the schema has migrations that this code does not know, or this user may not use it; SchemaBehind
   */
  async migrate(migrations: readonly string[]): Promise<number> {
    if (this.migratedByOthers) return this.seeMigrated(migrations.length);
    let before = 0;
    // Read committed: what is done must be read after the wait for the lock, not before.
    await this.run('read committed', async (sql) => {
      await this.lock(sql);
      await sql.query(
        'create table if not exists migrations (number int primary key, applied_at timestamptz not null default now())',
      );
      before = await this.countMigrations(sql, migrations.length);
      for (const [number, text] of migrations.entries()) {
        if (number < before) continue;
        await sql.query(text);
        await sql.query('insert into migrations (number) values ($1)', [number]);
      }
    });
    return before;
  }

  private async countMigrations(sql: Sql, known: number): Promise<number> {
    const [{ count }] = await sql.query<{ count: number }>('select count(*) from migrations');
    if (count > known) {
      throw new FailedPrecondition(
        `The database schema ${this.schema} was written by a newer version of EmoTune ` +
          `(${count} migrations, ${known} known); run that version`,
      );
    }
    return count;
  }

  private async seeMigrated(needed: number): Promise<number> {
    const { schema } = this;
    const behind = (found: number) =>
      new SchemaBehind(
        `the schema ${schema} has ${found} of ${needed} migrations; the command migrate of its service applies them`,
      );
    const [there] = await this.query<{ user: string; usable: boolean; migrated: boolean }>(
      `select current_user as user, has_schema_privilege(oid, 'usage') as usable,
         exists (select from pg_class where relnamespace = n.oid and relname = 'migrations') as migrated
       from pg_namespace n where nspname = $1`,
      [schema],
    );
    const mayNot = (what: string) =>
      new FailedPrecondition(
        `PostgreSQL: the user ${there.user} may not use ${what}; who migrates must grant it: docs/operations.md, "Who may change schemas"`,
      );
    if (!there) throw behind(0);
    if (!there.usable) throw mayNot(`the schema ${schema}`);
    if (!there.migrated) throw behind(0);
    const [barred] = await this.query<{ name: string }>(
      `select relname as name from pg_class where relnamespace = to_regnamespace($1) and relkind in ('r', 'p')
         and not (has_table_privilege(oid, 'select') and has_table_privilege(oid, 'insert')
           and has_table_privilege(oid, 'update') and has_table_privilege(oid, 'delete')) limit 1`,
      [pg.escapeIdentifier(schema)],
    );
    if (barred) throw mayNot(`the table ${schema}.${barred.name}`);
    const found = await this.countMigrations(this, needed);
    if (found < needed) throw behind(found);
    return found;
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
   * @param contended A table in which others change rows all the time. Once they have overtaken `work` a few times, it runs
   * while they wait. They must lock or change a row of it before those of any other table.
   * @throws Aborted when that happens every time; Unavailable when the connection breaks: then it may be committed or not.
   */
  transaction<T>(
    work: (sql: Sql) => Promise<T>,
    isolation: 'serializable' | 'read committed' = 'serializable',
    contended?: string,
  ): Promise<T> {
    return this.run(isolation, work, contended);
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

  /** For as long as it takes: another replica may be migrating. */
  private async lock(sql: Sql): Promise<void> {
    await sql.query('set local statement_timeout = 0');
    await sql.query('select pg_advisory_xact_lock($1, hashtext($2))', [migrationLock, this.schema]);
  }

  private async run<T>(isolation: string, work: (sql: Sql) => Promise<T>, contended?: string): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.runOnce(isolation, work, attempt > patience ? contended : undefined);
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

  private async runOnce<T>(
    isolation: string,
    work: (sql: Sql) => Promise<T>,
    alone: string | undefined,
  ): Promise<T> {
    const client = await this.pool.connect();
    let broken: Error | undefined;
    try {
      await client.query(`begin isolation level ${isolation}`);
      // Before anything is read: what it reads is as of then. Rows that others lock come under it as well.
      if (alone !== undefined)
        await client.query(`lock table ${pg.escapeIdentifier(alone)} in exclusive mode`);
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
