/**
 * Writes events, those of the partitions that one broker leads in one batch after another: sends that run side by side are
 * reordered by an outage. A producer that has failed is left: its sequence numbers may name what the broker has, and a broker
 * drops other events of the same numbers as repeated.
 */
import { InvalidArgument, Unavailable } from '@emotune/base';
import { type Kafka, Partitioners, type PartitionMetadata, type Producer } from 'kafkajs';
import type { BusEvent } from './bus.js';
import { kafkaError } from './kafka-client.js';
import { messageOf } from './kafka-message.js';
import type { KafkaTopics } from './kafka-topics.js';

interface Waiting {
  readonly event: BusEvent;
  readonly partition: number;
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Of one send; far below what a broker takes. */
const mostEvents = 500;
const mostBytes = 512 * 1024;

export class KafkaPublisher {
  /** By lane, what waits for its send to end. */
  private readonly waiting = new Map<number, Waiting[]>();
  /** Of each partition: the broker that led it first. It stays when the leader moves, so that no event passes another. */
  private readonly lanes = new Map<string, number>();
  private readonly sending = new Set<Promise<void>>();
  private readonly partitioner = Partitioners.DefaultPartitioner();
  private producer: Promise<Producer> | undefined;
  private readonly leaving = new Set<Promise<void>>();
  /** Sends on their way. */
  private readonly uses = new Set<Promise<unknown>>();

  constructor(
    private readonly kafka: Kafka,
    private readonly topics: KafkaTopics,
  ) {}

  async publish(events: readonly BusEvent[]): Promise<void> {
    const leaders = new Map<string, readonly number[]>();
    for (const topic of new Set(events.map((event) => event.topic)))
      leaders.set(topic, await this.topics.leadersOf(topic));
    await Promise.all(events.map((event) => this.enqueue(event, leaders.get(event.topic)!)));
  }

  /** Waits for what is being sent. */
  async close(): Promise<void> {
    await Promise.all(this.sending);
    this.leave();
    await Promise.all(this.leaving);
  }

  private enqueue(event: BusEvent, leaders: readonly number[]): Promise<void> {
    const { topic, key } = event;
    const partitionMetadata = leaders.map((leader, partitionId) => ({ partitionId, leader }));
    const partition = this.partitioner({
      ...{ topic, partitionMetadata: partitionMetadata as PartitionMetadata[] },
      message: { key, value: null },
    });
    const name = `${topic}/${partition}`;
    const lane = this.lanes.get(name) ?? leaders[partition];
    this.lanes.set(name, lane);
    const bytes = event.payload.length + JSON.stringify(event.headers).length + key.length;
    let waiting = this.waiting.get(lane);
    if (!waiting) {
      waiting = [];
      this.waiting.set(lane, waiting);
      const draining = this.drain(lane, waiting).finally(() => this.sending.delete(draining));
      this.sending.add(draining);
    }
    const joined = waiting;
    return new Promise((resolve, reject) => joined.push({ event, partition, bytes, resolve, reject }));
  }

  private async drain(lane: number, waiting: Waiting[]): Promise<void> {
    // What is published in the same breath goes together.
    await Promise.resolve();
    while (waiting.length > 0) {
      let [count, bytes] = [0, 0];
      while (count < Math.min(waiting.length, mostEvents)) {
        bytes += waiting[count].bytes;
        if (count > 0 && bytes > mostBytes) break;
        count++;
      }
      await this.send(waiting.splice(0, count));
    }
    this.waiting.delete(lane);
  }

  private async send(batch: readonly Waiting[]): Promise<void> {
    try {
      await this.sendOnce(batch);
      for (const { resolve } of batch) resolve();
    } catch (error) {
      const reason = kafkaError(error);
      for (const { event } of batch) this.topics.forget(event.topic);
      if (reason instanceof InvalidArgument && batch.length > 1) {
        // One of them is to blame.
        for (const one of batch) await this.send([one]);
        return;
      }
      const told =
        reason instanceof InvalidArgument || reason instanceof Unavailable
          ? reason
          : new Unavailable(reason.message, { cause: reason });
      for (const { reject } of batch) reject(told);
    }
  }

  private async sendOnce(batch: readonly Waiting[]): Promise<void> {
    this.producer ??= this.connect();
    const connecting = this.producer;
    try {
      const producer = await connecting;
      const topicMessages = batch.map(({ event, partition }) => ({
        topic: event.topic,
        messages: [{ ...messageOf(event), partition }],
      }));
      const use = producer.sendBatch({ topicMessages, acks: -1, timeout: 10_000 });
      this.uses.add(use);
      const written = await use.finally(() => this.uses.delete(use));
      // kafkajs passes over a partition whose leader moved, between two tries, to a broker that had answered the first.
      const names = new Set(written.map(({ topicName, partition }) => `${topicName}/${partition}`));
      const missed = batch.find(({ event, partition }) => !names.has(`${event.topic}/${partition}`));
      if (missed) throw new Unavailable(`Kafka has not written to ${missed.event.topic}/${missed.partition}`);
    } catch (error) {
      if (this.producer === connecting) this.leave();
      throw error;
    }
  }

  private async connect(): Promise<Producer> {
    const producer = this.kafka.producer({
      idempotent: true,
      createPartitioner: Partitioners.DefaultPartitioner,
      retry: { retries: 5 },
      allowAutoTopicCreation: false,
    });
    await producer.connect();
    return producer;
  }

  /** The next send takes another producer; those that use this one end with it. */
  private leave(): void {
    const left = this.producer;
    this.producer = undefined;
    const leave = async () => {
      const producer = await left;
      await Promise.allSettled(this.uses);
      await producer?.disconnect();
    };
    const leaving = leave()
      .catch(() => {})
      .finally(() => this.leaving.delete(leaving));
    this.leaving.add(leaving);
  }
}
