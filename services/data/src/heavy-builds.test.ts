/** What a build does to the service that runs it: nothing. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidArgument, NotFound, systemClock } from '@emotune/base';
import { Database } from '@emotune/database';
import { testDatabase, testDatabaseUrl } from '@emotune/database/testing';
import { MemoryBus } from '@emotune/events';
import { hubSettings } from '@emotune/hub';
import { FolderStore } from '@emotune/objects';
import { putUpload } from '@emotune/objects/testing';
import { codecOf, common, type data, messageType } from '@emotune/proto';
import { parquetBomb } from '@emotune/records/testing';
import { type Client, type Draft, Host, jsonLog } from '@emotune/service';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { dataMigrations } from './datasets.js';
import { dataModule } from './module.js';
import { peers } from './testing.js';

const { BUILD_STATE_PENDING, BUILD_STATE_BUILDING, BUILD_STATE_READY, BUILD_STATE_FAILED } =
  common.BuildState;
const folder = mkdtempSync(join(tmpdir(), 'emotune-heavy-builds-'));
const objects = await FolderStore.open(join(folder, 'objects'));
type Spec = Draft<data.DatasetSpec>;

let database: Database;
let host: Host | undefined;

beforeAll(async () => {
  database = await testDatabase('data');
});
afterEach(async () => {
  await host?.close();
  host = undefined;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function start(memoryMiB: number): Promise<Client<data.DatasetServiceClient>> {
  host = await Host.create({
    database: async (schema) => Database.connect(await testDatabaseUrl(), schema),
    objects,
    bus: new MemoryBus(systemClock),
    clock: systemClock,
    log: jsonLog(() => {}),
    listen: '127.0.0.1:0',
    builds: { memoryMiB, hours: 1 },
  });
  const context = await host.context('data', dataMigrations);
  const locate = { cacheDir: join(folder, 'cache'), download: false };
  await host.start([peers, dataModule({ ...context, hub: hubSettings({}), locate })]);
  return host.channel.client('DatasetService');
}

async function specOf(name: string, file: string, content: Uint8Array | string): Promise<Spec> {
  const upload = { name: file, sha256: await putUpload(objects, content) };
  const task = common.Task.TASK_EMOTION_CLASSIFICATION;
  return { name, sources: [{ file: { name: 'mine', upload, task, labels: ['joy', 'fear'] } }] };
}

/** Texts of which none is another. */
function manyRows(rows: number): string {
  const lines = ['text,label'];
  for (let i = 0; i < rows; i++)
    lines.push(`${createHash('md5').update(String(i)).digest('hex')} number ${i},${i % 2 ? 'joy' : 'fear'}`);
  return lines.join('\n');
}

/** As a version without limits accepted it. */
async function accepted(spec: Spec): Promise<void> {
  const codec = codecOf<data.DatasetSpec>(messageType('emotune.data.v1.DatasetSpec'));
  const full = codec.decode(codec.encode(spec as data.DatasetSpec));
  await database.query('insert into datasets (name, spec, state) values ($1, $2, $3)', [
    full.name,
    JSON.stringify(full),
    BUILD_STATE_PENDING,
  ]);
}

async function ended(datasets: Client<data.DatasetServiceClient>, name: string): Promise<data.Dataset> {
  const ends: string[] = [BUILD_STATE_READY, BUILD_STATE_FAILED];
  await expect
    .poll(async () => ends.includes((await datasets.call('getDataset', { name })).state))
    .toBe(true);
  return datasets.call('getDataset', { name });
}

it('a small file that unfolds to 20 GB is refused, and other calls are answered meanwhile', async () => {
  const datasets = await start(1500);
  const spec = await specOf('bomb', 'bomb.parquet', parquetBomb());
  let pending = true;
  const refused = datasets.call('createDataset', { spec }).finally(() => {
    pending = false;
  });
  refused.catch(() => {});
  let answered = 0;
  for (; pending; answered++) await datasets.call('listSources', {});
  await expect(refused).rejects.toBeInstanceOf(InvalidArgument);
  await expect(refused).rejects.toThrow(/sources\[0\]\.file: expected texts of at most 1,074 MB/);
  expect(answered).toBeGreaterThan(1);
  await expect(datasets.call('getDataset', { name: 'bomb' })).rejects.toBeInstanceOf(NotFound);
});

it('one that was accepted before fails with the reason, and can be deleted', async () => {
  const datasets = await start(1500);
  await accepted(await specOf('bomb', 'bomb.parquet', parquetBomb()));
  expect(await ended(datasets, 'bomb')).toMatchObject({
    failure: expect.stringContaining('expected texts of at most 1,074 MB'),
  });
  await datasets.call('deleteDataset', { name: 'bomb' });
  await expect(datasets.call('getDataset', { name: 'bomb' })).rejects.toBeInstanceOf(NotFound);
});

it('a build that takes more memory than it may is given up after three attempts', async () => {
  const datasets = await start(110);
  await accepted(await specOf('heavy', 'heavy.csv', manyRows(400_000)));
  await expect
    .poll(() => datasets.call('getDataset', { name: 'heavy' }))
    .toMatchObject({
      state: BUILD_STATE_FAILED,
      failure: expect.stringMatching(/^given up after 3 attempts: it took more memory than the 110 MiB/),
    });
  await datasets.call('deleteDataset', { name: 'heavy' });
});

it('one that is being built is deleted at once, with what it wrote', async () => {
  const datasets = await start(2000);
  await datasets.call('createDataset', { spec: await specOf('slow', 'slow.csv', manyRows(300_000)) });
  await expect
    .poll(() => datasets.call('getDataset', { name: 'slow' }), { interval: 10 })
    .toMatchObject({ state: BUILD_STATE_BUILDING, progress: { phase: 'reading sources' } });
  await datasets.call('deleteDataset', { name: 'slow' });
  await expect(datasets.call('getDataset', { name: 'slow' })).rejects.toBeInstanceOf(NotFound);
  expect(await objects.list('datasets/slow/')).toEqual([]);
  // The next one is built.
  await datasets.call('createDataset', { spec: { name: 'next', sources: [{ corpus: 'emotune-demo' }] } });
  expect(await ended(datasets, 'next')).toMatchObject({ failure: '' });
});
