/**
 * Writes events, those of a partition one batch after another: sends that run side by side are reordered by an outage, and
 * a send over several brokers may be taken for done when a leader moves. A producer that has failed is left: its sequence
 * numbers may name what the broker has, and a broker drops other events of the same numbers as repeated.
 */
import { InvalidArgument, Unavailable } from '@emotune/base';
import { type Kafka, Partitioners, type PartitionMetadata, type Producer } from 'kafkajs';
import type { BusEvent } from './bus.js';
import { kafkaError } from './kafka-client.js';
import { messageOf } from './kafka-message.js';
import type { KafkaTopics } from './kafka-topics.js';

interface Waiting {
  readonly event: BusEvent;
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** One partition. */
interface Lane {
  readonly topic: string;
  readonly partition: number;
  readonly waiting: Waiting[];
}

/** Of one send; far below what a broker takes. */
const mostEvents = 500;
const mostBytes = 512 * 1024;

export class KafkaPublisher {
  private readonly lanes = new Map<string, Lane>();
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
    const counts = new Map<string, number>();
    for (const topic of new Set(events.map((event) => event.topic)))
      counts.set(topic, await this.topics.partitionsOf(topic));
    await Promise.all(events.map((event) => this.enqueue(event, counts.get(event.topic)!)));
  }

  /** Waits for what is being sent. */
  async close(): Promise<void> {
    await Promise.all(this.sending);
    this.leave();
    await Promise.all(this.leaving);
  }

  private enqueue(event: BusEvent, partitions: number): Promise<void> {
    const { topic, key } = event;
    const partitionMetadata = Array.from({ length: partitions }, (_, partitionId) => ({ partitionId }));
    const partition = this.partitioner({
      ...{ topic, partitionMetadata: partitionMetadata as PartitionMetadata[] },
      message: { key, value: null },
    });
    const name = `${topic}/${partition}`;
    const bytes = event.payload.length + JSON.stringify(event.headers).length + key.length;
    let lane = this.lanes.get(name);
    if (!lane) {
      lane = { topic, partition, waiting: [] };
      this.lanes.set(name, lane);
      const draining = this.drain(name, lane).finally(() => this.sending.delete(draining));
      this.sending.add(draining);
    }
    const { waiting } = lane;
    return new Promise((resolve, reject) => waiting.push({ event, bytes, resolve, reject }));
  }

  private async drain(name: string, lane: Lane): Promise<void> {
    // What is published in the same breath goes together.
    await Promise.resolve();
    while (lane.waiting.length > 0) {
      let [count, bytes] = [0, 0];
      while (count < Math.min(lane.waiting.length, mostEvents)) {
        bytes += lane.waiting[count].bytes;
        if (count > 0 && bytes > mostBytes) break;
        count++;
      }
      await this.send(lane, lane.waiting.splice(0, count));
    }
    this.lanes.delete(name);
  }

  private async send(lane: Lane, batch: readonly Waiting[]): Promise<void> {
    try {
      await this.sendOnce(lane, batch);
      for (const { resolve } of batch) resolve();
    } catch (error) {
      const reason = kafkaError(error);
      this.topics.forget(lane.topic);
      if (reason instanceof InvalidArgument && batch.length > 1) {
        // One of them is to blame.
        for (const one of batch) await this.send(lane, [one]);
        return;
      }
      const told =
        reason instanceof InvalidArgument || reason instanceof Unavailable
          ? reason
          : new Unavailable(reason.message, { cause: reason });
      for (const { reject } of batch) reject(told);
    }
  }

  private async sendOnce({ topic, partition }: Lane, batch: readonly Waiting[]): Promise<void> {
    this.producer ??= this.connect();
    const connecting = this.producer;
    try {
      const producer = await connecting;
      const messages = batch.map(({ event }) => ({ ...messageOf(event), partition }));
      const use = producer.send({ topic, messages, acks: -1, timeout: 10_000 });
      this.uses.add(use);
      await use.finally(() => this.uses.delete(use));
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
