/** Brokers that ask for TLS and passwords, and topics that are there already. */
import { readFile } from 'node:fs/promises';
import { FailedPrecondition, Unavailable } from '@emotune/base';
import {
  type Kafka as Broker,
  type SecuredKafka,
  startKafka,
  startSecuredKafka,
  withoutKafka,
} from '@emotune/local';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KafkaBus } from './kafka-bus.js';
import { type KafkaSettings, saslMechanisms } from './kafka-client.js';
import { freshName, testEvent, textOf } from './testing.js';
import { topics } from './topics.js';

const missing = withoutKafka();
if (missing) process.stderr.write(`skipped: ${missing}\n`);

async function carries(bus: KafkaBus): Promise<void> {
  const topic = freshName('secured');
  const seen: string[] = [];
  await bus.subscribe(freshName('group'), [topic], async (event) => void seen.push(textOf(event)));
  await bus.publish([testEvent(topic, 'key', 'news')]);
  await expect.poll(() => seen, { timeout: 200_000 }).toEqual(['news']);
  await bus.close();
}

describe.skipIf(missing)('Kafka by TLS', () => {
  let kafka: SecuredKafka;
  let [ca, cert, key] = ['', '', ''];
  beforeAll(async () => {
    kafka = await startSecuredKafka();
    const { files } = kafka;
    [ca, cert, key] = await Promise.all(
      [files.ca, files.clientCert, files.clientKey].map((file) => readFile(file, 'utf8')),
    );
  });
  afterAll(() => kafka?.stop());

  const user = (
    mechanism: (typeof saslMechanisms)[number],
    username = 'emotune',
    password = kafka.password,
  ) => ({
    sasl: { mechanism, username, password },
  });
  const open = (settings: KafkaSettings, broker = kafka.broker) =>
    KafkaBus.open(`kafka://${broker}`, { settings });

  it.each(saslMechanisms)('takes a user with a password by %s', async (mechanism) => {
    await carries(await open({ tls: { ca }, ...user(mechanism) }));
  });

  it('takes who shows a certificate', async () => {
    await carries(await open({ tls: { ca, cert, key } }, kafka.mutual));
  });

  it.each(saslMechanisms)('refuses a wrong password by %s at the start, and says so', async (mechanism) => {
    const opened = open({ tls: { ca }, ...user(mechanism, 'emotune', 'wrong-secret') });
    await expect(opened).rejects.toThrow(FailedPrecondition);
    await expect(opened).rejects.toThrow(/Kafka refuses the user: .*; look at the SASL mechanism/);
    await expect(opened).rejects.not.toThrow(/wrong-secret/);
  });

  it('refuses a user who may do nothing, and says so', async () => {
    const opened = open({ tls: { ca }, ...user('SCRAM-SHA-512', 'guest') });
    await expect(opened).rejects.toThrow(FailedPrecondition);
    await expect(opened).rejects.toThrow(/Kafka allows the user too little/);
  });

  it('says that it does not trust the brokers', async () => {
    const opened = open({ tls: {}, ...user('PLAIN') });
    await expect(opened).rejects.toThrow(FailedPrecondition);
    await expect(opened).rejects.toThrow(/by TLS as it is set: .*certificate/);
  });

  it('is unavailable to who speaks no TLS, or shows no certificate', async () => {
    await expect(open({})).rejects.toThrow(Unavailable);
    await expect(open({ tls: { ca } }, kafka.mutual)).rejects.toThrow();
  });
});

describe.skipIf(missing)('Kafka with topics of its own', () => {
  let kafka: Broker;
  beforeAll(async () => {
    kafka = await startKafka();
  });
  afterAll(() => kafka?.stop());

  it('creates the declared topics once, and tells where others are not as declared', async () => {
    const admin = new Kafka({ brokers: [kafka.broker], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    const compacted = topics.datasetReady.name;
    await admin.createTopics({
      topics: [
        {
          topic: compacted,
          numPartitions: 1,
          configEntries: [
            { name: 'cleanup.policy', value: 'compact' },
            { name: 'retention.ms', value: '3600000' },
          ],
        },
        {
          topic: topics.datasetFailed.name,
          configEntries: [{ name: 'retention.ms', value: '-1' }],
          numPartitions: 3,
        },
      ],
    });
    const told: unknown[] = [];
    const tell = (message: string, { topic }: Readonly<Record<string, unknown>>) =>
      told.push([topic, message]);
    const open = (settings: KafkaSettings = {}) =>
      KafkaBus.open(`kafka://${kafka.broker}`, { tell, settings });
    const buses = await Promise.all([open(), open(), open()]);
    await Promise.all(buses.map((bus) => bus.close()));
    const { topics: found } = await admin.fetchTopicMetadata({
      topics: [compacted, topics.trialMeasured.name, `${topics.trialMeasured.name}.dlq`],
    });
    const partitionsOf = Object.fromEntries(found.map(({ name, partitions }) => [name, partitions.length]));
    expect(partitionsOf).toEqual({
      ...{ [compacted]: 1, [topics.trialMeasured.name]: 12, [`${topics.trialMeasured.name}.dlq`]: 1 },
    });
    expect(new Set(told.map((news) => JSON.stringify(news)))).toEqual(
      new Set(
        [
          [
            compacted,
            'a topic has fewer partitions than declared: so many processes share its events at most',
          ],
          [compacted, 'a topic is compacted: an event may go before every group has taken it'],
          [compacted, 'a topic keeps its events for less time than declared'],
          [topics.datasetFailed.name, 'a topic keeps its events for longer than inboxes remember them'],
        ].map((news) => JSON.stringify(news)),
      ),
    );
    await admin.disconnect();
  });

  it('says what it cannot create', async () => {
    const opened = KafkaBus.open(`kafka://${kafka.broker}`, { settings: { replication: 3 } }).then(
      async (bus) => {
        await bus.subscribe('group', [freshName('copies')], async () => {});
      },
    );
    await expect(opened).rejects.toThrow(FailedPrecondition);
    await expect(opened).rejects.toThrow(/cannot create topic emotune\.test\.copies.*Replication-factor/);
  });

  it('refuses an event that is too large, and takes those beside it', async () => {
    const bus = await KafkaBus.open(`kafka://${kafka.broker}`);
    const topic = freshName('large');
    const seen: string[] = [];
    await bus.subscribe(freshName('group'), [topic], async (event) => void seen.push(event.key));
    const large = { ...testEvent(topic, 'large'), payload: new Uint8Array(2 * 2 ** 20) };
    const [small, refused, other] = await Promise.allSettled(
      [testEvent(topic, 'small'), large, testEvent(topic, 'other')].map((event) => bus.publish([event])),
    );
    expect([small.status, refused.status, other.status]).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect((refused as PromiseRejectedResult).reason.message).toMatch(/larger than the max/);
    await expect.poll(() => seen.sort(), { timeout: 200_000 }).toEqual(['other', 'small']);
    await bus.close();
  });

  it('makes a dead letter of a message that is no event', async () => {
    const bus = await KafkaBus.open(`kafka://${kafka.broker}`);
    const topic = freshName('foreign');
    const seen: string[] = [];
    await bus.subscribe('foreign', [topic], async (event) => void seen.push(event.key));
    const producer = new Kafka({ brokers: [kafka.broker], logLevel: logLevel.NOTHING }).producer();
    await producer.connect();
    await producer.send({ topic, messages: [{ key: 'order', value: '{"a": 1}' }, { value: null }] });
    await producer.disconnect();
    await bus.publish([testEvent(topic, 'news')]);
    const reasons = async () =>
      (await bus.deadLetters.list({ topic, group: '' }, { after: '', limit: 10 })).map(
        ({ reason }) => reason,
      );
    const reason = 'Poison: header event-id: expected a UUID, as events of EmoTune have, got ""';
    await expect.poll(reasons, { timeout: 200_000 }).toEqual([reason, reason]);
    await expect.poll(() => seen, { timeout: 200_000 }).toEqual(['news']);
    await bus.close();
  });
});
