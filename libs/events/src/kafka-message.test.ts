import { expect, it } from 'vitest';
import { brokersOf } from './kafka-client.js';
import { eventOf, messageOf, settledBy } from './kafka-message.js';
import { testEvent } from './testing.js';

const place = { topic: 'emotune.test.v1', partition: 3 };
const received = (message: object) => ({
  offset: '7',
  timestamp: '0',
  attributes: 0,
  key: null,
  value: null,
  headers: {},
  ...message,
});

it('an event is the same after Kafka', () => {
  const event = testEvent(place.topic, 'key', 'text');
  const { key, value, headers } = messageOf(event);
  const sent = Object.entries(headers!).map(([name, text]) => [name, Buffer.from(String(text))]);
  const message = {
    key: Buffer.from(String(key)),
    value: value as Buffer,
    headers: Object.fromEntries(sent),
  };
  expect(eventOf(place, received(message))).toEqual({ event, fault: undefined });
});

it('what others have written is at fault, and has one id wherever it is read', () => {
  const [first, again] = [eventOf(place, received({})), eventOf(place, received({}))];
  expect(first.fault?.message).toMatch(/^header event-id: expected a UUID/);
  expect(first.event.id).toMatch(/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/);
  expect(again.event).toEqual(first.event);
  expect(eventOf({ ...place, partition: 4 }, received({})).event.id).not.toBe(first.event.id);
});

it('a mark is one only among dead letters', () => {
  const mark = { ...testEvent('emotune.test.v1.dlq', 'key'), headers: { settles: '0/5' } };
  expect(settledBy(mark, mark.topic)).toBe('emotune.test.v1.dlq/0/5');
  expect(settledBy(mark, 'emotune.test.v1')).toBeUndefined();
});

it.each([
  ['kafka://a:9092', ['a:9092']],
  ['kafka://a:9092,[::1]:9093/', ['a:9092', '[::1]:9093']],
  ['kafka://user:secret@a:9092', undefined],
  ['kafka://a', undefined],
  ['kafka://', undefined],
  ['http://a:9092', undefined],
])('%s names the brokers %o', (url, brokers) => {
  expect(brokersOf(url)).toEqual(brokers);
});
