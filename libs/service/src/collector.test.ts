import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FolderStore } from '@emotune/objects';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Channel } from './channel.js';
import { collectGarbage } from './collector.js';

let root: string;
let objects: FolderStore;
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'emotune-collector-'));
  objects = await FolderStore.open(root);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

async function putLongAgo(...keys: string[]): Promise<void> {
  const twoHoursAgo = Date.now() / 1000 - 7200;
  for (const key of keys) {
    await objects.put(key, 'old');
    utimesSync(join(root, key), twoHoursAgo, twoHoursAgo);
  }
}

/** Services that have nothing; `asked` is called before each answer. */
function servicesWithNothing(asked: (method: string) => Promise<void>): Channel {
  const call = async (method: string) => {
    await asked(method);
    return { datasets: [], featureSets: [], models: [], experiments: [], evaluations: [], nextPageToken: '' };
  };
  return { client: () => ({ call }) } as never;
}

const keys = async () => (await objects.list('')).map(({ key }) => key);
const collected = async (channel: Channel, minAgeSeconds = 0) =>
  (await collectGarbage({ objects, channel }, { dryRun: false, minAgeSeconds })).garbage
    .map(({ name }) => name)
    .filter((name) => !name.startsWith('/'));

it('removes what no service has, but what came lately', async () => {
  await putLongAgo('models/m/v1/config.json', 'models/m/v1/model.safetensors', 'trials/e/1/model/a');
  await objects.put('models/m/v2/config.json', 'new');
  const channel = servicesWithNothing(async () => {});
  expect(await collected(channel)).toEqual(['models/m/v1', 'trials/e']);
  expect(await keys()).toEqual(['models/m/v2/config.json']);
});

it('leaves for an hour what may be written still, whatever age is asked for', async () => {
  const agoSeconds = { written: 60, abandoned: 7200 };
  for (const [name, seconds] of Object.entries(agoSeconds)) {
    const file = join(root, '.incoming', name);
    writeFileSync(file, 'part');
    utimesSync(file, Date.now() / 1000 - seconds, Date.now() / 1000 - seconds);
  }
  expect(
    await collected(
      servicesWithNothing(async () => {}),
      1,
    ),
  ).toEqual(['.incoming/abandoned']);
  expect(readdirSync(join(root, '.incoming'))).toEqual(['written']);
});

it('leaves what is put into a folder after its services were asked', async () => {
  const model = ['models/m/v1/config.json', 'models/m/v1/model.safetensors'];
  await putLongAgo(...model, 'trials/e/1/model/a');
  const channel = servicesWithNothing(async (method) => {
    // The same model is imported again, and an experiment has the name of one that was deleted.
    if (method !== 'listEvaluations') return;
    for (const key of [...model, 'trials/e/1/checkpoints/manifest.json']) await objects.put(key, 'new');
  });
  await collected(channel);
  expect(await keys()).toEqual([...model, 'trials/e/1/checkpoints/manifest.json']);
  for (const key of model) expect(Buffer.from(await objects.get(key)).toString()).toBe('new');
});
