import { Aborted, aborted, Internal, systemClock } from '@emotune/base';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Database } from './database.js';
import { beginEpoch, type Election, epochTable, lead, type Term } from './leader.js';
import { testDatabase, testDatabaseUrl } from './testing.js';

const patient = { timeout: 60_000, interval: 5 };

let first: Database;
let second: Database;
beforeAll(async () => {
  first = await testDatabase('leaders');
  await first.migrate([epochTable]);
  second = await Database.connect(await testDatabaseUrl(), 'leaders');
  return () => second.close();
});

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
});

/** A process that leads when it may, and notes when it does in `log`. */
function candidate(
  database: Database,
  name: string,
  log: string[],
  who: string,
  election?: Election,
): { term: Term | undefined; stop(): Promise<void> } {
  const stopping = new AbortController();
  const self = { term: undefined as Term | undefined, stop: async () => {} };
  const options = { clock: systemClock, signal: stopping.signal, election };
  const led = lead(database, name, options, async (term) => {
    self.term = term;
    log.push(`${who} leads`);
    await aborted(term.signal);
    self.term = undefined;
    log.push(`${who} leads no more`);
  });
  self.stop = () => {
    stopping.abort();
    return led;
  };
  stops.push(self.stop);
  return self;
}

describe('lead', () => {
  it('lets one process work at a time, and another once that has stopped', async () => {
    const log: string[] = [];
    const a = candidate(first, 'handed', log, 'a');
    await expect.poll(() => log, patient).toEqual(['a leads']);
    candidate(second, 'handed', log, 'b');
    const other = candidate(second, 'of another name', log, 'c');
    await expect.poll(() => log, patient).toEqual(['a leads', 'c leads']);
    await other.stop();
    await a.stop();
    await expect
      .poll(() => log, patient)
      .toEqual(['a leads', 'c leads', 'c leads no more', 'a leads no more', 'b leads']);
  });

  it('ends the term at once when the connection that holds the lock breaks, and another leads', async () => {
    const log: string[] = [];
    const a = candidate(first, 'broken', log, 'a');
    await expect.poll(() => log, patient).toEqual(['a leads']);
    candidate(second, 'broken', log, 'b');
    const [{ pid }] = (await a.term?.session.query<{ pid: number }>('select pg_backend_pid() as pid')) ?? [];
    await first.query('select pg_terminate_backend($1)', [pid]);
    await expect.poll(() => log.slice(0, 2), patient).toEqual(['a leads', 'a leads no more']);
    await expect.poll(() => log.length, patient).toBe(3);
    expect(log[2]).toMatch(/^[ab] leads$/);
  });

  it('passes on what the work throws, and frees the lock', async () => {
    const signal = new AbortController().signal;
    const failing = lead(first, 'failing', { clock: systemClock, signal }, async () => {
      throw new Internal('a bug');
    });
    await expect(failing).rejects.toThrow('a bug');
    const log: string[] = [];
    candidate(second, 'failing', log, 'b');
    await expect.poll(() => log, patient).toEqual(['b leads']);
  });
});

describe('lead, where an election decides,', () => {
  /** Elects whoever asks for it, until `lose`. */
  class Elects implements Election {
    private readonly losing = new AbortController();
    readonly lose = () => this.losing.abort();
    givenUp = 0;

    win(_: string, signal: AbortSignal) {
      if (this.losing.signal.aborted) return aborted(signal).then(() => Promise.reject(signal.reason));
      return Promise.resolve({
        lost: this.losing.signal,
        giveUp: async () => {
          this.givenUp++;
        },
      });
    }
  }

  it('has who is elected take the lock from who has it, though that does not answer', async () => {
    const log: string[] = [];
    candidate(first, 'deposed', log, 'a');
    await expect.poll(() => log, patient).toEqual(['a leads']);
    const other = candidate(first, 'of another name too', log, 'c');
    await expect.poll(() => log, patient).toEqual(['a leads', 'c leads']);
    candidate(second, 'deposed', log, 'b', new Elects());
    await expect
      .poll(() => [...log].sort(), patient)
      .toEqual(['a leads', 'a leads no more', 'b leads', 'c leads']);
    expect(other.term).toBeDefined();
  });

  it('ends the term when the election is lost, and stands again', async () => {
    const log: string[] = [];
    const election = new Elects();
    const a = candidate(first, 'lost', log, 'a', election);
    await expect.poll(() => log, patient).toEqual(['a leads']);
    const { lost } = a.term!;
    election.lose();
    expect(lost.aborted).toBe(true);
    candidate(second, 'lost', log, 'b', new Elects());
    await expect.poll(() => log, patient).toEqual(['a leads', 'a leads no more', 'b leads']);
    expect(election.givenUp).toBe(1);
  });

  it('gives the mandate up when the connection breaks', async () => {
    const log: string[] = [];
    const election = new Elects();
    const a = candidate(first, 'cut', log, 'a', election);
    await expect.poll(() => log, patient).toEqual(['a leads']);
    const [{ pid }] = (await a.term?.session.query<{ pid: number }>('select pg_backend_pid() as pid')) ?? [];
    await first.query('select pg_terminate_backend($1)', [pid]);
    await expect.poll(() => log, patient).toEqual(['a leads', 'a leads no more', 'a leads']);
    expect(election.givenUp).toBe(1);
  });
});

describe('beginEpoch', () => {
  it('lets the transactions of its epoch pass, and none once another has begun', async () => {
    const old = await beginEpoch(first, 'passing');
    await first.transaction(old);
    await Promise.all([first.transaction(old), first.transaction(old)]);
    const fresh = await beginEpoch(second, 'passing');
    await expect(first.transaction(old)).rejects.toThrow(Aborted);
    await second.transaction(fresh);
  });

  it.each(['serializable', 'read committed'] as const)(
    'waits for %s transactions under way, so that none commits later',
    async (isolation) => {
      await first.query('create table if not exists decisions (by text)');
      await first.query('truncate decisions');
      const old = await beginEpoch(first, isolation);
      let checked = () => {};
      const hasChecked = new Promise<void>((resolve) => {
        checked = resolve;
      });
      let decide = () => {};
      const mayDecide = new Promise<void>((resolve) => {
        decide = resolve;
      });
      const deciding = first.transaction(async (sql) => {
        await old(sql);
        checked();
        await mayDecide;
        await sql.query("insert into decisions values ('old')");
      }, isolation);
      await hasChecked;
      let begun = false;
      const beginning = beginEpoch(second, isolation).then(() => {
        begun = true;
      });
      const waiting = () => first.query("select 1 from pg_stat_activity where wait_event_type = 'Lock'");
      await expect.poll(waiting, patient).toHaveLength(1);
      expect(begun).toBe(false);
      decide();
      await deciding;
      await beginning;
      await expect(first.transaction(old, isolation)).rejects.toThrow(Aborted);
      expect(await first.query('select by from decisions')).toEqual([{ by: 'old' }]);
    },
  );
});
