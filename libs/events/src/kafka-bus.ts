/** The bus of a cluster: events in Kafka, by kafkajs. */
import { type Clock, systemClock, Unavailable } from '@emotune/base';
import type { Kafka } from 'kafkajs';
import { type Bus, type BusEvent, type Lag, type Retry, standardRetry, type Tell, twice } from './bus.js';
import { everyTry, type KafkaSettings, kafkaAt, kafkaError } from './kafka-client.js';
import { KafkaLetters } from './kafka-letters.js';
import { KafkaMember } from './kafka-member.js';
import { KafkaPublisher } from './kafka-publisher.js';
import { declaredTopics, KafkaTopics } from './kafka-topics.js';

export interface KafkaBusOptions {
  readonly settings: KafkaSettings;
  readonly tell: Tell;
  readonly clock: Clock;
  readonly retry: Retry;
  /** A member of which nothing was heard for so long has lost its partitions to others. */
  readonly sessionMs: number;
}

const usual: KafkaBusOptions = {
  settings: {},
  tell: () => {},
  clock: systemClock,
  retry: standardRetry,
  sessionMs: 10_000,
};

export class KafkaBus implements Bus {
  private readonly members = new Map<string, KafkaMember>();
  private readonly closing = new AbortController();
  private readonly publisher: KafkaPublisher;
  readonly deadLetters: KafkaLetters;
  private readonly away = new Set<string>();

  private constructor(
    private readonly kafka: Kafka,
    /** For members. */
    private readonly patient: Kafka,
    private readonly topics: KafkaTopics,
    private readonly options: KafkaBusOptions,
  ) {
    this.publisher = new KafkaPublisher(kafka, topics);
    this.deadLetters = new KafkaLetters(kafka, (events) => this.publish(events), options.clock);
  }

  /**
   * Creates the topics of all facts.
   * @param url kafka://host:port[,host:port]
   * @throws InvalidArgument when it is none; Unavailable when no broker answers; FailedPrecondition when they refuse
   */
  static async open(url: string, options: Partial<KafkaBusOptions> = {}): Promise<KafkaBus> {
    const all = { ...usual, ...options };
    const kafka = kafkaAt(url, all.settings);
    const topics = new KafkaTopics(kafka, all.settings, all.tell);
    await topics.ensure(declaredTopics);
    return new KafkaBus(kafka, kafkaAt(url, all.settings, everyTry), topics, all);
  }

  async publish(events: readonly BusEvent[]): Promise<void> {
    this.closing.signal.throwIfAborted();
    try {
      await this.publisher.publish(events);
      this.tellAway('publishing', undefined);
    } catch (error) {
      const reason = kafkaError(error);
      if (reason instanceof Unavailable) this.tellAway('publishing', reason);
      throw reason;
    }
  }

  async subscribe(
    group: string,
    topics: readonly string[],
    handle: (event: BusEvent) => Promise<void>,
  ): Promise<() => Promise<void>> {
    this.closing.signal.throwIfAborted();
    if (this.members.has(group)) throw twice(group);
    const { kafka, patient, options } = this;
    const { clock, retry, sessionMs } = options;
    const member = new KafkaMember({
      ...{ kafka, patient, clock, retry, sessionMs, group, topics, handle },
      publish: (events) => this.publisher.publish(events),
      away: (reason) => this.tellAway(`group ${group}`, reason),
    });
    this.members.set(group, member);
    const leave = async () => {
      await member.leave();
      this.tellAway(`group ${group}`, undefined);
      if (this.members.get(group) === member) this.members.delete(group);
    };
    try {
      await this.topics.ensure(topics);
      await member.start();
    } catch (error) {
      await leave();
      throw error;
    }
    return leave;
  }

  async lag(): Promise<Lag[]> {
    const members = [...this.members.values()];
    return (await Promise.all(members.map((member) => member.lag()))).flat();
  }

  async close(): Promise<void> {
    this.closing.abort(new Unavailable('The event bus is closed'));
    await Promise.all([...this.members.values()].map((member) => member.leave()));
    await this.publisher.close();
  }

  /** An outage is told of when it begins and when it is over for all: for who publishes, and for each group. */
  private tellAway(whom: string, reason: Error | undefined): void {
    const wasAway = this.away.size > 0;
    if (reason) this.away.add(whom);
    else this.away.delete(whom);
    if (this.closing.signal.aborted || wasAway === this.away.size > 0) return;
    if (reason) this.options.tell('Kafka is away: events wait', { reason: reason.message });
    else this.options.tell('Kafka is back', {});
  }
}
