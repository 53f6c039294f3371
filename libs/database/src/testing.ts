/** PostgreSQL for tests: one server for each test file, started when first asked for. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { Database } from './database.js';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded.js';
import { readPostmaster, stopOrphan } from './postmaster.js';

const prefix = 'emotune-postgres-test-';
let server: Promise<EmbeddedPostgres> | undefined;
let dir: string | undefined;
const opened: Database[] = [];

/** Ends and removes what test runs left behind that were killed. */
async function sweep(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const data = join(tmpdir(), name, 'data');
    if (!name.startsWith(prefix) || readPostmaster(data) === undefined) continue;
    // One whose owner lives is refused, and stays.
    await stopOrphan(data)
      .then(() => rm(join(tmpdir(), name), { recursive: true, force: true }))
      .catch(() => {});
  }
}

/** The URL of the test file's server. */
export async function testDatabaseUrl(): Promise<string> {
  server ??= (async () => {
    await sweep();
    dir = await mkdtemp(join(tmpdir(), prefix));
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
  await Promise.allSettled(opened.map((database) => database.close()));
  await (await server)?.stop();
  if (dir !== undefined) await rm(dir, { recursive: true, force: true });
});
