/**
 * Facts between services, at least once. Events of one topic and key reach a group in the order they were published; a
 * handler that throws is tried again with growing pauses and, after the last try, the event goes to the dead letters.
 * A handler that throws Unavailable is tried until it succeeds: what it needs is away, the event is not at fault. One that
 * throws Poison is not tried again.
 */
import { AlreadyExists, beginningOf } from '@emotune/base';

export interface BusEvent {
  /** Unique: a second delivery has the same id. */
  readonly id: string;
  /** emotune.<noun>.<past-tense verb>.v1 */
  readonly topic: string;
  /** The resource's name. */
  readonly key: string;
  /** Protobuf. */
  readonly payload: Uint8Array;
  /** event-id, content-type, traceparent; on dead letters also reason and group. With a group, an event is for that group alone. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface Bus {
  /**
   * Resolves when the events cannot be lost any more: on a broker when it has them, in memory when they were handled.
   * @throws Unavailable when that is not known: publish them again.
   */
  publish(events: readonly BusEvent[]): Promise<void>;
  /**
   * Makes this process a member of a group. Each group gets every event of its topics once (or more) from its first
   * subscription on, its members share them. A group that has no member at the time gets its events when one subscribes
   * again. Returns how to leave, which waits for the member's handlers.
   * @param topics All that the group takes.
   * @throws AlreadyExists when this process is a member already.
   */
  subscribe(
    group: string,
    topics: readonly string[],
    handle: (event: BusEvent) => Promise<void>,
  ): Promise<() => Promise<void>>;
  /** What the groups that this process is a member of have not taken yet, of each of their topics. @throws Unavailable */
  lag(): Promise<readonly Lag[]>;
  /** Events that groups could not handle, of all processes. */
  readonly deadLetters: DeadLetters;
  /** Waits for handlers that run. */
  close(): Promise<void>;
}

export interface Lag {
  readonly group: string;
  readonly topic: string;
  readonly events: number;
}

/** What a bus or an outbox has to say to whoever runs it, with fields for a log. */
export type Tell = (message: string, fields: Readonly<Record<string, unknown>>) => void;

/** An event that a group could not handle. */
export interface Letter {
  /** <group>/<event id>: names it for as long as it is kept. One event is one letter of a group, however often it died. */
  readonly id: string;
  /** Letters are listed in the order of their places, the oldest first. */
  readonly place: string;
  /** As it was, with its group: another that is given it passes it over. */
  readonly event: BusEvent;
  readonly group: string;
  readonly reason: string;
  readonly at: Date;
}

export interface DeadLetters {
  /**
   * Up to `limit` letters behind the place `after`, '' for the first.
   * @throws Unavailable
   */
  list(which: LetterFilter, page: { readonly after: string; readonly limit: number }): Promise<Letter[]>;
  /** Those that are there. */
  find(ids: readonly string[]): Promise<Letter[]>;
  /** Gives `send` their events and keeps them no longer once that has resolved. Returns those that were there. */
  resend(ids: readonly string[], send: (events: readonly BusEvent[]) => Promise<void>): Promise<Letter[]>;
}

export interface LetterFilter {
  /** Of the event; '' for all. */
  readonly topic: string;
  readonly group: string;
}

/** Thrown by a handler: the event itself is wrong, no other try can help. */
export class Poison extends Error {
  override readonly name = 'Poison';
}

/** A process is a member of a group once, as brokers want it: members are what events are shared among. */
export function twice(group: string): AlreadyExists {
  return new AlreadyExists(`group ${group} is subscribed already; subscribe once to all of its topics`);
}

/** When a handler that threw is tried again. */
export interface Retry {
  /** Until the event goes to the dead letters. */
  readonly tries: number;
  /** Before the second try; doubles from try to try. */
  readonly pauseMs: number;
  readonly longestPauseMs: number;
}

/** Half a minute in all. */
export const standardRetry: Retry = { tries: 9, pauseMs: 100, longestPauseMs: 10_000 };

/** The pause after the `tries`-th try, in milliseconds. */
export function pauseAfter(tries: number, { pauseMs, longestPauseMs }: Retry): number {
  return Math.min(pauseMs * 2 ** (tries - 1), longestPauseMs);
}

/** Dead letters stay so long for whoever looks into them. */
export const deadLetterDays = 30;

/** Where events go that a group could not handle. */
export function deadLetterTopic(topic: string): string {
  return `${topic}.dlq`;
}

export function isDeadLetterTopic(topic: string): boolean {
  return topic.endsWith('.dlq');
}

/** What a dead letter tells. */
export function letterOf(dead: BusEvent, at: Date, place: string): Letter {
  const { reason = '', ...headers } = dead.headers;
  const group = headers['group'] ?? '';
  const event = { ...dead, topic: dead.topic.slice(0, -deadLetterTopic('').length), headers };
  return { id: `${group}/${dead.id}`, place, event, group, reason, at };
}

/** Whether a group is given an event: one with a group is for that group alone; a dead letter is for all who ask for it. */
export function isFor({ topic, headers }: BusEvent, group: string): boolean {
  return isDeadLetterTopic(topic) || headers['group'] === undefined || headers['group'] === group;
}

/** The event as its topic's dead letters keep it. */
export function deadLetter(event: BusEvent, group: string, error: unknown): BusEvent {
  const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return {
    ...event,
    topic: deadLetterTopic(event.topic),
    headers: { ...event.headers, group, reason: beginningOf(reason, 1000) },
  };
}
