import { Database } from '@emotune/database';
import type { Bus } from './bus.js';
import { PostgresBus } from './postgres-bus.js';

/** Of the URLs that `openBus` takes. */
export const busSchemes: readonly string[] = ['postgres', 'postgresql'];

/** Of PostgreSQL. */
const schema = 'bus';

/** The bus at a URL: a PostgreSQL database. @throws Unavailable when it does not answer; FailedPrecondition when it refuses. */
export async function openBus(url: string): Promise<Bus> {
  const database = await Database.connect(url, schema);
  try {
    const bus = await PostgresBus.open(database);
    return {
      publish: (events) => bus.publish(events),
      subscribe: (group, topics, handle) => bus.subscribe(group, topics, handle),
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
