/**
 * Events from one service to another through outbox, bus and inbox on a PostgreSQL of their own, against round trips to
 * it that bring nothing about.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@emotune/base';
import { Database, startEmbeddedPostgres } from '@emotune/database';
import {
  type Bus,
  consume,
  emit,
  eventTables,
  MemoryBus,
  Outbox,
  on,
  openBus,
  topics,
} from '@emotune/events';
import { type BenchTopic, type BrokerFigures, benchBroker, withBenchTopic } from './broker.js';
import { median, medianSeconds, quantile, secondsOf } from './timing.js';

export interface BusWorkload {
  /** Events of each repetition. */
  readonly events: number;
  readonly signal: AbortSignal;
  /** kafka://host:port[,host:port]; default: the bus in memory. */
  readonly brokers?: string | undefined;
}

export interface BusFigures {
  readonly events: number;
  /** That emit at the same time. */
  readonly writers: number;
  readonly keys: number;
  /** From the first transaction until the last event takes effect. */
  readonly eventsPerSecond: number;
  /** From the start of an event's transaction until it takes effect, one event at a time. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** `select 1` by as many callers at the same time. */
  readonly roundTripsPerSecond: number;
  /** `select 1`, one at a time. */
  readonly roundTripP50Ms: number;
  readonly roundTripP99Ms: number;
  /** Of the bus alone, where it is brokers. */
  readonly broker?: BrokerFigures;
}

const writers = 4;
const keys = 16;

/** Calls `work` so often, by all writers at the same time. */
async function together(times: number, signal: AbortSignal, work: () => Promise<unknown>): Promise<void> {
  let begun = 0;
  const writer = async () => {
    while (begun++ < times) {
      signal.throwIfAborted();
      await work();
    }
  };
  await Promise.all(Array.from({ length: writers }, writer));
}

/** Milliseconds of each of so many calls, one after another. */
async function latenciesMs(
  times: number,
  signal: AbortSignal,
  work: () => Promise<unknown>,
): Promise<number[]> {
  await work();
  const latencies: number[] = [];
  while (latencies.length < times) {
    signal.throwIfAborted();
    latencies.push(1000 * (await secondsOf(work)));
  }
  return latencies;
}

/** A service that emits events and one that takes them in. */
class Pair {
  private readonly waiting = new Map<string, () => void>();
  private readonly stopped: Promise<never>;
  private readonly outbox: Outbox;
  private emitted = 0;

  constructor(
    readonly sender: Database,
    private readonly receiver: Database,
    private readonly bus: Bus,
    private readonly place: BenchTopic,
    signal: AbortSignal,
  ) {
    this.outbox = new Outbox(sender, bus, systemClock);
    this.stopped = new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    this.stopped.catch(() => {});
  }

  private get topic() {
    return { ...topics.datasetFailed, name: this.place.name };
  }

  async start(): Promise<void> {
    for (const database of [this.sender, this.receiver]) await database.migrate([eventTables]);
    await consume({
      database: this.receiver,
      bus: this.bus,
      group: this.place.group,
      handlers: [
        on(this.topic, async (_, { reason }) => {
          this.waiting.get(reason)?.();
          this.waiting.delete(reason);
        }),
      ],
    });
    this.outbox.start();
  }

  /** Resolves when the event is recorded, to when it takes effect. */
  async emit(): Promise<{ effect: Promise<void> }> {
    const number = this.emitted++;
    const [key, reason] = [`key-${number % keys}`, `${number}`];
    const begun = new Promise<void>((resolve) => this.waiting.set(reason, resolve));
    await this.sender.transaction((sql) => emit(sql, this.topic, key, { name: key, reason }));
    this.outbox.wake();
    const effect = Promise.race([begun, this.stopped]);
    // Whoever waits for it hears of it; others are told to stop by the signal.
    effect.catch(() => {});
    return { effect };
  }

  async close(): Promise<void> {
    await this.outbox.close();
    await this.bus.close();
  }
}

async function measure(pair: Pair, { events, signal }: BusWorkload): Promise<BusFigures> {
  const roundTrip = () => pair.sender.query('select 1');
  const burst = async () => {
    const effects: Promise<void>[] = [];
    await together(events, signal, async () => {
      effects.push((await pair.emit()).effect);
    });
    await Promise.all(effects);
  };
  const bursts = await medianSeconds(burst, signal);
  const roundTrips = await medianSeconds(() => together(events, signal, roundTrip), signal);
  const tripMs = await latenciesMs(events, signal, roundTrip);
  const eventMs = await latenciesMs(events, signal, async () => (await pair.emit()).effect);
  return {
    events,
    writers,
    keys,
    eventsPerSecond: events / bursts,
    p50Ms: median(eventMs),
    p99Ms: quantile(eventMs, 0.99),
    roundTripsPerSecond: events / roundTrips,
    roundTripP50Ms: median(tripMs),
    roundTripP99Ms: quantile(tripMs, 0.99),
  };
}

/** In a temporary folder. @throws FailedPrecondition, Unavailable or ResourceExhausted when PostgreSQL cannot start. */
export async function benchBus(workload: BusWorkload): Promise<BusFigures> {
  const dir = await mkdtemp(join(tmpdir(), `emotune-bench-bus-${process.pid}-`));
  // In the order they were started; closed the other way round.
  const started: (() => Promise<unknown>)[] = [() => rm(dir, { recursive: true, force: true })];
  try {
    const postgres = await startEmbeddedPostgres({ dir });
    started.push(() => postgres.stop());
    const connect = async (schema: string) => {
      const database = await Database.connect(postgres.url, schema);
      started.push(() => database.close());
      return database;
    };
    const { brokers, events, signal } = workload;
    const [sender, receiver] = [await connect('sender'), await connect('receiver')];
    const measured = async (bus: Bus, place: BenchTopic) => {
      const pair = new Pair(sender, receiver, bus, place, signal);
      try {
        await pair.start();
        return await measure(pair, workload);
      } finally {
        await pair.close();
      }
    };
    if (brokers === undefined)
      return await measured(new MemoryBus(systemClock), { name: topics.datasetFailed.name, group: 'bench' });
    const figures = await withBenchTopic(brokers, async (place) =>
      measured(await openBus(brokers, { settings: {}, tell: () => {} }), place),
    );
    return { ...figures, broker: await benchBroker(brokers, 10 * events, signal) };
  } finally {
    for (const stop of started.reverse()) await stop();
  }
}
