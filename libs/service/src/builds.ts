/**
 * Rows that are built in the background, by whichever process of the service comes first: a queue in the service's own
 * table. A process claims a row for as long as it renews the claim; each claim is an attempt with a number, and an
 * attempt changes nothing once a later one has begun. Times are the database's, so that processes need not agree on one.
 */
import { Aborted, every, policyOf } from '@emotune/base';
import type { Sql } from '@emotune/database';
import { common } from '@emotune/proto';
import type { ServiceContext } from './host.js';
import { failureText, ProgressRecorder } from './progress.js';
import { Worker } from './worker.js';

const { BUILD_STATE_PENDING, BUILD_STATE_BUILDING, BUILD_STATE_READY, BUILD_STATE_FAILED } =
  common.BuildState;

/** A process that has not renewed its claim for so long has lost it. */
const usualLeaseMs = 30_000;

/** Appended to the migrations of a table whose rows have state, failure and progress. */
export function buildColumns(table: string): string {
  return `alter table ${table}
    add attempt int not null default 0,
    -- When it may be claimed: the end of a claim or of a pause.
    add free_at timestamptz not null default now()`;
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

type Claimed<Row> = Row & { readonly attempt: number };

export class Builds<Row extends object> {
  private readonly worker: Worker;

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
    const claim = new Claim(this.context, this.options, row, shutdown);
    try {
      await this.carryOut(row, claim, shutdown);
    } catch (error) {
      if (!claim.isLost) throw error;
      const { key, what } = this.options;
      this.context.log.warn(`${what} was taken over by another process`, { [key]: row[key] });
    }
    this.context.outbox.wake();
    return !shutdown.aborted;
  }

  private async carryOut(row: Row, claim: Claim<Row>, shutdown: AbortSignal): Promise<void> {
    const { key, what, everyMs, passes, failed } = this.options;
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
      const failure = { reason: failureText(error), retryable: policyOf(error).retryable };
      await claim.end(BUILD_STATE_FAILED, failure.reason, (sql) => failed(sql, row, failure));
    }
  }

  private async claim(): Promise<Claimed<Row> | undefined> {
    const { table, key, order, leaseMs = usualLeaseMs } = this.options;
    const [row] = await this.context.database.query<Claimed<Row>>(
      `update ${table} set attempt = attempt + 1, free_at = now() + $1 * interval '1 millisecond'
       where ${key} = (
         select ${key} from ${table} where ${unfinished} and free_at <= now()
         order by ${order} limit 1 for update skip locked
       ) returning *`,
      [leaseMs],
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

const unfinished = `state in ('${BUILD_STATE_PENDING}', '${BUILD_STATE_BUILDING}')`;

/** An attempt as the queue sees it. */
class Claim<Row extends object> implements Attempt {
  readonly signal: AbortSignal;
  private readonly lost = new AbortController();
  private readonly progress: ProgressRecorder;
  private readonly id: readonly unknown[];
  private readonly held: string;

  constructor(
    private readonly context: Pick<ServiceContext, 'database' | 'clock' | 'log'>,
    private readonly options: BuildOptions<Row>,
    row: Claimed<Row>,
    shutdown: AbortSignal,
  ) {
    const { key } = options;
    this.signal = AbortSignal.any([shutdown, this.lost.signal]);
    this.id = [row[key], row.attempt];
    this.held = `${key} = $1 and attempt = $2 and ${unfinished}`;
    this.progress = new ProgressRecorder((progress) => this.update('progress = $3', [progress]), context);
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
      const rows = await sql.query(
        `select 1 from ${this.options.table} where ${this.held} for update`,
        this.id,
      );
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
        await this.update("free_at = now() + $3 * interval '1 millisecond'", [leaseMs]);
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
    return this.update('state = $3', [BUILD_STATE_BUILDING]);
  }

  /** Lets the row be claimed again after a pause. */
  release(pauseMs: number): Promise<void> {
    return this.update("free_at = now() + $3 * interval '1 millisecond'", [pauseMs]);
  }

  /** The row's last change. */
  end(state: common.BuildState, failure: string, work: (sql: Sql) => Promise<void>): Promise<void> {
    return this.change(async (sql) => {
      await work(sql);
      await sql.query(
        `update ${this.options.table} set state = $3, failure = $4, progress = null, free_at = now() where ${this.held}`,
        [...this.id, state, failure],
      );
    });
  }

  /** @throws Aborted when a later attempt has begun. */
  private async update(set: string, values: readonly unknown[]): Promise<void> {
    const rows = await this.context.database.query(
      `update ${this.options.table} set ${set} where ${this.held} returning 1`,
      [...this.id, ...values],
    );
    if (rows.length === 0) throw this.lose();
  }

  private lose(): Aborted {
    const error = new Aborted('another attempt has begun');
    this.lost.abort(error);
    return error;
  }
}
