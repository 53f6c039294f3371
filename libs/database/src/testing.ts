/** PostgreSQL for tests: one server for each test file, started when first asked for. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { Database } from './database.js';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded.js';

let server: Promise<EmbeddedPostgres> | undefined;
let dir: string | undefined;
const opened: Database[] = [];

/** The URL of the test file's server. */
export async function testDatabaseUrl(): Promise<string> {
  server ??= (async () => {
    dir = await mkdtemp(join(tmpdir(), 'emotune-postgres-'));
    return startEmbeddedPostgres({ dir, durable: false });
  })();
  return (await server).url;
}

/** An empty schema of that name on the test file's server; closed when the file's tests are done. */
export async function testDatabase(schema: string): Promise<Database> {
  const database = await Database.connect(await testDatabaseUrl(), schema);
  opened.push(database);
  await database.query(`drop schema ${schema} cascade`);
  await database.query(`create schema ${schema}`);
  return database;
}

// Registered when the file is loaded, so it runs after the file's own hooks.
afterAll(async () => {
  await Promise.all(opened.map((database) => database.close()));
  await (await server)?.stop();
  if (dir !== undefined) await rm(dir, { recursive: true, force: true });
});
