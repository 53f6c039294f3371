/**
 * Work that one process at a time does, of all that serve one schema: whoever holds an advisory lock, on a connection of
 * its own, so that the server frees the lock when the process or the connection is gone.
 */
import { Aborted, type Clock, policyOf } from '@emotune/base';
import type { Database, Sql } from './database.js';
import type { Session } from './session.js';

/** Who does not lead asks this often whether it may, and tries as often to connect. */
const askMs = 1_000;

export interface Term {
  /** Aborts as soon as the lock is lost. Another may lead by then: what must not be done by two is fenced. */
  readonly signal: AbortSignal;
  /** The connection that holds the lock. */
  readonly session: Session;
}

/**
 * Calls `work` each time that this process has come to lead, until `signal` aborts; resolves when `work` has ended and
 * the lock is free. `work` ends when its term does; what it throws is passed on, unless it may succeed later: then it is
 * called again.
 */
export async function lead(
  database: Database,
  name: string,
  options: { readonly clock: Clock; readonly signal: AbortSignal },
  work: (term: Term) => Promise<void>,
): Promise<void> {
  const { clock, signal } = options;
  while (!signal.aborted) {
    const session = await database.session().catch(ifAway);
    if (session) {
      const over = AbortSignal.any([signal, session.lost]);
      try {
        while (!(await lock(session, name))) await clock.sleep(askMs, over);
        await work({ signal: over, session });
      } catch (error) {
        if (!over.aborted) ifAway(error);
      } finally {
        // The server may notice the end of a connection later than its client does.
        if (!session.lost.aborted) await session.query('select pg_advisory_unlock_all()').catch(ifAway);
        await session.close();
      }
    }
    await clock.sleep(askMs, signal).catch(() => {});
  }
}

async function lock(session: Session, name: string): Promise<boolean> {
  const [{ locked }] = await session.query<{ locked: boolean }>(
    "select pg_try_advisory_lock(hashtext(current_schema() || '.leaders'), hashtext($1)) as locked",
    [name],
  );
  return locked;
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
