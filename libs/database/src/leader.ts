/**
 * Work that one process at a time does, of all that serve one schema: whoever holds an advisory lock, on a connection of
 * its own, so that the server frees the lock when the process or the connection is gone.
 */
import { Aborted, type Clock, policyOf } from '@emotune/base';
import type { Database, Sql } from './database.js';
import type { Session } from './session.js';

/** Who does not lead asks this often whether it may, and tries as often to connect. */
const askMs = 1_000;
/** Until the server has ended a session. */
const endsMs = 100;

export interface Term {
  /** Aborts when the term ends: it is lost, or this process is to lead no more. */
  readonly signal: AbortSignal;
  /** Aborts as soon as it is lost. Another may lead by then: what must not be done by two is fenced. */
  readonly lost: AbortSignal;
  /** The connection that holds the lock. */
  readonly session: Session;
}

/** Who may lead, where something other than the lock decides it. Who is elected takes the lock from whoever holds it. */
export interface Election {
  /** Resolves when this process is elected. @throws the signal's reason once that aborts, nothing before */
  win(name: string, signal: AbortSignal): Promise<Mandate>;
}

interface Mandate {
  /** Aborts when it is lost: another may be elected from then on. */
  readonly lost: AbortSignal;
  /** Has another elected soon, if it can. */
  giveUp(): Promise<void>;
}

export interface LeadOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Without, whoever has the lock leads. */
  readonly election?: Election | undefined;
}

/**
 * Calls `work` each time that this process has come to lead, until `signal` aborts; resolves when `work` has ended and
 * the lock is free. `work` ends when its term does; what it throws is passed on, unless it may succeed later: then it is
 * called again.
 */
export async function lead(
  database: Database,
  name: string,
  { clock, signal, election }: LeadOptions,
  work: (term: Term) => Promise<void>,
): Promise<void> {
  while (!signal.aborted) {
    // Who has no database does not stand for election.
    const session = await database.session().catch(ifAway);
    if (session) {
      let mandate: Mandate | undefined;
      let over = AbortSignal.any([signal, session.lost]);
      try {
        mandate = await election?.win(name, over);
        const lost = mandate ? AbortSignal.any([session.lost, mandate.lost]) : session.lost;
        over = AbortSignal.any([signal, lost]);
        while (!(await lock(session, name))) {
          if (mandate) await endHolder(session, name);
          await clock.sleep(mandate ? endsMs : askMs, over);
        }
        await work({ signal: over, lost, session });
      } catch (error) {
        if (!over.aborted) ifAway(error);
      } finally {
        // The server may notice the end of a connection later than its client does.
        if (!session.lost.aborted) await session.query('select pg_advisory_unlock_all()').catch(ifAway);
        await session.close();
        await mandate?.giveUp();
      }
    }
    await clock.sleep(askMs, signal).catch(() => {});
  }
}

const lockKey = "hashtext(current_schema() || '.leaders'), hashtext($1)";

async function lock(session: Session, name: string): Promise<boolean> {
  const [{ locked }] = await session.query<{ locked: boolean }>(
    `select pg_try_advisory_lock(${lockKey}) as locked`,
    [name],
  );
  return locked;
}

/** Of a process that was elected before, and may stand still. One of another user is not ended: its lock is waited for. */
async function endHolder(session: Session, name: string): Promise<void> {
  await session.query(
    `select pg_terminate_backend(pid) from pg_locks join pg_stat_activity using (pid)
       where locktype = 'advisory' and granted and objsubid = 2 and usename = current_user and datname = current_database()
         and (classid::bigint, objid::bigint) in (select c::bigint & 4294967295, o::bigint & 4294967295
           from (select ${lockKey}) as key (c, o))`,
    [name],
  );
}

/** A migration of services with fenced work. */
export const epochTable = 'create table epochs (name text primary key, epoch bigint not null)';

/**
 * Begins a new epoch of that name. Transactions that call what this resolves to are over, or fail, once another epoch has
 * begun: of two processes that both believe to lead, the older one changes nothing any more.
 */
export async function beginEpoch(database: Database, name: string): Promise<(sql: Sql) => Promise<void>> {
  // Waits for transactions of the epoch before.
  const [{ epoch }] = await database.query<{ epoch: number }>(
    `insert into epochs values ($1, 1) on conflict (name) do update set epoch = epochs.epoch + 1 returning epoch`,
    [name],
  );
  return async (sql) => {
    const [now] = await sql.query<{ epoch: number }>('select epoch from epochs where name = $1 for share', [
      name,
    ]);
    if (now?.epoch !== epoch) throw new Aborted(`another process leads ${name} now`);
  };
}

/** For what is tried again when PostgreSQL is back, or has room again. */
function ifAway(error: unknown): undefined {
  if (!policyOf(error).retryable) throw error;
}
