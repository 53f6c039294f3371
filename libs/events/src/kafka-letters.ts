/**
 * Dead letters in Kafka. Nothing can be taken out of a topic: a letter that is done with is named by a mark behind it, which
 * goes later than the letter does.
 */
import { randomUUID } from 'node:crypto';
import { type Clock, Unavailable } from '@emotune/base';
import type { Admin, Kafka } from 'kafkajs';
import {
  type BusEvent,
  type DeadLetters,
  deadLetterTopic,
  isDeadLetterTopic,
  type Letter,
  type LetterFilter,
  letterOf,
} from './bus.js';
import { kafkaError, withAdmin } from './kafka-client.js';
import { eventOf, settledBy } from './kafka-message.js';
import { pageOfLetters, placeOf } from './letter-box.js';

/** Of one record: a letter that died twice has two. */
interface Found extends Letter {
  readonly partition: number;
  readonly offset: number;
}

const scanMs = 60_000;

export class KafkaLetters implements DeadLetters {
  constructor(
    private readonly kafka: Kafka,
    private readonly publish: (events: readonly BusEvent[]) => Promise<void>,
    private readonly clock: Clock,
  ) {}

  async list(
    which: LetterFilter,
    page: { readonly after: string; readonly limit: number },
  ): Promise<Letter[]> {
    return pageOfLetters(newestOf(await this.scan(which.topic)), which, page);
  }

  async find(ids: readonly string[]): Promise<Letter[]> {
    return newestOf(await this.scan('')).filter(({ id }) => ids.includes(id));
  }

  async resend(
    ids: readonly string[],
    send: (events: readonly BusEvent[]) => Promise<void>,
  ): Promise<Letter[]> {
    const all = (await this.scan('')).filter(({ id }) => ids.includes(id));
    const found = newestOf(all);
    await send(found.map(({ event }) => event));
    await this.publish(all.map(markOf));
    return found;
  }

  /** Every letter that is not done with, in the order of their places. @param topic of the event; '' for all */
  private async scan(topic: string): Promise<Found[]> {
    const { ends, total } = await withAdmin(this.kafka, (admin) => endsOf(admin, topic));
    if (total === 0) return [];
    const records = await this.read(ends);
    const settled = new Set(records.flatMap(({ event, at }) => settledBy(event, at.topic) ?? []));
    return records
      .filter(({ event, at }) => settledBy(event, at.topic) === undefined && !settled.has(nameOf(at)))
      .map(({ event, at, time }) => ({
        ...letterOf(event, new Date(time), `${placeOf(time)}/${nameOf(at)}`),
        ...{ partition: at.partition, offset: at.offset },
      }))
      .sort((a, b) => (a.place < b.place ? -1 : 1));
  }

  private async read(ends: ReadonlyMap<string, readonly End[]>): Promise<RecordOfLetter[]> {
    // Of its own, so that it is given everything.
    const groupId = `emotune.dead-letters.${randomUUID()}`;
    const consumer = this.kafka.consumer({ groupId, maxWaitTimeInMs: 300, allowAutoTopicCreation: false });
    const left = new Map(
      [...ends].flatMap(([topic, of]) => of.map((end) => [`${topic}/${end.partition}`, end.high])),
    );
    const records: RecordOfLetter[] = [];
    try {
      await consumer.connect();
      await consumer.subscribe({ topics: [...ends.keys()], fromBeginning: true });
      const done = new Promise<void>((resolve, reject) => {
        consumer.on(consumer.events.CRASH, ({ payload: { error, restart } }) => restart || reject(error));
        const run = consumer.run({
          autoCommit: false,
          eachBatch: async ({ batch }) => {
            const { topic, partition } = batch;
            for (const message of batch.messages) {
              const at = { topic, partition, offset: Number(message.offset) };
              records.push({ event: eventOf(at, message).event, at, time: Number(message.timestamp) });
            }
            const name = `${topic}/${partition}`;
            if (Number(batch.lastOffset()) + 1 >= (left.get(name) ?? 0)) left.delete(name);
            if (left.size === 0) resolve();
          },
        });
        run.catch(reject);
      });
      const tooLong = new Unavailable(`Kafka has not shown all dead letters within ${scanMs / 1000} s`);
      const waited = new AbortController();
      const late = this.clock.sleep(scanMs, waited.signal).then(() => Promise.reject(tooLong));
      await Promise.race([done, late]).finally(() => waited.abort());
    } catch (error) {
      throw kafkaError(error);
    } finally {
      await consumer.disconnect().catch(() => {});
    }
    await withAdmin(this.kafka, (admin) => admin.deleteGroups([groupId])).catch(() => {});
    return records;
  }
}

interface Place {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

interface RecordOfLetter {
  readonly event: BusEvent;
  readonly at: Place;
  /** Milliseconds since 1970. */
  readonly time: number;
}

interface End {
  readonly partition: number;
  readonly high: number;
}

const nameOf = ({ topic, partition, offset }: Place) => `${topic}/${partition}/${offset}`;

async function endsOf(admin: Admin, topic: string): Promise<{ ends: Map<string, End[]>; total: number }> {
  const isMeant = (name: string) =>
    topic === '' ? name.startsWith('emotune.') && isDeadLetterTopic(name) : name === deadLetterTopic(topic);
  const names = (await admin.listTopics()).filter(isMeant);
  const ends = new Map<string, End[]>();
  let total = 0;
  for (const name of names) {
    const offsets = await admin.fetchTopicOffsets(name);
    const filled = offsets.flatMap(({ partition, low, high }) =>
      Number(high) > Number(low) ? [{ partition, high: Number(high) }] : [],
    );
    if (filled.length > 0) ends.set(name, filled);
    total += filled.length;
  }
  return { ends, total };
}

/** Of each letter its newest record. */
function newestOf(found: readonly Found[]): Found[] {
  const byId = new Map(found.map((letter) => [letter.id, letter]));
  return found.filter((letter) => byId.get(letter.id) === letter);
}

function markOf({ event, partition, offset }: Found): BusEvent {
  const id = randomUUID();
  const topic = deadLetterTopic(event.topic);
  const headers = { 'event-id': id, settles: `${partition}/${offset}` };
  return { id, topic, key: event.key, payload: new Uint8Array(), headers };
}
