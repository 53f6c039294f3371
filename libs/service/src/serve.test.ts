import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { InvalidArgument, Unauthenticated } from '@emotune/base';
import { testDatabaseUrl } from '@emotune/database/testing';
import { eventTables } from '@emotune/events';
import type { files } from '@emotune/proto';
import { afterAll, expect, it, vi } from 'vitest';
import { Channel, filesModule, type Program, runService, serviceEnvironment } from './index.js';
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
  const stop = new AbortController();
  const output = { stdout: '', stderr: '' };
  const exitCode = runService(program, {
    env: {
      EMOTUNE_LISTEN: '127.0.0.1:0',
      EMOTUNE_DATABASE_URL: database,
      EMOTUNE_OBJECTS_URL: pathToFileURL(folder).href,
      EMOTUNE_BUS_URL: database,
      EMOTUNE_PEERS: 'data=127.0.0.1:1',
      ...changes,
    },
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
