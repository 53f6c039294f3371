/**
 * The command `migrate` of a service's program: brings the service's schema up to date, and that of the bus where PostgreSQL holds it,
 * then ends. What is up to date already is left as it is, so it may run at any time and any number of times.
 */
import { InvalidArgument, policyOf } from '@emotune/base';
import { Database } from '@emotune/database';
import { migrateBus } from '@emotune/events';
import { readEnvironment, serviceEnvironment } from './environment.js';
import { jsonLog } from './log.js';
import { patiently } from './patiently.js';
import type { Program, Surroundings } from './serve.js';

/** A database that is being installed beside it takes its time. */
const patienceMs = 10 * 60_000;

const environment = serviceEnvironment([]).pick({
  EMOTUNE_DATABASE_URL: true,
  EMOTUNE_DATABASE_PASSWORD_FILE: true,
  EMOTUNE_BUS_URL: true,
});

/** @returns The exit code: 0 when all is up to date, 2 where that is refused, 4 where the database stays away. */
export async function runMigrations(
  { area, migrations }: Pick<Program<never>, 'area' | 'migrations'>,
  { env, stdout, stderr, signal }: Surroundings,
): Promise<number> {
  const log = jsonLog(stdout, { service: area });
  try {
    const { EMOTUNE_BUS_URL: bus, ...own } = readEnvironment(environment, env);
    const settings = { pool: 1, passwordFile: own.EMOTUNE_DATABASE_PASSWORD_FILE };
    const migrateArea = async () => {
      const database = await Database.connect(own.EMOTUNE_DATABASE_URL, area, settings);
      return database.migrate(migrations).finally(() => database.close());
    };
    const patience = { log, signal, limitMs: patienceMs };
    const had = await patiently('the database', migrateArea, patience);
    log.info('the schema is up to date', { schema: area, had, has: migrations.length });
    await patiently('the database of the event bus', () => migrateBus(bus, settings), patience);
    return 0;
  } catch (error) {
    if (error instanceof InvalidArgument)
      for (const { field, description } of error.violations) stderr(`${field}: ${description}\n`);
    else log.error('the schema could not be brought up to date', { error });
    return policyOf(error).exitCode;
  }
}
