/** Our bus on brokers of Kafka against kafkajs alone: the same messages, topic layout and acknowledgements, no database. */
import { randomUUID } from 'node:crypto';
import { type Bus, type BusEvent, openBus } from '@emotune/events';
import { Kafka, logLevel, Partitioners } from 'kafkajs';
import { median, medianSeconds, quantile, secondsOf } from './timing.js';

export interface BrokerFigures {
  readonly events: number;
  readonly payloadBytes: number;
  readonly ours: Pace;
  readonly kafkajs: Pace;
}

interface Pace {
  /** From the first publish until the last event was handled. */
  readonly eventsPerSecond: number;
  /** From publish to handler, one event at a time. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const payloadBytes = 1024;
const keys = 16;
/** Published at once. */
const batch = 100;
const partitions = 3;
const latencies = 200;

/** A topic that is there for this run alone. */
export interface BenchTopic {
  readonly name: string;
  readonly group: string;
}

export async function withBenchTopic<T>(url: string, work: (topic: BenchTopic) => Promise<T>): Promise<T> {
  const kafka = rawKafka(url);
  const id = randomUUID();
  const topic = { name: `emotune.bench.${id}.v1`, group: `bench-${id}` };
  const admin = kafka.admin();
  await admin.connect();
  try {
    await admin.createTopics({ topics: [{ topic: topic.name, numPartitions: partitions }] });
    return await work(topic);
  } finally {
    await admin.deleteTopics({ topics: [topic.name] }).catch(() => {});
    await admin.deleteGroups([`emotune.${topic.group}`]).catch(() => {});
    await admin.disconnect();
  }
}

/** @throws Unavailable when no broker answers */
export async function benchBroker(url: string, events: number, signal: AbortSignal): Promise<BrokerFigures> {
  const bus = await openBus(url, { settings: {}, tell: () => {} });
  try {
    const ours = await withBenchTopic(url, (topic) =>
      measure(events, signal, (handled) => byBus(bus, topic, handled)),
    );
    const kafkajs = await withBenchTopic(url, (topic) =>
      measure(events, signal, (handled) => byKafkajs(rawKafka(url), topic, handled)),
    );
    return { events, payloadBytes, ours, kafkajs };
  } finally {
    await bus.close();
  }
}

interface Way {
  publish(count: number): Promise<void>;
  close(): Promise<void>;
}

async function measure(
  events: number,
  signal: AbortSignal,
  open: (handled: () => void) => Promise<Way>,
): Promise<Pace> {
  let left = 0;
  let done = () => {};
  const way = await open(() => {
    if (--left === 0) done();
  });
  const stopped = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  stopped.catch(() => {});
  const carry = async (count: number, each: number) => {
    left = count;
    const handled = new Promise<void>((resolve) => {
      done = resolve;
    });
    for (let sent = 0; sent < count; sent += each) {
      signal.throwIfAborted();
      await way.publish(Math.min(each, count - sent));
    }
    await Promise.race([handled, stopped]);
  };
  try {
    const seconds = await medianSeconds(() => carry(events, batch), signal);
    const ms: number[] = [];
    while (ms.length < latencies) ms.push(1000 * (await secondsOf(() => carry(1, 1))));
    return { eventsPerSecond: events / seconds, p50Ms: median(ms), p99Ms: quantile(ms, 0.99) };
  } finally {
    await way.close();
  }
}

async function byBus(bus: Bus, { name, group }: BenchTopic, handled: () => void): Promise<Way> {
  const leave = await bus.subscribe(group, [name], async () => handled());
  let number = 0;
  const event = (): BusEvent => {
    const id = randomUUID();
    const headers = { 'event-id': id, 'content-type': 'application/x-protobuf' };
    return { id, topic: name, key: `key-${number++ % keys}`, payload: new Uint8Array(payloadBytes), headers };
  };
  return { publish: (count) => bus.publish(Array.from({ length: count }, event)), close: leave };
}

async function byKafkajs(kafka: Kafka, { name, group }: BenchTopic, handled: () => void): Promise<Way> {
  const producer = kafka.producer({ idempotent: true, createPartitioner: Partitioners.DefaultPartitioner });
  const consumer = kafka.consumer({ groupId: `emotune.${group}`, maxWaitTimeInMs: 300 });
  await Promise.all([producer.connect(), consumer.connect()]);
  await consumer.subscribe({ topics: [name], fromBeginning: true });
  const joined = new Promise<void>((resolve) => consumer.on(consumer.events.GROUP_JOIN, () => resolve()));
  await consumer.run({ eachMessage: async () => handled() });
  await joined;
  let number = 0;
  const message = () => {
    const headers = { 'event-id': randomUUID(), 'content-type': 'application/x-protobuf' };
    return { key: `key-${number++ % keys}`, value: Buffer.alloc(payloadBytes), headers };
  };
  return {
    publish: async (count) =>
      void (await producer.send({ topic: name, acks: -1, messages: Array.from({ length: count }, message) })),
    close: async () => void (await Promise.all([producer.disconnect(), consumer.disconnect()])),
  };
}

function rawKafka(url: string): Kafka {
  return new Kafka({ brokers: url.replace(/^kafka:\/\/|\/$/g, '').split(','), logLevel: logLevel.NOTHING });
}
