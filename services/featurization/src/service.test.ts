import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { labelGold, type SourceExample, type Split } from '@emotune/affect';
import {
  AlreadyExists,
  canonicalJson,
  DataLoss,
  InvalidArgument,
  NotFound,
  sha256,
  systemClock,
  Unavailable,
} from '@emotune/base';
import { Database } from '@emotune/database';
import { testDatabaseUrl } from '@emotune/database/testing';
import { emit, eventTables, MemoryBus, topics } from '@emotune/events';
import { FolderStore } from '@emotune/objects';
import { damageObject } from '@emotune/objects/testing';
import { common, type data, type featurization, type tuning } from '@emotune/proto';
import { decodeShard, encodeExamples, type FeatureRow } from '@emotune/records';
import { type Client, type Draft, Host, jsonLog, type ServiceContext } from '@emotune/service';
import { Tokenizer } from '@emotune/text';
import { Controller, Module } from '@nestjs/common';
import { GrpcMethod } from '@nestjs/microservices';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { featurizationMigrations } from './feature-sets.js';
import { featurizationModule } from './module.js';
import { examplesOf, tokenizerJson } from './testing.js';

const { BUILD_STATE_PENDING, BUILD_STATE_BUILDING, BUILD_STATE_READY, BUILD_STATE_FAILED } =
  common.BuildState;
const folder = mkdtempSync(join(tmpdir(), 'emotune-featurization-'));
const objects = await FolderStore.open(folder);
let bus: MemoryBus;
const ready: featurization.FeaturesReady[] = [];
const failed: featurization.FeaturesFailed[] = [];

/** What the data and tuning services would know. */
const datasets = new Map<string, Pick<data.Dataset, 'state' | 'failure' | 'version' | 'prefix'>>();
const models = new Map<string, { tokenizer: string; prefix: string }>();
let datasetsAway = false;
let peers: ServiceContext;
let host: Host;
let features: Client<featurization.FeatureServiceClient>;

@Controller()
class RemoteDatasets {
  @GrpcMethod('DatasetService', 'GetDataset')
  getDataset({ name }: data.GetDatasetRequest): data.Dataset {
    if (datasetsAway) throw new Unavailable('the data service is away');
    const found = datasets.get(name);
    if (!found) throw new NotFound(`no dataset ${name}`);
    return { name, ...found } as data.Dataset;
  }
  @GrpcMethod('DatasetService', 'ListDatasets')
  listDatasets(): data.ListDatasetsResponse {
    return { datasets: [...datasets.keys()].map((name) => ({ name }) as data.Dataset), nextPageToken: '' };
  }
}

@Controller()
class RemoteModels {
  @GrpcMethod('ModelService', 'GetModel')
  getModel({ name }: tuning.GetModelRequest): tuning.Model {
    const found = models.get(name);
    if (!found) throw new NotFound(`no model ${name}`);
    return { name, version: '1', ...found } as tuning.Model;
  }
  @GrpcMethod('ModelService', 'ListModels')
  listModels(): tuning.ListModelsResponse {
    return { models: [...models.keys()].map((name) => ({ name }) as tuning.Model), nextPageToken: '' };
  }
}

/** Experiments that use feature sets: the set by the experiment. */
const experiments = new Map<string, { features: string; ended: boolean }>();

@Controller()
class RemoteExperiments {
  @GrpcMethod('ExperimentService', 'ListExperiments')
  listExperiments(): tuning.ListExperimentsResponse {
    const all = [...experiments].map(([name, { features, ended }]) => ({
      name,
      spec: { name, features },
      ...(ended ? { endTime: { seconds: 1, nanos: 0 } } : {}),
    }));
    return { experiments: all as tuning.Experiment[], nextPageToken: '' };
  }
}

@Module({ controllers: [RemoteDatasets, RemoteModels, RemoteExperiments] })
class RemotePeers {}

async function start(): Promise<void> {
  bus = new MemoryBus();
  const subscribe = (topic: { name: string; decode(payload: Uint8Array): unknown }, list: unknown[]) =>
    bus.subscribe(
      `test of ${topic.name}`,
      [topic.name],
      async (event) => void list.push(topic.decode(event.payload)),
    );
  await subscribe(topics.featuresReady, ready);
  await subscribe(topics.featuresFailed, failed);
  host = await Host.create({
    database: async (schema) => Database.connect(await testDatabaseUrl(), schema),
    objects,
    bus,
    clock: systemClock,
    log: jsonLog(() => {}),
    listen: '127.0.0.1:0',
  });
  peers = await host.context('peers', [eventTables]);
  const context = await host.context('featurization', featurizationMigrations);
  await host.start([{ module: RemotePeers }, featurizationModule(context)]);
  features = host.channel.client('FeatureService');
}

async function addModel(name: string, vocabSize: number): Promise<Tokenizer> {
  const json = tokenizerJson(vocabSize);
  const prefix = `models/${name}/1`;
  await objects.put(`${prefix}/tokenizer.json`, JSON.stringify(json));
  const tokenizer = Tokenizer.parse(json);
  models.set(name, { tokenizer: tokenizer.hash, prefix });
  return tokenizer;
}

async function addDataset(
  name: string,
  rows: Partial<Record<Split, readonly SourceExample[]>>,
  state: common.BuildState = BUILD_STATE_READY,
): Promise<void> {
  const prefix = `datasets/${name}/abc`;
  for (const split of ['train', 'validation', 'test'] as const)
    await objects.put(`${prefix}/${split}.parquet`, encodeExamples(rows[split] ?? []));
  datasets.set(name, { state, failure: '', version: 'abc', prefix });
}

/** The data service finishes a dataset. */
async function finishDataset(name: string, failure = ''): Promise<void> {
  const dataset = datasets.get(name)!;
  const state = failure ? BUILD_STATE_FAILED : BUILD_STATE_READY;
  datasets.set(name, { ...dataset, state, failure });
  await peers.database.transaction((sql) =>
    failure
      ? emit(sql, topics.datasetFailed, name, { name, reason: failure })
      : emit(sql, topics.datasetReady, name, { name, version: 'abc', prefix: dataset.prefix }),
  );
  peers.outbox.wake();
}

function create(spec: Draft<featurization.FeatureSetSpec>, requestId = '') {
  return features.call('createFeatureSet', {
    spec: { dataset: 'demo', baseModels: ['opt'], ...spec },
    requestId,
  });
}

async function until(
  name: string,
  states: readonly common.BuildState[] = [BUILD_STATE_READY, BUILD_STATE_FAILED],
): Promise<featurization.FeatureSet> {
  for (const deadline = Date.now() + 300_000; ; await systemClock.sleep(10)) {
    const set = await features.call('getFeatureSet', { name });
    if (states.includes(set.state)) return set;
    if (Date.now() > deadline) throw new Error(`still ${set.state}: ${set.failure}`);
  }
}

async function rowsOf(set: featurization.FeatureSet, split: Split, tokenized = 0): Promise<FeatureRow[]> {
  const { prefix, splits } = set.tokenized[tokenized];
  const files = splits.find((of) => of.split === split)!.files;
  const shards = await Promise.all(files.map((file) => objects.get(`${prefix}/${file}`)));
  return shards.flatMap((bytes) => decodeShard(bytes));
}

const demo = {
  train: examplesOf('train', 120),
  validation: examplesOf('validation', 30),
  test: examplesOf('test', 30),
};
let tokenizer: Tokenizer;

beforeAll(async () => {
  tokenizer = await addModel('opt', 500);
  await addModel('llama', 500);
  await addModel('bloom', 700);
  await addDataset('demo', demo);
  await start();
});
afterAll(async () => {
  await host.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('a feature set', () => {
  it('waits for its dataset and is built when the event comes', async () => {
    await addDataset('slow', demo, BUILD_STATE_BUILDING);
    const created = await create({ name: 'waiting', dataset: 'slow' });
    expect(created).toMatchObject({
      state: BUILD_STATE_PENDING,
      version: '',
      progress: { phase: 'waiting for dataset slow' },
    });
    await finishDataset('slow');
    const set = await until('waiting');
    expect(set).toMatchObject({ state: BUILD_STATE_READY, failure: '', datasetVersion: 'abc' });
    const { version, prefix } = set;
    await expect.poll(() => ready).toContainEqual({ name: 'waiting', version, prefix });
  });

  it('holds every row with its question, its answer and the tokens of both', async () => {
    await create({ name: 'whole', labelBalance: 0 });
    const set = await until('whole');
    const [splits] = set.tokenized.map((tokenized) => tokenized.splits);
    for (const counts of splits) {
      const split = counts.split as Split;
      const rows = await rowsOf(set, split);
      expect(rows.map(({ id }) => id)).toEqual(demo[split].map(({ id }) => id));
      expect(counts.rows).toBe(rows.length);
      expect(counts.tokens).toBe(rows.reduce((sum, { tokens }) => sum + tokens.length, 0));
      expect(counts.longest).toBe(Math.max(...rows.map(({ tokens }) => tokens.length)));
      expect(counts.rowsByTask).toEqual({
        'sentiment-regression': demo[split].length / 3,
        'emotion-classification': demo[split].length / 3,
        'emotion-regression': demo[split].length / 3,
      });
      rows.forEach((row, i) => {
        const { text, gold } = demo[split][i];
        expect(row).toMatchObject({ text, gold: { ...gold, labels: [...gold.labels] } });
        expect(row.prompt).toMatch(/^Human: \n.+\n\nAssistant: \n$/);
        expect(tokenizer.decode(row.tokens.slice(0, row.answerStart))).toBe(row.prompt);
        expect(tokenizer.decode(row.tokens.slice(row.answerStart))).toBe(row.answer);
        expect(row.tokens.at(-1)).toBe(tokenizer.idOf('</s>'));
      });
    }
    const manifest = new TextDecoder().decode(await objects.get(`${set.prefix}/manifest.json`));
    expect(set.version).toBe(sha256(manifest).slice(0, 12));
    const { files } = JSON.parse(manifest) as { files: { path: string; sha256: string; bytes: number }[] };
    expect(files).toHaveLength(3);
    for (const file of files) {
      const bytes = await objects.get(`${set.prefix}/${file.path}`);
      expect([sha256(bytes), bytes.length]).toEqual([file.sha256, file.bytes]);
    }
  });

  it('has one set of shards for each distinct tokenizer, and of at most 4,000 rows each', async () => {
    await addDataset('large', { train: examplesOf('train', 4100), test: demo.test });
    await create({
      name: 'tokenizers',
      dataset: 'large',
      labelBalance: 0,
      withoutCues: true,
      baseModels: ['opt', 'bloom', 'llama'],
    });
    const set = await until('tokenizers');
    expect(set.tokenized.map((tokenized) => tokenized.baseModels)).toEqual([['opt', 'llama'], ['bloom']]);
    expect(set.tokenized[0].tokenizer).toBe(tokenizer.hash);
    expect(set.tokenized[0].prefix).toBe(`${set.prefix}/${tokenizer.hash.slice(0, 12)}`);
    const files = set.tokenized[0].splits.map((of) => of.files);
    expect(files).toEqual([['train-00000.arrow', 'train-00001.arrow'], [], ['test-00000.arrow']]);
    const [left, right] = await Promise.all([rowsOf(set, 'train', 0), rowsOf(set, 'train', 1)]);
    expect(left).toHaveLength(4100);
    expect(left.map(({ prompt }) => prompt)).toEqual(right.map(({ prompt }) => prompt));
  });

  it('has the same bytes and version when it is made again, and others by another seed', async () => {
    const version = async (name: string, seed: number) => {
      await create({ name, seed, varyScales: true, limitTrain: 20, limitTest: 5 });
      return (await until(name)).version;
    };
    const first = await version('one', 1);
    expect(await version('two', 1)).toBe(first);
    expect(await version('three', 2)).not.toBe(first);
    const set = await until('one');
    expect(set.tokenized[0].splits.map(({ rows }) => rows)).toEqual([3 * 3 * 20, 30, 15]);
  });

  it('names a damaged shard or a missing one, and makes the set again when it is created again', async () => {
    await create({ name: 'hurt' });
    const set = await until('hurt');
    const { prefix } = set.tokenized[0];
    const shard = `${prefix}/train-00000.arrow`;
    damageObject(objects, shard);
    await expect(objects.folder(prefix)).rejects.toThrow(`${shard}: expected `);
    await create({ name: 'hurt' });
    expect(await until('hurt')).toMatchObject({ version: set.version, failure: '' });
    rmSync(fileURLToPath(`${objects.url}/${shard}`));
    await expect(objects.folder(prefix)).rejects.toThrow(DataLoss);
    await create({ name: 'hurt' });
    expect(await until('hurt')).toMatchObject({ version: set.version, failure: '' });
    await using _ = await objects.folder(prefix);
  });

  it('trains rare labels more often than they occur, and says how often', async () => {
    const rare = demo.train.map((row, i) =>
      row.gold.labels.length > 0 ? { ...row, gold: labelGold([i % 20 === 1 ? 'anger' : 'joy']) } : row,
    );
    await addDataset('rare', { ...demo, train: rare });
    await create({ name: 'rare', dataset: 'rare', labelBalance: 1 });
    const set = await until('rare');
    const [train, , test] = set.tokenized[0].splits;
    const anger = train.labels.filter(({ label }) => label === 'anger');
    expect(anger.map(({ available }) => available).reduce((a, b) => a + b)).toBe(
      rare.filter(({ gold }) => gold.labels[0] === 'anger').length,
    );
    for (const { available, chosen } of anger) expect(chosen).toBeGreaterThan(available);
    for (const { available, chosen } of test.labels) expect(chosen).toBe(available);
    expect(train.rowsByDerivation['again']).toBe(train.rows - rare.length);
  });

  it('adds train rows with edited texts that say what they come from, and no others', async () => {
    const augmentations = [
      { method: 'aeda', share: 1, strength: 0, language: '' },
      { method: 'keyboard', share: 0.5, strength: 0.2, language: '' },
    ];
    await create({ name: 'augmented', labelBalance: 0, augmentations });
    await create({ name: 'as-they-are', labelBalance: 0 });
    const [set, plain] = [await until('augmented'), await until('as-they-are')];
    const [train, validation, test] = set.tokenized[0].splits;
    const { aeda, keyboard } = train.rowsByDerivation;
    expect(aeda).toBeGreaterThan(20);
    expect(keyboard).toBeGreaterThan(10);
    expect(train.rows).toBe(demo.train.length + aeda + keyboard);
    expect([validation, test]).toEqual(plain.tokenized[0].splits.slice(1));
    const rows = await rowsOf(set, 'train');
    const byId = new Map(demo.train.map((row) => [row.id, row]));
    for (const { derived, text, gold, prompt } of rows) {
      if (!derived) continue;
      const origin = byId.get(derived.from)!;
      expect(text).not.toBe(origin.text);
      expect(gold).toEqual({ ...origin.gold, labels: [...origin.gold.labels] });
      expect(prompt).toContain(`Text: ${text} `);
    }
    // Those that were not edited are the same rows.
    const own = rows.filter(({ derived }) => !derived);
    expect(own.map(({ prompt }) => prompt)).toEqual(
      (await rowsOf(plain, 'train')).map(({ prompt }) => prompt),
    );
    const manifest = new TextDecoder().decode(await objects.get(`${set.prefix}/manifest.json`));
    expect(JSON.parse(manifest).spec.augmentations[0]).toEqual({ ...augmentations[0], strength: 0.3 });
    await expect(
      create({ name: 'away', augmentations: [{ ...augmentations[0], method: 'paraphrase' }] }),
    ).rejects.toThrow('set EMOTUNE_REWRITER_URL');
  });

  it('cuts long texts to the tokens allowed, and says how many', async () => {
    const long = demo.train.map((row, i) =>
      i < 4 ? { ...row, text: 'we love this harbour '.repeat(200) } : row,
    );
    await addDataset('long', { ...demo, train: long });
    await create({ name: 'cut', dataset: 'long', maxTokens: 150 });
    const set = await until('cut');
    expect(set.failure).toBe('');
    expect(set.tokenized[0].splits[0]).toMatchObject({ cut: 4, longest: 150 });
  });
});

describe('a feature set that cannot be built', () => {
  it('fails with the reason of its dataset, and is tried again when it is created again', async () => {
    await addDataset('doomed', demo, BUILD_STATE_BUILDING);
    await create({ name: 'unlucky', dataset: 'doomed' });
    await finishDataset('doomed', 'the disk is full');
    const set = await until('unlucky');
    expect(set).toMatchObject({
      state: BUILD_STATE_FAILED,
      failure: 'dataset doomed failed: the disk is full',
    });
    await expect.poll(() => failed).toContainEqual({ name: 'unlucky', reason: set.failure });
    await addDataset('doomed', demo);
    expect((await create({ name: 'unlucky', dataset: 'doomed' })).state).not.toBe(BUILD_STATE_FAILED);
    expect((await until('unlucky')).state).toBe(BUILD_STATE_READY);
  });

  it.each([
    [
      'cramped',
      { maxTokens: 32 },
      async () => {},
      /^spec.maxTokens: expected enough for the sentiment-regression questions of small, got 32: /,
    ],
    [
      'gone',
      { dataset: 'gone' },
      async () => {
        await addDataset('gone', demo);
        await objects.delete('datasets/gone/');
      },
      /files of dataset gone, version abc, are gone .*create it again/,
    ],
    ['empty', { dataset: 'empty' }, () => addDataset('empty', {}), /dataset empty has no train rows/],
    [
      'changed',
      { baseModels: ['changed'] },
      async () => {
        await addModel('changed', 400);
        await objects.put('models/changed/1/tokenizer.json', JSON.stringify(tokenizerJson(401)));
      },
      /tokenizer of model changed, .* has changed/,
    ],
  ])('says why: %s', async (name, spec, prepare, reason) => {
    await prepare();
    await create({ name, ...spec });
    const set = await until(name);
    expect(set.state).toBe(BUILD_STATE_FAILED);
    expect(set.failure).toMatch(reason);
    expect(await objects.list(`features/${name}/`)).toEqual([]);
  });

  it('is deleted with its shards, but not under an experiment that still needs it, which is named', async () => {
    const remove = (name: string) => features.call('deleteFeatureSet', { name });
    await create({ name: 'passing' });
    const { prefix } = await until('passing');
    experiments.set('searching', { features: 'passing', ended: false });
    experiments.set('over', { features: 'passing', ended: true });
    await expect(remove('passing')).rejects.toThrow(
      'feature set passing is in use by experiment searching: it cannot be deleted before they end',
    );
    experiments.set('searching', { features: 'passing', ended: true });
    await addDataset('unfinished', demo, BUILD_STATE_BUILDING);
    await create({ name: 'unbuilt', dataset: 'unfinished' });
    await remove('unbuilt');
    await expect(features.call('getFeatureSet', { name: 'unbuilt' })).rejects.toBeInstanceOf(NotFound);
    expect((await objects.list(`${prefix}/`)).length).toBeGreaterThan(0);
    await remove('passing');
    expect(await objects.list(`${prefix}/`)).toEqual([]);
    await expect(features.call('getFeatureSet', { name: 'passing' })).rejects.toBeInstanceOf(NotFound);
    await expect(remove('passing')).rejects.toBeInstanceOf(NotFound);
    await create({ name: 'passing' });
    expect(await until('passing')).toMatchObject({ state: BUILD_STATE_READY, prefix });
  });

  it('waits while the data service is away', async () => {
    await addDataset('later', demo, BUILD_STATE_BUILDING);
    await create({ name: 'patient', dataset: 'later' });
    datasetsAway = true;
    await finishDataset('later');
    await expect.poll(() => peers.database.query('select 1 from outbox')).toEqual([]);
    expect((await features.call('getFeatureSet', { name: 'patient' })).state).toBe(BUILD_STATE_PENDING);
    datasetsAway = false;
    await finishDataset('later');
    expect((await until('patient')).state).toBe(BUILD_STATE_READY);
  });
});

describe('CreateFeatureSet', () => {
  it('names what does not exist, with the nearest that does, and keeps nothing', async () => {
    const error = await create({ name: 'typo', dataset: 'deno', baseModels: ['opt', 'blom', 'x'] }).catch(
      (e) => e,
    );
    expect(error).toBeInstanceOf(InvalidArgument);
    expect((error as InvalidArgument).violations).toEqual([
      { field: 'spec.dataset', description: expect.stringContaining('did you mean "demo"?') },
      { field: 'spec.baseModels[1]', description: expect.stringContaining('did you mean "bloom"?') },
      { field: 'spec.baseModels[2]', description: expect.stringMatching(/got "x"/) },
    ]);
    await expect(features.call('getFeatureSet', { name: 'typo' })).rejects.toBeInstanceOf(NotFound);
  });

  it('is idempotent by request id and by spec', async () => {
    const spec = { name: 'same', seed: 5 };
    const [first, second] = await Promise.all([create(spec, 'id'), create(spec, 'id')]);
    expect(second.createTime).toEqual(first.createTime);
    expect((await create(spec)).createTime).toEqual(first.createTime);
    await expect(create({ ...spec, seed: 6 })).rejects.toBeInstanceOf(AlreadyExists);
    await expect(create({ ...spec, name: 'other' }, 'id')).rejects.toThrow('requestId');
    await until('same');
  });
});

describe('PreviewFeatureSet', () => {
  const preview = async (request: Draft<featurization.PreviewFeatureSetRequest>) => {
    const rows: featurization.FeatureExample[] = [];
    for await (const row of features.stream('previewFeatureSet', request)) rows.push(row);
    return rows;
  };

  it('gives the stored rows with their tokens as the vocabulary spells them', async () => {
    await create({ name: 'seen', baseModels: ['bloom', 'opt'] });
    const { tokenized } = await until('seen');
    for (const { baseModels, prefix, splits } of tokenized) {
      const [file] = splits.find(({ split }) => split === 'test')!.files;
      const stored = decodeShard(await objects.get(`${prefix}/${file}`)).slice(0, 2);
      const rows = await preview({ name: 'seen', split: 'test', rows: 2, baseModel: baseModels[0] });
      expect(rows.map(({ id, answer, promptTokens }) => [id, answer, promptTokens])).toEqual(
        stored.map(({ id, answer, answerStart }) => [id, answer, answerStart]),
      );
      rows.forEach(({ tokens, prompt }, i) => {
        expect(tokens.map(({ id }) => id)).toEqual([...stored[i].tokens]);
        expect(prompt).toBe(stored[i].prompt);
        // Byte-level BPE spells a blank as Ġ.
        const spelt = tokens.slice(0, stored[i].answerStart).map(({ text }) => text);
        expect(spelt.join('').replaceAll('Ġ', ' ').replaceAll('Ċ', '\n')).toBe(prompt);
      });
    }
    expect(await preview({ name: 'seen' })).toHaveLength(5);
    const made = (await preview({ name: 'augmented', rows: 50 })).filter(
      ({ derivedBy }) => derivedBy === 'aeda',
    );
    expect(made.length).toBeGreaterThan(5);
    for (const { id, derivedFrom, prompt } of made) {
      expect(id.startsWith(`${derivedFrom}#`)).toBe(true);
      expect(prompt).toMatch(/Text: .* [.;?:!,] /);
    }
  });

  it('names what is wrong with the request', async () => {
    await expect(preview({ name: 'absent' })).rejects.toBeInstanceOf(NotFound);
    await expect(preview({ name: 'seen', split: 'tset', rows: -1, baseModel: 'blom' })).rejects.toMatchObject(
      {
        violations: [
          { field: 'split', description: 'expected train, validation or test, got "tset"' },
          { field: 'rows', description: 'expected 0 or more, got -1' },
          { field: 'baseModel', description: expect.stringContaining('did you mean "bloom"?') },
        ],
      },
    );
    await expect(preview({ name: 'cramped' })).rejects.toThrow('"emotune features get cramped" says why');
  });
});

it('pages lists by name', async () => {
  const names: string[] = [];
  let pageToken = '';
  do {
    const page = await features.call('listFeatureSets', { pageSize: 3, pageToken });
    names.push(...page.featureSets.map(({ name }) => name));
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  expect(names.length).toBeGreaterThan(6);
  expect(names).toEqual([...new Set(names)].sort());
});

it('explains a text, and refuses one that is too long', async () => {
  const explained = await features.call('explainText', { text: 'I do not love this, it is awful' });
  expect(explained.cues.map(({ text, lexicon }) => [text, lexicon])).toContainEqual(['love', 'vader']);
  expect(explained.cues.find(({ text, lexicon }) => text === 'love' && lexicon === 'vader')).toMatchObject({
    start: 9,
    end: 13,
    modifier: 'not',
  });
  expect(explained.vader).toBeLessThan(0);
  expect(explained.cueText).toContain('awful');
  expect(await features.call('explainText', { text: '' })).toMatchObject({ cues: [], vader: 0, afinn: 0 });
  await expect(features.call('explainText', { text: 'x'.repeat(100_001) })).rejects.toThrow(
    'text: expected at most 100000 characters, got 100001',
  );
});

it('goes on after a stop in the middle of a build, to the same bytes', async () => {
  await addDataset('long-build', { train: examplesOf('train', 1200) });
  const spec = { dataset: 'long-build', varyScales: true, labelBalance: 0 };
  await create({ name: 'stopped', ...spec });
  await until('stopped', [BUILD_STATE_BUILDING]);
  await host.close();
  expect(await objects.list('features/stopped/')).toEqual([]);
  await start();
  const set = await until('stopped');
  expect(set.state).toBe(BUILD_STATE_READY);
  await create({ name: 'unbroken', ...spec });
  expect((await until('unbroken')).version).toBe(set.version);
  expect(canonicalJson(set.tokenized[0].splits)).toContain('"rows":3600');
});
