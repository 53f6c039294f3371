import { Database, type DatabaseSettings } from '@emotune/database';
import type { Bus } from './bus.js';
import { eventLogMigrations } from './event-log.js';
import { KafkaBus, type KafkaBusOptions } from './kafka-bus.js';
import { brokersOf } from './kafka-client.js';
import { PostgresBus } from './postgres-bus.js';

export const busExpectation =
  'expected postgres://user:password@host:5432/database or kafka://host:port[,host:port]';

const isPostgres = (url: string) => /^postgres(ql)?:/i.test(url) && URL.canParse(url);

/** Whether `openBus` takes it. */
export function isBusUrl(url: string): boolean {
  return isPostgres(url) || brokersOf(url) !== undefined;
}

/** Of PostgreSQL. */
const schema = 'bus';

/** Brings what PostgreSQL holds of a bus up to date, where the bus is there. @returns how many migrations it had, undefined elsewhere */
export async function migrateBus(url: string, settings: DatabaseSettings): Promise<number | undefined> {
  if (!isPostgres(url)) return undefined;
  const database = await Database.connect(url, schema, settings);
  return database.migrate(eventLogMigrations).finally(() => database.close());
}

/**
 * The bus at a URL: a PostgreSQL database, or brokers of Kafka.
 * @throws Unavailable when it does not answer; FailedPrecondition when it refuses.
 */
export async function openBus(
  url: string,
  {
    database: settings,
    ...kafka
  }: Pick<KafkaBusOptions, 'settings' | 'tell'> & { readonly database?: DatabaseSettings },
): Promise<Bus> {
  if (!isPostgres(url)) return await KafkaBus.open(url, kafka);
  const database = await Database.connect(url, schema, settings);
  try {
    const bus = await PostgresBus.open(database);
    return {
      deadLetters: bus.deadLetters,
      publish: (events) => bus.publish(events),
      subscribe: (group, topics, handle) => bus.subscribe(group, topics, handle),
      lag: () => bus.lag(),
      close: async () => {
        await bus.close();
        await database.close();
      },
    };
  } catch (error) {
    await database.close();
    throw error;
  }
}
