/**
 * Rows that are built in the background, by whichever process of the service comes first: a queue in the service's own
 * table. A process claims a row for as long as it renews the claim; each claim is an attempt with an id, and an
 * attempt changes nothing once a later one has begun or the row is cancelled. Times are the database's, so that processes need not
 * agree on one. A row whose builds die is given up after some attempts, so that none takes the service with it again and again.
 */
import { randomUUID } from 'node:crypto';
import { Aborted, every, policyOf } from '@emotune/base';
import type { Sql } from '@emotune/database';
import { common } from '@emotune/proto';
import { BuildDied } from './build-process.js';
import type { ServiceContext } from './host.js';
import { failureText, ProgressRecorder } from './progress.js';
import { Worker } from './worker.js';

const { BUILD_STATE_PENDING, BUILD_STATE_BUILDING, BUILD_STATE_READY, BUILD_STATE_FAILED } =
  common.BuildState;

/** A process that has not renewed its claim for so long has lost it. */
const usualLeaseMs = 30_000;
/** Attempts of a row whose process died. */
const mostDeaths = 3;
/** Attempts of a row that nobody ended: the service itself was gone. That is seldom the row's fault. */
const mostUnended = 50;

/** Appended to the migrations of a table whose rows have state, failure and progress. */
export function buildColumns(table: string): string {
  return `alter table ${table}
    add attempt int not null default 0,
    -- When it may be claimed: the end of a claim or of a pause.
    add free_at timestamptz not null default now()`;
}

/** Appended to those of a table that has the columns above. */
export function buildClaimColumns(table: string): string {
  return `alter table ${table}
    -- The id of the latest attempt. Numbers begin anew where a row is deleted and made again.
    add claim text not null default '',
    -- Attempts whose process died.
    add deaths int not null default 0,
    -- Attempts that were not ended, with the one that runs.
    add unended int not null default 0`;
}

/** One claim on a row. */
export interface Attempt {
  /** Aborts when the process shuts down, or has lost the row to another. */
  readonly signal: AbortSignal;
  /** Resolves when what was reported so far is stored. */
  report(progress: common.Progress): Promise<void>;
  /** Runs in one transaction. @throws Aborted when a later attempt has begun: then it changes nothing. */
  change(work: (sql: Sql) => Promise<unknown>): Promise<void>;
}

/** What a service says of its builds; the queue keeps state, failure and progress. */
export interface BuildOptions<Row extends object> {
  readonly table: string;
  /** The column of its primary key, a text. */
  readonly key: keyof Row & string;
  /** Columns by which those that wait come first. */
  readonly order: string;
  /** For the log: "a dataset". */
  readonly what: string;
  /** Where nothing wakes it, it looks for rows this often; a row that waits is looked at as often. */
  readonly everyMs: number;
  readonly leaseMs?: number;
  /** Whether the row cannot be built yet. What it throws counts as that of `build`. */
  waits?(row: Row, signal: AbortSignal): Promise<boolean>;
  /**
   * Does the work, and resolves to what is to be done in the transaction that makes the row ready, while no other attempt
   * can begin: what others would see of it, as its other columns, its event, and objects under names that attempts share.
   */
  build(row: Row, attempt: Attempt): Promise<(sql: Sql) => Promise<void>>;
  /** Whether the failure passes, so that the row is built again after a pause instead of being failed. */
  passes(error: unknown): boolean;
  /** What is to be done in the transaction that fails the row, while no other attempt can begin. */
  failed(
    sql: Sql,
    row: Row,
    failure: { readonly reason: string; readonly retryable: boolean },
  ): Promise<void>;
}

type Claimed<Row> = Row & { readonly claim: string; readonly deaths: number; readonly unended: number };

export class Builds<Row extends object> {
  private readonly worker: Worker;
  /** The attempt that runs, and its end. */
  private current:
    | { readonly key: unknown; readonly claim: Claim<Row>; readonly ended: Promise<void> }
    | undefined;

  constructor(
    private readonly context: Pick<ServiceContext, 'database' | 'outbox' | 'clock' | 'log' | 'work'>,
    private readonly options: BuildOptions<Row>,
  ) {
    const { clock, log } = context;
    const { what, everyMs } = options;
    this.worker = new Worker((signal) => this.next(signal), {
      name: `builder of ${what}`,
      clock,
      log,
      everyMs,
    });
  }

  start(): void {
    if (this.context.work !== 'nothing') this.worker.start();
  }

  /** Looks for rows soon. */
  wake(): void {
    this.worker.wake();
  }

  /** Gives back what is being built, for another process or a later start. */
  close(): Promise<void> {
    return this.worker.close();
  }

  /** Builds the first row that is free; false when there is none. */
  private async next(shutdown: AbortSignal): Promise<boolean> {
    const row = await this.claim();
    if (!row) return false;
    const { key, what } = this.options;
    const claim = new Claim(this.context, this.options, row, shutdown);
    const ended = this.carryOut(row, claim, shutdown);
    this.current = { key: row[key], claim, ended };
    try {
      await ended;
    } catch (error) {
      if (!claim.isLost) throw error;
      this.context.log.warn(`${what} was cancelled, or taken over by another process`, { [key]: row[key] });
    } finally {
      this.current = undefined;
    }
    this.context.outbox.wake();
    return !shutdown.aborted;
  }

  /**
   * Ends what is being built of a row, or waits to be, and fails it with the reason. An attempt of this process has ended when
   * this resolves; one of another notices when it next says how far it is, or renews its claim.
   * @returns Whether it was to be built.
   */
  async cancel(key: string, reason: string): Promise<boolean> {
    const { database, outbox } = this.context;
    const { current } = this;
    if (current?.key === key) {
      current.claim.lose();
      await current.ended.catch(() => {});
    }
    const { table, key: column, failed } = this.options;
    const cancelled = await database.transaction(async (sql) => {
      const [row] = await sql.query<Row>(
        `select * from ${table} where ${column} = $1 and ${unfinished} for update`,
        [key],
      );
      if (!row) return false;
      await failed(sql, row, { reason, retryable: true });
      await sql.query(`update ${table} set ${endedWith} where ${column} = $1`, [
        key,
        BUILD_STATE_FAILED,
        reason,
      ]);
      return true;
    }, 'read committed');
    outbox.wake();
    return cancelled;
  }

  private async carryOut(row: Claimed<Row>, claim: Claim<Row>, shutdown: AbortSignal): Promise<void> {
    const { key, what, everyMs, passes, failed } = this.options;
    const fail = (reason: string, retryable: boolean) =>
      claim.end(BUILD_STATE_FAILED, reason, (sql) => failed(sql, row, { reason, retryable }));
    if (row.unended > mostUnended)
      return fail(
        `the service ended ${mostUnended} times while it was built; see its log, then ask again`,
        true,
      );
    try {
      const finish = await this.work(row, claim);
      if (finish) await claim.end(BUILD_STATE_READY, '', finish);
      else await claim.release(everyMs);
    } catch (error) {
      if (claim.isLost) throw error;
      // Whoever comes next finds it free.
      if (shutdown.aborted) return claim.release(0);
      this.context.log.warn(`${what} failed`, { [key]: row[key], error });
      if (passes(error)) return claim.release(everyMs);
      if (policyOf(error).ending === 'DiskFull') {
        await claim.report({ phase: `waits for space: ${failureText(error)}`, done: 0, total: 0, unit: '' });
        return claim.release(everyMs);
      }
      if (!(error instanceof BuildDied)) return fail(failureText(error), policyOf(error).retryable);
      if (row.deaths + 1 < mostDeaths) return claim.release(everyMs, 'died');
      await fail(`given up after ${mostDeaths} attempts: ${error.message}`, false);
    }
  }

  private async claim(): Promise<Claimed<Row> | undefined> {
    const { table, key, order, leaseMs = usualLeaseMs } = this.options;
    const [row] = await this.context.database.query<Claimed<Row>>(
      `update ${table} set attempt = attempt + 1, claim = $2, unended = unended + 1,
         free_at = now() + $1 * interval '1 millisecond'
       where ${key} = (
         select ${key} from ${table} where ${unfinished}
           -- Much further ahead than any claim lasts: the clock was set back.
           and (free_at <= now() or free_at > now() + 2 * $1 * interval '1 millisecond')
         order by ${order} limit 1 for update skip locked
       ) returning *`,
      [leaseMs, randomUUID()],
    );
    return row;
  }

  /** What `build` says is to be done in the end; undefined when the row waits. */
  private async work(row: Row, claim: Claim<Row>): Promise<((sql: Sql) => Promise<void>) | undefined> {
    const { build, waits } = this.options;
    const stopRenewing = claim.renewed();
    try {
      if (await waits?.(row, claim.signal)) return undefined;
      await claim.begin();
      return await build(row, claim);
    } finally {
      await claim.settled();
      await stopRenewing();
    }
  }
}

/** What ends a row with the state $2 and the failure $3. */
const endedWith = 'state = $2, failure = $3, progress = null, free_at = now(), deaths = 0, unended = 0';
const unfinished = `state in ('${BUILD_STATE_PENDING}', '${BUILD_STATE_BUILDING}')`;

/** An attempt as the queue sees it. */
class Claim<Row extends object> implements Attempt {
  readonly signal: AbortSignal;
  private readonly lost = new AbortController();
  private readonly progress: ProgressRecorder;
  private readonly id: string;
  private readonly held: string;

  constructor(
    private readonly context: Pick<ServiceContext, 'database' | 'clock' | 'log'>,
    private readonly options: BuildOptions<Row>,
    row: Claimed<Row>,
    shutdown: AbortSignal,
  ) {
    this.signal = AbortSignal.any([shutdown, this.lost.signal]);
    this.id = row.claim;
    this.held = `claim = $1 and ${unfinished}`;
    this.progress = new ProgressRecorder((progress) => this.update('progress = $2', [progress]), context);
  }

  /** Whether another attempt has begun, or may have. */
  get isLost(): boolean {
    return this.lost.signal.aborted;
  }

  report(progress: common.Progress): Promise<void> {
    return this.progress.report(progress);
  }

  change(work: (sql: Sql) => Promise<unknown>): Promise<void> {
    return this.context.database.transaction(async (sql) => {
      // The lock keeps other attempts from beginning before this has an end.
      const rows = await sql.query(`select 1 from ${this.options.table} where ${this.held} for update`, [
        this.id,
      ]);
      if (rows.length === 0) throw this.lose();
      await work(sql);
    }, 'read committed');
  }

  /** Renews the claim until what it returns is called; the claim is lost when that does not succeed for a lease. */
  renewed(): () => Promise<void> {
    const { clock } = this.context;
    const { leaseMs = usualLeaseMs } = this.options;
    let until = clock.now() + leaseMs;
    return every(leaseMs / 3, clock, async () => {
      const asked = clock.now();
      try {
        await this.update("free_at = now() + $2 * interval '1 millisecond'", [leaseMs]);
        until = asked + leaseMs;
      } catch {
        // PostgreSQL may come back in time.
        if (clock.now() >= until) this.lose();
      }
    });
  }

  /** Once what was reported is stored. */
  settled(): Promise<void> {
    return this.progress.settled();
  }

  begin(): Promise<void> {
    return this.update('state = $2', [BUILD_STATE_BUILDING]);
  }

  /** Lets the row be claimed again after a pause. */
  release(pauseMs: number, how: 'in order' | 'died' = 'in order'): Promise<void> {
    return this.update(
      "free_at = now() + $2 * interval '1 millisecond', unended = unended - 1, deaths = deaths + $3",
      [pauseMs, how === 'died' ? 1 : 0],
    );
  }

  /** The row's last change. */
  end(state: common.BuildState, failure: string, work: (sql: Sql) => Promise<void>): Promise<void> {
    return this.change(async (sql) => {
      await work(sql);
      await sql.query(`update ${this.options.table} set ${endedWith} where ${this.held}`, [
        this.id,
        state,
        failure,
      ]);
    });
  }

  /** @throws Aborted when a later attempt has begun. */
  private async update(set: string, values: readonly unknown[]): Promise<void> {
    const rows = await this.context.database.query(
      `update ${this.options.table} set ${set} where ${this.held} returning 1`,
      [this.id, ...values],
    );
    if (rows.length === 0) throw this.lose();
  }

  lose(): Aborted {
    const error = new Aborted('another attempt has begun, or the row is cancelled');
    this.lost.abort(error);
    return error;
  }
}
