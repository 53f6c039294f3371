/** Events as messages of Kafka. */
import { createHash } from 'node:crypto';
import type { IHeaders, KafkaMessage, Message } from 'kafkajs';
import { type BusEvent, isDeadLetterTopic, Poison } from './bus.js';

export function messageOf({ key, payload, headers }: BusEvent): Message {
  return { key, value: Buffer.from(payload), headers: { ...headers } };
}

function headersOf(headers: IHeaders = {}): Record<string, string> {
  const texts = Object.entries(headers).flatMap(([name, value]) => {
    const [first] = [value ?? []].flat();
    return first === undefined ? [] : [[name, first.toString()] as const];
  });
  return Object.fromEntries(texts);
}

/** The same for the same message, whoever reads it. */
function idOfPlace(topic: string, partition: number, offset: string): string {
  const digits = createHash('sha256').update(`${topic}/${partition}/${offset}`).digest('hex');
  return digits.slice(0, 32).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

const uuid = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i;

/** The event, and what is wrong with it where others than EmoTune have written it. */
export function eventOf(
  { topic, partition }: { readonly topic: string; readonly partition: number },
  { offset, key, value, headers: sent }: KafkaMessage,
): { readonly event: BusEvent; readonly fault: Poison | undefined } {
  const headers = headersOf(sent);
  const id = headers['event-id'] ?? '';
  const isOurs = uuid.test(id);
  const event = {
    id: isOurs ? id : idOfPlace(topic, partition, offset),
    topic,
    key: key?.toString() ?? '',
    payload: new Uint8Array(value ?? []),
    headers,
  };
  if (isOurs) return { event, fault: undefined };
  const fault = new Poison(
    `header event-id: expected a UUID, as events of EmoTune have, got ${JSON.stringify(id)}`,
  );
  return { event: { ...event, headers: { ...headers, 'event-id': event.id } }, fault };
}

/** The dead letter, by topic, partition and offset, that a mark in its topic says is done with. */
export function settledBy({ headers }: BusEvent, topic: string): string | undefined {
  const place = isDeadLetterTopic(topic) ? headers['settles'] : undefined;
  return place === undefined ? undefined : `${topic}/${place}`;
}
