/**
 * Transactions of trainers' reports. Of many that come at once several share one: a commit, and the lock that keeps an experiment's
 * events in order, are then waited for once for all of them. Each stands for itself: one that is refused takes back what it wrote alone.
 */
import { type Clock, EmotuneError, Lanes } from '@emotune/base';
import type { Database, Sql } from '@emotune/database';

/** Has something done when the other reports of the transaction have written what they have to. */
export type AtLast = (work: () => Promise<void>) => void;

type Work<T> = (sql: Sql, atLast: AtLast) => Promise<T>;

interface Report {
  readonly work: Work<unknown>;
  /** By the clock. */
  readonly cameAt: number;
  readonly resolve: (result: never) => void;
  readonly reject: (error: unknown) => void;
}

/** Transactions at a time: fewer than the database has connections, so that decisions need not wait for them. */
const mostTransactions = 3;
/** A decision that has to be alone waits for so many. */
const mostTogether = 16;

export class ReportQueue {
  private readonly lanes = new Lanes(mostTransactions);
  private readonly waiting: Report[] = [];
  private readonly unanswered = new Set<Report>();

  constructor(
    private readonly database: Pick<Database, 'transaction'>,
    private readonly clock: Clock,
  ) {}

  /** Milliseconds since the oldest report came that has no answer yet. */
  get lateBy(): number {
    // In the order in which they came.
    const [oldest] = this.unanswered;
    return oldest === undefined ? 0 : this.clock.now() - oldest.cameAt;
  }

  /** @param work May run more than once. @throws What it throws; as `Database.transaction` */
  run<T>(work: Work<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const report: Report = { work, cameAt: this.clock.now(), resolve, reject };
      this.waiting.push(report);
      this.unanswered.add(report);
      void this.lanes.run(() => this.answer(this.waiting.splice(0, mostTogether)));
    });
  }

  private async answer(reports: readonly Report[]): Promise<void> {
    if (reports.length === 0) return;
    try {
      const ends = await this.together(reports);
      for (const end of ends) end();
    } catch (error) {
      if (reports.length === 1) reports[0].reject(error);
      // What one of them has broken is no matter of the others.
      else for (const report of reports) await this.answer([report]);
    } finally {
      for (const report of reports) this.unanswered.delete(report);
    }
  }

  /** What becomes of each once all of it is committed. */
  private together(reports: readonly Report[]): Promise<readonly (() => void)[]> {
    return this.database.transaction(async (sql) => {
      const last: (() => Promise<void>)[] = [];
      const ends: (() => void)[] = [];
      for (const { work, resolve, reject } of reports) {
        const own: typeof last = [];
        const apart = reports.length > 1;
        if (apart) await sql.query(`${ends.length > 0 ? 'release savepoint report; ' : ''}savepoint report`);
        try {
          const result = await work(sql, (next) => own.push(next));
          last.push(...own);
          ends.push(() => resolve(result as never));
        } catch (error) {
          if (!apart || !(error instanceof EmotuneError)) throw error;
          await sql.query('rollback to savepoint report');
          ends.push(() => reject(error));
        }
      }
      for (const work of last) await work();
      return ends;
    }, 'read committed');
  }
}
