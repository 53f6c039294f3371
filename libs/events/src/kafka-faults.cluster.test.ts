/** Outbox, Kafka and inbox while brokers die, members come and go, and handlers fail. */
import { randomUUID } from 'node:crypto';
import { Rng, systemClock, Unavailable } from '@emotune/base';
import type { Database } from '@emotune/database';
import { testDatabase } from '@emotune/database/testing';
import { type Kafka, startKafka, withoutKafka } from '@emotune/local';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Bus, deadLetterTopic } from './bus.js';
import { consume, on } from './inbox.js';
import { KafkaBus } from './kafka-bus.js';
import { everyTry, kafkaAt } from './kafka-client.js';
import { KafkaMember } from './kafka-member.js';
import { emit, eventTables, Outbox } from './outbox.js';
import { topics } from './topics.js';

const missing = withoutKafka();
if (missing) process.stderr.write(`skipped: ${missing}\n`);

const topic = topics.datasetFailed;
const retry = { tries: 4, pauseMs: 5, longestPauseMs: 200 };
const keys = 40;
const perKey = 50;
const isPoison = (number: number) => number % 97 === 13;

describe.skipIf(missing)('Kafka, outbox and inbox', () => {
  let kafka: Kafka;
  let sender: Database;
  let receiver: Database;
  const buses: Bus[] = [];
  const open = async (): Promise<KafkaBus> => {
    const bus = await KafkaBus.open(`kafka://${kafka.broker}`, { retry, sessionMs: 6_000 });
    buses.push(bus);
    return bus;
  };

  beforeAll(async () => {
    kafka = await startKafka();
    sender = await testDatabase('sender');
    receiver = await testDatabase('receiver');
    await sender.migrate([eventTables]);
    await receiver.migrate([
      eventTables,
      'create table effects (number bigint generated always as identity, key text, event int, at timestamptz default clock_timestamp())',
    ]);
  });
  afterAll(async () => {
    await Promise.all(buses.map((bus) => bus.close()));
    await kafka?.stop();
  });

  it('lose none of 2,000 events, act on none twice and keep the order of every key, whatever dies meanwhile', async () => {
    const rng = Rng.of(15);
    const failed = new Set<number>();
    const handle = on(topic, async (sql, { name, reason }) => {
      const event = Number(reason);
      if (isPoison(event)) throw new RangeError(`indigestible ${event}`);
      await sql.query('insert into effects (key, event) values ($1, $2)', [name, event]);
      // Once, after it has acted: what it did is undone with its transaction.
      if (!failed.has(event) && rng.uniform() < 0.1) {
        failed.add(event);
        throw rng.uniform() < 0.5 ? new Unavailable('the store is away') : new Error('not now');
      }
    });
    const join = async (bus: Bus) =>
      consume({ database: receiver, bus, group: 'listener', handlers: [handle] });
    const dead: number[] = [];
    const undertaker = await open();
    await undertaker.subscribe('undertaker', [deadLetterTopic(topic.name)], async ({ payload, headers }) => {
      const event = Number(topic.decode(payload).reason);
      expect(headers).toMatchObject({ group: 'listener', reason: `RangeError: indigestible ${event}` });
      if (!dead.includes(event)) dead.push(event);
    });
    await join(await open());
    await join(await open());

    const through = await open();
    // Every tenth event is published twice, as by a relay that died before it had recorded the first time.
    const twice: Pick<Bus, 'publish'> = {
      publish: async (events) => {
        await through.publish(events);
        if (rng.uniform() < 0.1) await through.publish(events);
      },
    };
    const outbox = new Outbox(sender, twice, systemClock, retry);
    outbox.start();

    let said = 0;
    let over = false;
    let members = 0;
    const total = keys * perKey;
    const talk = async () => {
      for (let n = 0; n < perKey; n++)
        for (let key = 0; key < keys; key += 8)
          await sender.transaction(async (sql) => {
            for (let k = key; k < key + 8; k++) {
              const name = `key-${k}`;
              await emit(sql, topic, name, { name, reason: String(n * keys + k) });
            }
            said += 8;
          });
    };
    const storm = async () => {
      while (!over) {
        // While the broker is away nobody comes.
        const bus = await open().catch(() => undefined);
        const leave = bus && (await join(bus).catch(() => undefined));
        if (leave) members++;
        await systemClock.sleep(300 + 1200 * rng.uniform());
        await (rng.uniform() < 0.5 ? leave?.() : bus?.close());
      }
    };
    const recoveries: number[] = [];
    const killing = async () => {
      for (let kill = 1; kill <= 3; kill++) {
        const target = (kill * total) / 4;
        await expect.poll(() => applied(), { timeout: 600_000, interval: 50 }).toBeGreaterThan(target - 200);
        await kafka.kill();
        await systemClock.sleep(1000 + 3000 * rng.uniform());
        const [before] = await receiver.query<{ most: number }>(
          'select coalesce(max(number), 0) as most from effects',
        );
        await kafka.restart();
        const begin = Date.now();
        await expect
          .poll(
            async () =>
              (await receiver.query('select 1 from effects where number > $1', [before.most])).length,
            {
              timeout: 600_000,
              interval: 20,
            },
          )
          .toBeGreaterThan(0);
        recoveries.push(Date.now() - begin);
      }
    };
    const applied = async () => {
      const [{ n }] = await receiver.query<{ n: number }>('select count(*)::int as n from effects');
      return n;
    };
    const begin = Date.now();
    const storming = storm();
    const killed = killing();
    await talk();
    expect(said).toBe(total);
    await killed;
    const poison = Array.from({ length: total }, (_, n) => n).filter(isPoison);
    await expect.poll(applied, { timeout: 600_000, interval: 100 }).toBe(total - poison.length);
    await expect.poll(() => dead.length, { timeout: 600_000 }).toBe(poison.length);
    const seconds = (Date.now() - begin) / 1000;
    over = true;
    await storming;
    await outbox.close();

    const effects = await receiver.query<{ key: string; event: number }>(
      'select key, event from effects order by number',
    );
    for (let k = 0; k < keys; k++) {
      const wanted = Array.from({ length: perKey }, (_, n) => n * keys + k).filter(
        (event) => !isPoison(event),
      );
      expect(effects.filter(({ key }) => key === `key-${k}`).map(({ event }) => event)).toEqual(wanted);
    }
    expect(dead.sort((a, b) => a - b)).toEqual(poison);
    expect(await sender.query('select 1 from outbox')).toEqual([]);
    process.stderr.write(
      `${total} events in ${seconds.toFixed(1)} s through 3 kills of the broker and ${members} members that came and went; after a restart the next took effect within ${recoveries.join(', ')} ms\n`,
    );
  });

  it('a member goes on that hears of a rebalance and is none the less left as it was', async () => {
    const url = `kafka://${kafka.broker}`;
    const bus = await open();
    const patient = kafkaAt(url, {}, everyTry);
    const make = patient.consumer.bind(patient);
    let tell = () => {};
    patient.consumer = (options) => {
      const consumer = make(options);
      const on = consumer.on.bind(consumer) as (name: string, hear: () => void) => () => void;
      consumer.on = ((name: string, hear: () => void) => {
        if (name === consumer.events.REBALANCING) tell = hear;
        return on(name, hear);
      }) as typeof consumer.on;
      return consumer;
    };
    const taken: string[] = [];
    const publish = (key: string) => {
      const id = randomUUID();
      const headers = { 'event-id': id };
      return bus.publish([{ id, topic: topic.name, key, payload: new Uint8Array(), headers }]);
    };
    const member = new KafkaMember({
      ...{ kafka: kafkaAt(url, {}), patient, clock: systemClock, retry, sessionMs: 6_000 },
      ...{ group: 'left-as-it-was', topics: [topic.name], away: () => {} },
      handle: async ({ key }) => void taken.push(key),
      publish: (events) => bus.publish(events),
    });
    await member.start();
    await publish('before');
    await expect.poll(() => taken, { timeout: 60_000 }).toEqual(['before']);
    tell();
    await publish('after');
    await expect.poll(() => [...new Set(taken)], { timeout: 60_000 }).toEqual(['before', 'after']);
    await member.leave();
  });
});
