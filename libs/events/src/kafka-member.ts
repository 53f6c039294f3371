/**
 * One group's subscription in this process. Events of a partition are handled side by side, those of a key in order; what
 * is committed is the first offset that is not done with, so a member that takes over may be given again what was done
 * behind it. kafkajs sends no heartbeats of its own while a batch is worked on: batches are only taken, never waited for.
 */
import { type Clock, every, Lanes, Unavailable } from '@emotune/base';
import type { Admin, Consumer, EachBatchPayload, Kafka, KafkaMessage } from 'kafkajs';
import {
  type BusEvent,
  deadLetter,
  isDeadLetterTopic,
  isFor,
  type Lag,
  Poison,
  pauseAfter,
  type Retry,
} from './bus.js';
import { everyTry, kafkaError, withAdmin } from './kafka-client.js';
import { eventOf, settledBy } from './kafka-message.js';
import { Progress } from './progress.js';

/** Handlers of one member that run at the same time. */
const mostRunning = 64;
/** A partition with more than one of these under way is paused until half of it is done with. */
const most = { events: 10_000, bytes: 16 * 2 ** 20 };
const commitMs = 200;
/** Members that are gone are waited for until their sessions are over. */
const joinMs = 60_000;
/** Whoever has to wait for brokers that are away waits no longer than this where it leaves. */
const leaveMs = 4_000;

export interface MemberOptions {
  readonly kafka: Kafka;
  /** The same brokers, with every try: for what must not give up. */
  readonly patient: Kafka;
  readonly clock: Clock;
  readonly retry: Retry;
  readonly sessionMs: number;
  readonly group: string;
  readonly topics: readonly string[];
  readonly handle: (event: BusEvent) => Promise<void>;
  readonly publish: (events: readonly BusEvent[]) => Promise<void>;
  /** Told of every failure to keep up the connection, and when it is back. */
  readonly away: (reason: Error | undefined) => void;
}

/** A partition for as long as this member has it. */
interface Assigned {
  readonly topic: string;
  readonly partition: number;
  readonly progress: Progress;
  readonly over: AbortController;
  /** Of events that are not done with. */
  bytes: number;
  paused: boolean;
  committed: number;
}

const nameOf = (topic: string, partition: number) => `${topic}/${partition}`;

/** Groups of EmoTune, among those of others. */
const groupIdOf = (group: string) => `emotune.${group}`;

export class KafkaMember {
  private readonly leaving = new AbortController();
  private readonly consumers = new Set<Consumer>();
  private consumer: Consumer | undefined;
  private assigned = new Map<string, Assigned>();
  /** Where the group begins with partitions of which it has committed nothing. */
  private first = new Map<string, number>();
  private beginning: Promise<void> = Promise.resolve();
  private readonly lanes = new Map<string, Promise<void>>();
  private readonly handlers = new Lanes(mostRunning);
  private readonly running = new Set<Promise<void>>();
  private stopCommitting: (() => Promise<void>) | undefined;
  private restarting: Promise<void> = Promise.resolve();
  private joins = 0;
  private left: Promise<void> | undefined;

  constructor(private readonly options: MemberOptions) {}

  /** Resolves when the group has its place in every partition. @throws Unavailable, FailedPrecondition */
  async start(): Promise<void> {
    const { kafka, topics, clock } = this.options;
    await withAdmin(kafka, async (admin) => {
      // In this order: what is published in between is taken twice, never lost.
      const ends = new Map<string, number>();
      for (const topic of topics)
        for (const { partition, high } of await admin.fetchTopicOffsets(topic))
          ends.set(nameOf(topic, partition), Number(high));
      const committed = await this.committed(admin, topics);
      for (const [name, end] of ends) if (!committed.has(name)) this.first.set(name, end);
    });
    await this.join();
    this.stopCommitting = every(commitMs, clock, () => this.commit());
    await this.settleFirst();
  }

  /** As the brokers have it: of all members of the group. @throws Unavailable, FailedPrecondition */
  lag(): Promise<Lag[]> {
    const { kafka, topics, group } = this.options;
    return withAdmin(kafka, async (admin) => {
      // First, so that what comes or is taken in between counts as not taken.
      const committed = await this.committed(admin, topics);
      const lags: Lag[] = [];
      for (const topic of topics) {
        const partitions = await admin.fetchTopicOffsets(topic);
        const events = partitions.map(({ partition, high }) => {
          const name = nameOf(topic, partition);
          return Number(high) - (committed.get(name) ?? this.first.get(name) ?? Number(high));
        });
        lags.push({ group, topic, events: events.reduce((sum, one) => sum + Math.max(0, one), 0) });
      }
      return lags;
    });
  }

  /** Waits for the handlers that run; nothing is handed out any more. */
  leave(): Promise<void> {
    this.left ??= this.end();
    return this.left;
  }

  private async end(): Promise<void> {
    this.leaving.abort();
    this.revoke();
    // It stays a member until its handlers have ended, and fetches no more.
    for (const { topic, partition } of this.assigned.values()) this.fetching(topic, partition, false);
    await Promise.all(this.running);
    await this.restarting;
    const disconnect = async () => {
      await this.stopCommitting?.();
      await this.commit();
      await Promise.all([...this.consumers].map((consumer) => consumer.disconnect()));
    };
    await Promise.race([disconnect().catch(() => {}), this.options.clock.sleep(leaveMs)]);
  }

  private async committed(admin: Admin, topics: readonly string[]): Promise<Map<string, number>> {
    const offsets = await admin.fetchOffsets({ groupId: groupIdOf(this.options.group), topics: [...topics] });
    return new Map(
      offsets.flatMap(({ topic, partitions }) =>
        partitions
          .filter(({ offset }) => Number(offset) >= 0)
          .map(({ partition, offset }) => [nameOf(topic, partition), Number(offset)] as const),
      ),
    );
  }

  /** Becomes a member, again where it was one before. @throws when it cannot for good */
  private async join(): Promise<void> {
    const { patient, group, topics, sessionMs, clock } = this.options;
    const consumer = patient.consumer({
      groupId: groupIdOf(group),
      sessionTimeout: sessionMs,
      rebalanceTimeout: 2 * sessionMs,
      heartbeatInterval: Math.min(500, sessionMs / 3),
      maxWaitTimeInMs: 300,
      metadataMaxAge: 60_000,
      allowAutoTopicCreation: false,
      retry: everyTry,
    });
    this.consumer = consumer;
    this.consumers.add(consumer);
    const { GROUP_JOIN, REBALANCING, CRASH } = consumer.events;
    let isMember = false;
    const joined = new Promise<void>((resolve, reject) => {
      consumer.on(REBALANCING, () => this.revoke());
      consumer.on(GROUP_JOIN, ({ payload: { memberAssignment } }) => {
        if (consumer !== this.consumer) return;
        this.assign(consumer, memberAssignment);
        isMember = true;
        void this.beginning.then(resolve);
      });
      consumer.on(CRASH, ({ payload: { error, restart } }) => {
        this.options.away(error);
        if (restart || consumer !== this.consumer) return;
        this.revoke();
        if (isMember) this.restarting = this.rejoin(consumer);
        else reject(kafkaError(error));
      });
    });
    // Whoever enters hears of it.
    joined.catch(() => {});
    const enter = async () => {
      await consumer.connect();
      await consumer.subscribe({ topics: [...topics], fromBeginning: true });
      await consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        eachBatch: (payload) => this.take(consumer, payload),
      });
      await joined;
    };
    try {
      const tooLong = new Unavailable(`Kafka has let nobody into group ${group} for ${joinMs / 1000} s`);
      const waited = new AbortController();
      const signal = AbortSignal.any([waited.signal, this.leaving.signal]);
      const late = clock.sleep(joinMs, signal).then(() => Promise.reject(tooLong));
      await Promise.race([enter(), late]).finally(() => waited.abort());
      this.options.away(undefined);
    } catch (error) {
      this.consumers.delete(consumer);
      void consumer.disconnect().catch(() => {});
      throw kafkaError(error);
    }
  }

  /** After kafkajs has given up on a consumer, for instance because the brokers refuse its password for a while. */
  private async rejoin(crashed: Consumer): Promise<void> {
    const { clock, retry } = this.options;
    const { signal } = this.leaving;
    this.consumers.delete(crashed);
    await crashed.disconnect().catch(() => {});
    for (let calls = 1; ; calls++) {
      await clock.sleep(pauseAfter(calls, retry), signal).catch(() => {});
      if (signal.aborted) return;
      try {
        return await this.join();
      } catch (error) {
        this.options.away(error as Error);
      }
    }
  }

  /** Begins nothing more of what it had. */
  private revoke(): void {
    for (const { over } of this.assigned.values()) over.abort();
  }

  private assign(consumer: Consumer, assignment: Readonly<Record<string, number[]>>): void {
    this.revoke();
    for (const { topic, partition, paused } of this.assigned.values())
      if (paused) this.fetching(topic, partition, true);
    this.assigned = new Map();
    if (!this.leaving.signal.aborted) this.beginning = this.begin(consumer, assignment, ++this.joins);
  }

  /**
   * kafkajs tells that the group is rebalanced, and where it cannot join at once it may go on as the member that it was, without a
   * word. It fetches nothing in between, so what comes of a partition that was revoked says so.
   */
  private goOn(consumer: Consumer): void {
    const assignment: Record<string, number[]> = {};
    for (const { topic, partition } of this.assigned.values()) {
      assignment[topic] ??= [];
      assignment[topic].push(partition);
    }
    this.assign(consumer, assignment);
  }

  /** Goes where the group has come to, in its partitions. Seeking also makes kafkajs drop what it fetched before. */
  private async begin(
    consumer: Consumer,
    assignment: Readonly<Record<string, number[]>>,
    join: number,
  ): Promise<void> {
    const { kafka, clock, retry } = this.options;
    const { signal } = this.leaving;
    const isOver = () => signal.aborted || join !== this.joins || consumer !== this.consumer;
    for (let calls = 1; !isOver(); calls++) {
      try {
        const topics = Object.keys(assignment);
        const { committed, starts } = await withAdmin(kafka, async (admin) => {
          const committed = topics.length === 0 ? new Map() : await this.committed(admin, topics);
          return { committed, starts: await this.starts(admin, assignment, committed) };
        });
        if (isOver()) return;
        for (const [topic, partitions] of Object.entries(assignment))
          for (const partition of partitions) {
            const start = starts.get(nameOf(topic, partition))!;
            consumer.seek({ topic, partition, offset: String(start) });
            this.assigned.set(nameOf(topic, partition), {
              ...{ topic, partition, progress: new Progress(start), over: new AbortController() },
              ...{ bytes: 0, paused: false, committed: committed.get(nameOf(topic, partition)) ?? -1 },
            });
          }
        this.options.away(undefined);
        return;
      } catch (error) {
        this.options.away(error as Error);
      }
      await clock.sleep(pauseAfter(calls, retry), signal).catch(() => {});
    }
  }

  /** By partition; those that were added after the group had begun are taken from their beginning. */
  private async starts(
    admin: Admin,
    assignment: Readonly<Record<string, number[]>>,
    committed: ReadonlyMap<string, number>,
  ): Promise<Map<string, number>> {
    const starts = new Map<string, number>();
    for (const [topic, partitions] of Object.entries(assignment))
      for (const partition of partitions) {
        const name = nameOf(topic, partition);
        const known = committed.get(name) ?? this.first.get(name);
        const low = async () =>
          (await admin.fetchTopicOffsets(topic)).find((each) => each.partition === partition)?.low;
        starts.set(name, known ?? Number(await low()));
      }
    return starts;
  }

  /** Until the group has a place in every partition: from then on nothing is passed over. */
  private async settleFirst(): Promise<void> {
    const { kafka, clock, retry, topics } = this.options;
    const { signal } = this.leaving;
    for (let calls = 1; this.first.size > 0; calls++) {
      signal.throwIfAborted();
      await this.commit();
      const committed = await withAdmin(kafka, (admin) => this.committed(admin, topics));
      if ([...this.first.keys()].every((name) => committed.has(name))) return;
      await clock.sleep(pauseAfter(calls, retry), signal);
    }
  }

  private async take(consumer: Consumer, { batch, resolveOffset, isStale }: EachBatchPayload): Promise<void> {
    let waited: Promise<void> | undefined;
    while (waited !== this.beginning) {
      waited = this.beginning;
      await waited;
    }
    const { topic, partition } = batch;
    let assigned = this.assigned.get(nameOf(topic, partition));
    if (!assigned || isStale() || consumer !== this.consumer || this.leaving.signal.aborted) return;
    if (assigned.over.signal.aborted) {
      this.goOn(consumer);
      return;
    }
    const first = Number(batch.messages[0].offset);
    if (first < assigned.progress.nextOffset) {
      // The partition has lost its end, with the broker that had it: what it has now is new.
      assigned.over.abort();
      assigned = { ...assigned, progress: new Progress(first), over: new AbortController(), bytes: 0 };
      this.assigned.set(nameOf(topic, partition), assigned);
    }
    for (const message of batch.messages) this.enqueue(assigned, message);
    assigned.progress.skipTo(Number(batch.lastOffset()) + 1);
    resolveOffset(batch.lastOffset());
    this.pauseOrResume(assigned);
  }

  private pauseOrResume(assigned: Assigned): void {
    const { topic, partition, bytes, progress, paused } = assigned;
    const part = Math.max(progress.span / most.events, bytes / most.bytes);
    if (assigned.over.signal.aborted || (paused ? part >= 0.5 : part < 1)) return;
    this.fetching(topic, partition, paused);
    assigned.paused = !paused;
  }

  private fetching(topic: string, partition: number, isOn: boolean): void {
    const partitions = [{ topic, partitions: [partition] }];
    try {
      if (isOn) this.consumer?.resume(partitions);
      else this.consumer?.pause(partitions);
    } catch {
      // kafkajs is just ending the consumer, which then has no partitions.
    }
  }

  private enqueue(assigned: Assigned, message: KafkaMessage): void {
    const offset = Number(message.offset);
    const bytes = message.value?.length ?? 0;
    assigned.progress.take(offset);
    assigned.bytes += bytes;
    const { event, fault } = eventOf(assigned, message);
    const lane = JSON.stringify([event.topic, event.key]);
    const before = this.lanes.get(lane) ?? Promise.resolve();
    const delivered = before
      .then(() => this.deliver(assigned.over.signal, event, fault))
      .then((isDone) => {
        if (isDone) assigned.progress.done(offset);
        assigned.bytes -= bytes;
        this.pauseOrResume(assigned);
        if (this.lanes.get(lane) === delivered) this.lanes.delete(lane);
        this.running.delete(delivered);
      });
    this.lanes.set(lane, delivered);
    this.running.add(delivered);
  }

  /** Whether it was handled or is among the dead letters; otherwise the partition is another's now, or comes again. */
  private async deliver(over: AbortSignal, event: BusEvent, fault: Poison | undefined): Promise<boolean> {
    const { group, clock, retry, handle, publish } = this.options;
    if (!isFor(event, group) || settledBy(event, event.topic) !== undefined) return true;
    let tries = 0;
    let dead: BusEvent | undefined;
    for (let calls = 1; !over.aborted; calls++) {
      try {
        if (!dead) {
          const isHandled = await this.handlers.run(async () => {
            if (over.aborted) return false;
            if (fault) throw fault;
            await handle(event);
            return true;
          });
          return isHandled;
        }
        await publish([dead]);
        return true;
      } catch (error) {
        if (
          !dead &&
          (error instanceof Poison || (!(error instanceof Unavailable) && ++tries >= retry.tries))
        ) {
          // What comes as a dead letter has nowhere further to go.
          if (isDeadLetterTopic(event.topic)) return true;
          dead = deadLetter(event, group, error);
          continue;
        }
      }
      await clock.sleep(pauseAfter(calls, retry), over).catch(() => {});
    }
    return false;
  }

  /** What is not committed is so with the next; a member that has lost its partitions commits nothing of theirs. */
  private async commit(): Promise<void> {
    const { clock } = this.options;
    const news = [...this.assigned.values()].flatMap((assigned) => {
      const { progress, committed } = assigned;
      return progress.position > committed ? [{ assigned, position: progress.position }] : [];
    });
    if (news.length === 0 || !this.consumer) return;
    const committing = this.consumer.commitOffsets(
      news.map(({ assigned: { topic, partition }, position }) => ({
        topic,
        partition,
        offset: String(position),
      })),
    );
    const done = await Promise.race([
      committing.then(
        () => true,
        () => false,
      ),
      clock.sleep(leaveMs).then(() => false),
    ]);
    if (done) for (const { assigned, position } of news) assigned.committed = position;
  }
}
