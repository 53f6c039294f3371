/** Topics of Kafka: created as declared, never changed. */
import { FailedPrecondition } from '@emotune/base';
import kafkajs, { type Admin, type Kafka } from 'kafkajs';
import { deadLetterDays, deadLetterTopic, isDeadLetterTopic, type Tell } from './bus.js';
import { type KafkaSettings, withAdmin } from './kafka-client.js';
import { inboxDays } from './pruning.js';
import { topics } from './topics.js';

interface Layout {
  readonly partitions: number;
  readonly retentionDays: number;
}

/** Of topics that nobody has declared. */
const otherFacts: Layout = { partitions: 3, retentionDays: 7 };
/** Few letters, in no order, which wait for a person. */
const deadLetters: Layout = { partitions: 1, retentionDays: deadLetterDays };

function layoutOf(topic: string): Layout {
  if (isDeadLetterTopic(topic)) return deadLetters;
  return Object.values(topics).find(({ name }) => name === topic) ?? otherFacts;
}

/** What every bus on Kafka has. */
export const declaredTopics: readonly string[] = Object.values(topics).flatMap(({ name }) => [
  name,
  deadLetterTopic(name),
]);

const isDeclared = (topic: string) => declaredTopics.includes(topic);

const dayMs = 24 * 60 * 60 * 1000;

export class KafkaTopics {
  /** Of topics that are known to exist, the broker that leads each partition. */
  private readonly leaders = new Map<string, readonly number[]>();
  private readonly ensuring = new Map<string, Promise<void>>();

  constructor(
    private readonly kafka: Kafka,
    private readonly settings: KafkaSettings,
    private readonly tell: Tell,
  ) {}

  /** The brokers that lead the partitions of a topic, as last heard; it is created where it does not exist. */
  async leadersOf(topic: string): Promise<readonly number[]> {
    if (!this.leaders.has(topic)) {
      const ensuring =
        this.ensuring.get(topic) ?? this.ensure([topic]).finally(() => this.ensuring.delete(topic));
      this.ensuring.set(topic, ensuring);
      await ensuring;
    }
    return this.leaders.get(topic)!;
  }

  /** Asks again before a topic is written to: it may have gone, or have grown. */
  forget(topic: string): void {
    this.leaders.delete(topic);
  }

  /** Creates those that do not exist, and tells in what the others differ from what is declared. */
  async ensure(names: readonly string[]): Promise<void> {
    await withAdmin(this.kafka, async (admin) => {
      const existing = new Set(await admin.listTopics());
      const missing = names.filter((name) => !existing.has(name));
      if (missing.length > 0) await this.create(admin, missing);
      const { topics: found } = await admin.fetchTopicMetadata({ topics: [...names] });
      for (const { name, partitions } of found) {
        const inOrder = [...partitions].sort((a, b) => a.partitionId - b.partitionId);
        this.leaders.set(
          name,
          inOrder.map(({ leader }) => leader),
        );
      }
      // A broker that leads a new topic may not have heard of it yet; then this is asked again.
      for (const name of missing) await admin.fetchTopicOffsets(name);
      const declared = names.filter((name) => existing.has(name) && isDeclared(name));
      if (declared.length > 0) await this.compare(admin, declared);
    });
  }

  private wantedPartitions(topic: string): number {
    const { partitions } = layoutOf(topic);
    return isDeadLetterTopic(topic) ? partitions : (this.settings.partitions ?? partitions);
  }

  private async create(admin: Admin, names: readonly string[]): Promise<void> {
    const wanted = names.map((topic) => ({
      topic,
      numPartitions: this.wantedPartitions(topic),
      replicationFactor: this.settings.replication ?? -1,
      configEntries: [
        { name: 'cleanup.policy', value: 'delete' },
        { name: 'retention.ms', value: String(layoutOf(topic).retentionDays * dayMs) },
      ],
    }));
    try {
      await admin.createTopics({ topics: wanted, waitForLeaders: false });
    } catch (error) {
      const failures = (error as { errors?: { topic?: string; type?: string; message: string }[] }).errors;
      // Another process may have created some meanwhile.
      const real = (failures ?? []).filter(({ type }) => type !== 'TOPIC_ALREADY_EXISTS');
      if (failures === undefined || real.some(({ type }) => type?.endsWith('_AUTHORIZATION_FAILED')))
        throw error;
      const [first] = real;
      if (first)
        throw new FailedPrecondition(
          `Kafka cannot create topic ${first.topic}: ${first.message}; look at the number of partitions and of copies, or create it`,
          { cause: error },
        );
    }
  }

  private async compare(admin: Admin, names: readonly string[]): Promise<void> {
    for (const name of names) {
      const [found, wanted] = [this.leaders.get(name)!.length, this.wantedPartitions(name)];
      if (found < wanted)
        this.tell('a topic has fewer partitions than declared: so many processes share its events at most', {
          topic: name,
          ...{ partitions: found, declared: wanted },
        });
    }
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: names.map((name) => ({
        type: kafkajs.ConfigResourceTypes.TOPIC,
        name,
        configNames: ['cleanup.policy', 'retention.ms'],
      })),
    });
    for (const { resourceName, configEntries } of resources) {
      const { 'cleanup.policy': policy = 'delete', 'retention.ms': retention = '-1' } = Object.fromEntries(
        configEntries.map(({ configName, configValue }) => [configName, configValue]),
      );
      if (policy !== 'delete')
        this.tell('a topic is compacted: an event may go before every group has taken it', {
          topic: resourceName,
          policy,
        });
      const days = Number(retention) / dayMs;
      if (days >= 0 && days < layoutOf(resourceName).retentionDays)
        this.tell('a topic keeps its events for less time than declared', {
          topic: resourceName,
          ...{ days, declared: layoutOf(resourceName).retentionDays },
        });
      if (days < 0 || days > inboxDays)
        this.tell('a topic keeps its events for longer than inboxes remember them', {
          topic: resourceName,
          ...{ days: days < 0 ? 'for ever' : days, remembered: inboxDays },
        });
    }
  }
}
