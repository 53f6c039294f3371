import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@emotune/base';
import { Database } from '@emotune/database';
import { testDatabase, testDatabaseUrl } from '@emotune/database/testing';
import { PostgresBus, topics } from '@emotune/events';
import { hubSettings } from '@emotune/hub';
import { FolderStore } from '@emotune/objects';
import { common, type data } from '@emotune/proto';
import { Host, jsonLog } from '@emotune/service';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { dataMigrations } from './datasets.js';
import { dataModule } from './module.js';
import { peers } from './testing.js';

const { BUILD_STATE_BUILDING, BUILD_STATE_READY } = common.BuildState;
const patient = { timeout: 200_000, interval: 20 };
const folder = mkdtempSync(join(tmpdir(), 'emotune-data-replicas-'));
const objects = await FolderStore.open(join(folder, 'objects'));

let database: Database;
const ready: string[] = [];
const opened: Replica[] = [];

interface Replica {
  readonly host: Host;
  readonly databases: readonly Database[];
}

/** One process of the data service: with a port and connections of its own. */
async function replica(): Promise<Replica> {
  const databases = [await Database.connect(await testDatabaseUrl(), 'events')];
  const host = await Host.create({
    database: async (schema) => {
      databases.push(await Database.connect(await testDatabaseUrl(), schema));
      return databases[databases.length - 1];
    },
    objects,
    bus: await PostgresBus.open(databases[0]),
    clock: systemClock,
    log: jsonLog(() => {}),
    listen: '127.0.0.1:0',
  });
  const context = await host.context('data', dataMigrations);
  await host.start([
    peers,
    dataModule({
      ...context,
      hub: hubSettings({}),
      locate: { cacheDir: join(folder, 'cache'), download: false },
    }),
  ]);
  opened.push({ host, databases });
  return { host, databases };
}

beforeAll(async () => {
  database = await testDatabase('data');
  const bus = await PostgresBus.open(await testDatabase('events'));
  await bus.subscribe('test', [topics.datasetReady.name], async ({ payload }) => {
    ready.push(topics.datasetReady.decode(payload).name);
  });
  return () => bus.close();
});

afterAll(async () => {
  for (const { host, databases } of opened) {
    await host.close();
    await databases[0].close();
  }
  rmSync(folder, { recursive: true, force: true });
});

function create({ host }: Replica, name: string): Promise<data.Dataset> {
  const spec = { name, sources: [{ corpus: 'emotune-demo' }, { corpus: 'review-sentences', limit: 200 }] };
  return host.channel.client<data.DatasetServiceClient>('DatasetService').call('createDataset', { spec });
}

const rows = (prefix: string) =>
  database.query<{ name: string; state: string; attempt: number; prefix: string }>(
    'select name, state, attempt, prefix from datasets where name like $1 order by name',
    [`${prefix}%`],
  );

async function untilReady(prefix: string): Promise<void> {
  await expect
    .poll(async () => (await rows(prefix)).filter(({ state }) => state !== BUILD_STATE_READY), patient)
    .toEqual([]);
}

it('two processes build different datasets, each once, and say so once', async () => {
  const replicas = [await replica(), await replica()];
  const names = Array.from({ length: 8 }, (_, i) => `shared-${i}`);
  await Promise.all(names.map((name, i) => create(replicas[i % 2], name)));
  await untilReady('shared-');
  expect((await rows('shared-')).map(({ name, attempt }) => [name, attempt])).toEqual(
    names.map((name) => [name, 1]),
  );
  await expect.poll(() => [...ready].sort(), patient).toEqual(names);
  for (const { host, databases } of opened.splice(0)) {
    await host.close();
    await databases[0].close();
  }
});

it('what a process that is killed was building another builds, with all of its files', async () => {
  const dying = await replica();
  const names = Array.from({ length: 4 }, (_, i) => `orphan-${i}`);
  for (const name of names) await create(dying, name);
  const building = async () => (await rows('orphan-')).map(({ state }) => state);
  await expect.poll(building, { ...patient, interval: 1 }).toContain(BUILD_STATE_BUILDING);
  // From now on nothing that it does is recorded.
  await Promise.all(dying.databases.map((of) => of.close()));
  await replica();
  // As when its lease has ended.
  await database.query('update datasets set free_at = now() where state = $1', [BUILD_STATE_BUILDING]);
  await untilReady('orphan-');
  for (const { prefix } of await rows('orphan-'))
    expect((await objects.list(`${prefix}/`)).map(({ key }) => key.slice(prefix.length + 1)).sort()).toEqual([
      'manifest.json',
      'test.parquet',
      'train.parquet',
      'validation.parquet',
    ]);
  await expect
    .poll(() => [...new Set(ready)].filter((name) => name.startsWith('orphan')).sort(), patient)
    .toEqual(names);
});
