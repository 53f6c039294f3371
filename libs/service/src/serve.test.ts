import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { InvalidArgument, Unauthenticated } from '@emotune/base';
import { Database } from '@emotune/database';
import { testDatabaseUrl } from '@emotune/database/testing';
import { eventTables } from '@emotune/events';
import type { files } from '@emotune/proto';
import { afterAll, expect, it, onTestFinished, vi } from 'vitest';
import type { Variables } from './environment.js';
import { Channel, filesModule, type Program, runService, serviceEnvironment } from './index.js';
import { runMigrations } from './migrate.js';
import type { Surroundings } from './serve.js';
import { Health } from './testing.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-serve-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

class EmptyModule {}

const environment = serviceEnvironment(['data']);
/** What happened, in order. */
let events: string[] = [];
const program: Program<typeof environment> = {
  ...{ area: 'inference', environment, migrations: [eventTables] },
  open(context, _, address) {
    expect(context.channel).toBeInstanceOf(Channel);
    events.push(`opened ${address}`);
    const shutdown = {
      provide: 'shutdown',
      useValue: { onApplicationShutdown: () => events.push('module') },
    };
    return {
      module: { module: EmptyModule, imports: [filesModule(context)], providers: [shutdown] },
      close: async () => {
        events.push('closed');
      },
    };
  },
};

function start(database: string, changes: Record<string, string> = {}) {
  events = [];
  return begin(runService<typeof environment>, {
    EMOTUNE_LISTEN: '127.0.0.1:0',
    EMOTUNE_DATABASE_URL: database,
    EMOTUNE_OBJECTS_URL: pathToFileURL(folder).href,
    EMOTUNE_BUS_URL: database,
    EMOTUNE_PEERS: 'data=127.0.0.1:1',
    ...changes,
  });
}

function begin(command: (of: typeof program, surroundings: Surroundings) => Promise<number>, env: Variables) {
  const stop = new AbortController();
  const output = { stdout: '', stderr: '' };
  const exitCode = command(program, {
    env,
    stdout: (text) => {
      output.stdout += text;
    },
    stderr: (text) => {
      output.stderr += text;
    },
    signal: stop.signal,
  });
  return { stop: () => stop.abort(), output, exitCode };
}

const patience = { timeout: 60_000, interval: 20 };

it('serves until its signal, then ends in order: 0', async () => {
  const { stop, output, exitCode } = start(await testDatabaseUrl());
  await vi.waitFor(() => expect(output.stdout).toContain('"serving"'), patience);
  const address = events[0].replace('opened ', '');
  const health = new Health(address);
  expect(await health.check()).toBe('SERVING');
  stop();
  expect(await exitCode).toBe(0);
  expect(events).toEqual([`opened ${address}`, 'module', 'closed']);
  await expect(health.check()).rejects.toThrow();
  health.close();
  expect(output.stderr).toBe('');
});

it('asks for its token; without one it serves its own machine alone, and says so', async () => {
  const token = 'a-token-of-thirty-two-characters';
  const database = await testDatabaseUrl();
  const { stop, output, exitCode } = start(database, { EMOTUNE_TOKEN: token, EMOTUNE_LISTEN: '0.0.0.0:0' });
  await vi.waitFor(() => expect(output.stdout).toContain('"serving"'), patience);
  const uploads = (shown?: string) => {
    const channel = Channel.connect(events[0].replace('opened ', ''), { token: shown });
    const call = channel.client<files.FileServiceClient>('FileService').call('getUpload', {});
    return call.finally(() => channel.close());
  };
  await expect(uploads()).rejects.toBeInstanceOf(Unauthenticated);
  await expect(uploads(`${token}x`)).rejects.toBeInstanceOf(Unauthenticated);
  await expect(uploads(token)).rejects.toBeInstanceOf(InvalidArgument);
  stop();
  expect(await exitCode).toBe(0);
  expect(output.stdout).not.toContain(token);

  const open = start(database, { EMOTUNE_LISTEN: '0.0.0.0:0' });
  expect(await open.exitCode).toBe(2);
  expect(open.output.stderr).toContain('EMOTUNE_TOKEN: expected a token, since others');
  const local = start(database);
  await vi.waitFor(() => expect(local.output.stdout).toContain('"serving"'), patience);
  expect(local.output.stdout).toContain('every user of this machine may call this service');
  local.stop();
  expect(await local.exitCode).toBe(0);
});

it('waits for what is away, and can be ended meanwhile: 0', async () => {
  const { stop, output, exitCode } = start('postgres://user:secret@127.0.0.1:1/emotune');
  const waits = () => output.stdout.split('waiting for the event bus').length - 1;
  await vi.waitFor(() => expect(waits()).toBe(1), patience);
  stop();
  expect(await exitCode).toBe(0);
  expect(events).toEqual([]);
  expect(output.stdout).not.toContain('secret');
});

it('waits for its schema where it does not migrate itself, until the command has', async () => {
  const database = new URL(await testDatabaseUrl());
  const admin = await Database.connect(database.href, 'admin');
  await admin.query('create database awaiting');
  await admin.close();
  database.pathname = '/awaiting';
  const { stop, output, exitCode } = start(database.href, { EMOTUNE_MIGRATIONS: 'await' });
  await vi.waitFor(() => expect(output.stdout).toContain('the schema bus has 0 of'), patience);
  expect(output.stdout).toContain('the command migrate of its service applies them');
  expect(output.stdout).not.toContain('"serving"');
  const migrated = begin(runMigrations, {
    EMOTUNE_DATABASE_URL: database.href,
    EMOTUNE_BUS_URL: database.href,
  });
  expect(await migrated.exitCode).toBe(0);
  expect(migrated.output.stdout).toMatch(
    /"message":"the schema is up to date".*"schema":"inference","had":0,"has":1/,
  );
  await vi.waitFor(() => expect(output.stdout).toContain('"serving"'), patience);
  stop();
  expect(await exitCode).toBe(0);
  const again = begin(runMigrations, {
    EMOTUNE_DATABASE_URL: database.href,
    EMOTUNE_BUS_URL: 'kafka://127.0.0.1:9',
  });
  expect(await again.exitCode).toBe(0);
  expect(again.output.stdout).toContain('"had":1,"has":1');
});

it('the command migrate says what it lacks, and what refuses it: 2', async () => {
  const lacking = begin(runMigrations, { EMOTUNE_BUS_URL: 'kafka://127.0.0.1:9' });
  expect(await lacking.exitCode).toBe(2);
  expect(lacking.output.stderr).toMatch(/^EMOTUNE_DATABASE_URL: expected a URL .*, got nothing\n$/);
  const newer = await Database.connect(await testDatabaseUrl(), 'inference');
  await newer.migrate([eventTables, 'create table of_tomorrow (a int)']);
  onTestFinished(async () => {
    await newer.query('drop table of_tomorrow');
    await newer.query('delete from migrations where number = 1');
    await newer.close();
  });
  const url = await testDatabaseUrl();
  const refused = begin(runMigrations, { EMOTUNE_DATABASE_URL: url, EMOTUNE_BUS_URL: url });
  expect(await refused.exitCode).toBe(2);
  expect(refused.output.stdout).toContain(
    'was written by a newer version of EmoTune (2 migrations, 1 known)',
  );
});

it('ends when it is refused, and when its port is taken: 2 and 4', async () => {
  const wrong = new URL(await testDatabaseUrl());
  wrong.password = 'secret';
  const refused = start(wrong.href);
  expect(await refused.exitCode).toBe(2);
  expect(refused.output.stdout).toContain('PostgreSQL refuses the connection');
  expect(refused.output.stdout).not.toContain('secret');

  const first = start(await testDatabaseUrl());
  await vi.waitFor(() => expect(first.output.stdout).toContain('"serving"'), patience);
  const address = events[0].replace('opened ', '');
  const second = start(await testDatabaseUrl(), { EMOTUNE_LISTEN: address });
  expect(await second.exitCode).toBe(4);
  expect(second.output.stdout).toContain(`${address} cannot be listened on`);
  first.stop();
  expect(await first.exitCode).toBe(0);
});
