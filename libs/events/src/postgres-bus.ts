/** The bus of services that are processes of their own over one PostgreSQL. */
import { aborted, type Clock, every, Rest, systemClock, Unavailable } from '@emotune/base';
import type { Database } from '@emotune/database';
import {
  type Bus,
  type BusEvent,
  deadLetter,
  type Lag,
  Poison,
  pauseAfter,
  type Retry,
  standardRetry,
  twice,
} from './bus.js';
import {
  append,
  type Claim,
  claim,
  enter,
  eventChannel,
  eventLogMigrations,
  lagOf,
  postpone,
  prune,
  renew,
  settle,
} from './event-log.js';
import { PostgresLetters } from './letter-box.js';

export interface PostgresBusOptions {
  readonly clock: Clock;
  readonly retry: Retry;
  /** A member that has not renewed its claim on an event for so long has lost it to another. */
  readonly leaseMs: number;
}

const usual: PostgresBusOptions = { clock: systemClock, retry: standardRetry, leaseMs: 30_000 };

/** Handlers of one member that run at the same time. */
const mostRunning = 64;
/** Where no notification comes, for instance because a member died, it looks for events this often. */
const lookMs = 1_000;
const pruneMs = 60_000;

export class PostgresBus implements Bus {
  readonly deadLetters: PostgresLetters;
  private readonly members = new Map<string, Member>();
  private readonly closing = new AbortController();
  private readonly stopPruning: () => Promise<void>;
  private publishing: Promise<void> = Promise.resolve();
  private listening: Promise<void> | undefined;

  private constructor(
    private readonly database: Database,
    private readonly options: PostgresBusOptions,
  ) {
    this.deadLetters = new PostgresLetters(database);
    this.stopPruning = every(pruneMs, options.clock, () => prune(database).catch(ifAway));
  }

  /**
   * Every process opens one over the same schema, which is the bus's own. Whoever opened the database closes it, after
   * the bus.
   */
  static async open(database: Database, options: Partial<PostgresBusOptions> = {}): Promise<PostgresBus> {
    await database.migrate(eventLogMigrations);
    return new PostgresBus(database, { ...usual, ...options });
  }

  async publish(events: readonly BusEvent[]): Promise<void> {
    // One after another, so that the order of the calls is that of the events.
    const published = this.publishing
      .catch(() => {})
      .then(() => {
        this.closing.signal.throwIfAborted();
        return this.database.transaction((sql) => append(sql, events), 'read committed');
      });
    this.publishing = published;
    await published;
  }

  async subscribe(
    group: string,
    topics: readonly string[],
    handle: (event: BusEvent) => Promise<void>,
  ): Promise<() => Promise<void>> {
    this.closing.signal.throwIfAborted();
    if (this.members.has(group)) throw twice(group);
    const member = new Member(this.database, group, topics, handle, this.options);
    this.members.set(group, member);
    try {
      await enter(this.database, group, topics);
    } catch (error) {
      this.members.delete(group);
      throw error;
    }
    this.listening ??= this.listen();
    member.start();
    return async () => {
      await member.leave();
      if (this.members.get(group) === member) this.members.delete(group);
    };
  }

  lag(): Promise<Lag[]> {
    return lagOf(this.database, [...this.members.keys()]);
  }

  async close(): Promise<void> {
    this.closing.abort(new Unavailable('The event bus is closed'));
    await Promise.all([...[...this.members.values()].map((member) => member.leave()), this.stopPruning()]);
    await this.publishing.catch(() => {});
    await this.listening;
  }

  /** Wakes the members when events are published, by whichever process. Without a connection they look by themselves. */
  private async listen(): Promise<void> {
    const { signal } = this.closing;
    const wake = () => {
      for (const member of this.members.values()) member.wake();
    };
    while (!signal.aborted) {
      const session = await this.database.session().catch(ifAway);
      try {
        await session?.listen(eventChannel, wake);
        wake();
        if (session) await aborted(AbortSignal.any([session.lost, signal]));
      } catch (error) {
        ifAway(error);
      } finally {
        await session?.close();
      }
      await this.options.clock.sleep(lookMs, signal).catch(() => {});
    }
  }
}

/** One group's subscription in this process. */
class Member {
  private readonly leaving = new AbortController();
  private readonly rest: Rest;
  /** Calls of `handle` that run, and what records their outcomes. */
  private readonly running = new Set<Promise<void>>();
  private looking: Promise<void> | undefined;

  constructor(
    private readonly database: Database,
    private readonly group: string,
    private readonly topics: readonly string[],
    private readonly handle: (event: BusEvent) => Promise<void>,
    private readonly options: PostgresBusOptions,
  ) {
    this.rest = new Rest(options.clock);
  }

  start(): void {
    this.looking = this.look();
  }

  wake(): void {
    this.rest.wake();
  }

  async leave(): Promise<void> {
    this.leaving.abort();
    await this.looking;
    await Promise.all(this.running);
  }

  private async look(): Promise<void> {
    const { signal } = this.leaving;
    const { leaseMs } = this.options;
    while (!signal.aborted) {
      const most = mostRunning - this.running.size;
      const claims =
        most > 0
          ? await claim(this.database, this.group, this.topics, { most, leaseMs }).catch(ifAway)
          : undefined;
      for (const claimed of claims ?? []) {
        const running = this.take(claimed).finally(() => {
          this.running.delete(running);
          this.wake();
        });
        this.running.add(running);
      }
      await this.rest.take(lookMs, signal);
    }
  }

  private async take(claimed: Claim): Promise<void> {
    const { clock, leaseMs } = this.options;
    const stopRenewing = every(leaseMs / 3, clock, () =>
      renew(this.database, claimed, leaseMs).catch(ifAway),
    );
    let failure: { readonly error: unknown } | undefined;
    try {
      await this.handle(claimed.event);
    } catch (error) {
      failure = { error };
    }
    await stopRenewing();
    await this.surely(async () => {
      if (failure) await this.failed(claimed, failure.error);
      else await settle(this.database, claimed);
    });
  }

  /** Until PostgreSQL was there for it. What is not recorded when the member leaves comes again. */
  private async surely(record: () => Promise<void>): Promise<void> {
    const { clock, retry } = this.options;
    const { signal } = this.leaving;
    for (let calls = 1; ; calls++) {
      try {
        await record();
        return;
      } catch (error) {
        ifAway(error);
        if (signal.aborted) return;
      }
      await clock.sleep(pauseAfter(calls, retry), signal).catch(() => {});
    }
  }

  private async failed(claimed: Claim, error: unknown): Promise<void> {
    const { clock, retry } = this.options;
    const tries = claimed.tries + (error instanceof Unavailable ? 0 : 1);
    if (error instanceof Poison || tries >= retry.tries) {
      await this.database.transaction(async (sql) => {
        if (await settle(sql, claimed)) await append(sql, [deadLetter(claimed.event, this.group, error)]);
      }, 'read committed');
      return;
    }
    const pause = pauseAfter(claimed.calls, retry);
    await postpone(this.database, claimed, tries, pause);
    void clock.sleep(pause, this.leaving.signal).then(
      () => this.wake(),
      () => {},
    );
  }
}

/** For what is tried again when PostgreSQL is back. */
function ifAway(error: unknown): undefined {
  if (!(error instanceof Unavailable)) throw error;
}
