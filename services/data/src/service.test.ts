import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseLexicons } from '@emotune/affect';
import {
  AlreadyExists,
  DataLoss,
  FailedPrecondition,
  InvalidArgument,
  NotFound,
  systemClock,
} from '@emotune/base';
import { Database } from '@emotune/database';
import { testDatabaseUrl } from '@emotune/database/testing';
import { MemoryBus, topics } from '@emotune/events';
import { hubSettings } from '@emotune/hub';
import { HubServer } from '@emotune/hub/testing';
import { FolderStore } from '@emotune/objects';
import { damageObject, putUpload } from '@emotune/objects/testing';
import { common, data } from '@emotune/proto';
import { decodeExamples } from '@emotune/records';
import { type Client, Host, jsonLog } from '@emotune/service';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dataMigrations } from './datasets.js';
import { dataModule } from './module.js';
import { featureSets, peers } from './testing.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-data-'));
const objects = await FolderStore.open(join(folder, 'objects'));
const bus = new MemoryBus(systemClock);
const ready: data.DatasetReady[] = [];
let host: Host;
let hubServer: HubServer;
let datasets: Client<data.DatasetServiceClient>;

async function start(): Promise<Host> {
  const created = await Host.create({
    database: async (schema) => Database.connect(await testDatabaseUrl(), schema),
    objects,
    bus,
    clock: systemClock,
    log: jsonLog(() => {}),
    listen: '127.0.0.1:0',
  });
  const context = await created.context('data', dataMigrations);
  await created.start([
    peers,
    dataModule({
      ...context,
      hub: {
        ...hubSettings({ HF_ENDPOINT: hubServer.endpoint, HF_HOME: join(folder, 'huggingface') }),
        pauseMs: 1,
      },
      locate: { cacheDir: join(folder, 'cache'), download: false },
    }),
  ]);
  return created;
}

beforeAll(async () => {
  await bus.subscribe('test', [topics.datasetReady.name], async (event) => {
    ready.push(topics.datasetReady.decode(event.payload));
  });
  hubServer = await HubServer.start();
  host = await start();
  datasets = host.channel.client('DatasetService');
});

afterAll(async () => {
  await host.close();
  await hubServer.close();
  rmSync(folder, { recursive: true, force: true });
});

async function built(name: string): Promise<data.Dataset> {
  for (const deadline = Date.now() + 200_000; ; ) {
    const dataset = await datasets.call('getDataset', { name });
    const { state } = dataset;
    if (
      state === common.BuildState.BUILD_STATE_READY ||
      state === common.BuildState.BUILD_STATE_FAILED ||
      Date.now() > deadline
    )
      return dataset;
    await systemClock.sleep(20);
  }
}

const demo = { sources: [{ corpus: 'emotune-demo' }, { corpus: 'review-sentences', limit: 200 }] };

it('builds the bundled data: Parquet, manifest and event, the same version from the same spec', async () => {
  await datasets.call('createDataset', { spec: { name: 'first', ...demo } });
  const dataset = await built('first');
  expect(dataset.failure).toBe('');
  const { manifest, prefix, version } = dataset;
  expect(manifest?.sources.map((s) => [s.name, s.licence])).toEqual([
    ['emotune-demo', 'Apache-2.0'],
    ['review-sentences', 'CC-BY-4.0'],
  ]);
  expect(manifest?.notices.join()).toContain('demonstration');
  const train = await decodeExamples(await objects.get(`${prefix}/train.parquet`), 'train');
  expect(train).toHaveLength(manifest!.rows!.train);
  const test = await decodeExamples(await objects.get(`${prefix}/test.parquet`), 'test');
  const texts = new Set(train.map((e) => e.text));
  expect(test.filter((e) => texts.has(e.text))).toEqual([]);
  await expect.poll(() => ready).toContainEqual({ name: 'first', version, prefix });

  await datasets.call('createDataset', { spec: { name: 'second', ...demo } });
  const again = await built('second');
  expect(again.version).toBe(version);
});

it.each(['train.parquet', 'manifest.json'])(
  'names a damaged file (%s), and builds it anew when it is created again',
  async (file) => {
    const spec = { name: `hurt-${file.split('.')[0]}`, ...demo };
    await datasets.call('createDataset', { spec });
    const { prefix, version } = await built(spec.name);
    damageObject(objects, `${prefix}/${file}`);
    const error = await objects.folder(prefix).catch((failure: unknown) => failure);
    expect(error).toBeInstanceOf(DataLoss);
    if (file === 'train.parquet') {
      const shown = async () => {
        for await (const _ of datasets.stream('previewDataset', { name: spec.name, split: 'train' }));
      };
      await expect(shown()).rejects.toThrow(`${prefix}/${file}: expected `);
      await expect(shown()).rejects.toThrow(DataLoss);
    }
    expect((await datasets.call('createDataset', { spec })).state).toBe(
      common.BuildState.BUILD_STATE_PENDING,
    );
    expect(await built(spec.name)).toMatchObject({ version, prefix, failure: '' });
    await using whole = await objects.folder(prefix);
    expect(whole.path).toContain(prefix);
  },
);

it('streams a preview and refuses what it cannot show', async () => {
  const shown = [];
  for await (const example of datasets.stream('previewDataset', { name: 'first', split: 'test', rows: 7 }))
    shown.push(example);
  expect(shown).toHaveLength(7);
  expect(shown[0].source).not.toBe('');
  const preview = async (request: object) => {
    for await (const _ of datasets.stream('previewDataset', request));
  };
  await expect(preview({ name: 'absent' })).rejects.toBeInstanceOf(NotFound);
  await expect(preview({ name: 'first', split: 'tset' })).rejects.toThrow(/split: expected train/);
});

it('is idempotent by request id and by spec', async () => {
  const request = { spec: { name: 'idem', ...demo }, requestId: 'r1' };
  const [one, two] = await Promise.all([
    datasets.call('createDataset', request),
    datasets.call('createDataset', request),
  ]);
  expect(one.createTime).toEqual(two.createTime);
  await expect(
    datasets.call('createDataset', { spec: { name: 'idem', sources: [{ corpus: 'emobank' }] } }),
  ).rejects.toBeInstanceOf(AlreadyExists);
  await expect(
    datasets.call('createDataset', { ...request, spec: { ...request.spec, name: 'other' } }),
  ).rejects.toThrow(/requestId/);
  await built('idem');
});

describe('a data set of the Hub', () => {
  afterAll(async () => {
    for (const name of ['hub', 'hub-b', 'hub-gone', 'hub-none'])
      await datasets.call('deleteDataset', { name });
  });
  const card = [
    '---',
    'license: cc-by-4.0',
    'dataset_info:',
    '  features:',
    '  - name: label',
    '    dtype:',
    '      class_label:',
    '        names:',
    "          '0': gloom",
    "          '1': bliss",
    '---',
    '',
  ].join('\n');
  const csv = (split: string, rows: number) =>
    `text,label\n${Array.from({ length: rows }, (_, i) => `${split} text number ${i},${i % 2}`).join('\n')}\n`;
  const source = (path: string, more: object = {}) => ({
    file: {
      upload: { name: path },
      name: 'feelings',
      task: common.Task.TASK_EMOTION_CLASSIFICATION,
      labels: ['gloom', 'bliss'],
      ...more,
    },
  });

  it('is read with its splits, its licence and the names of its classes', async () => {
    const files = {
      'README.md': card,
      'train.csv': csv('train', 30),
      'test.csv': csv('test', 6),
      'big.bin': 'x',
    };
    const commit = hubServer.put('datasets/someone/feelings', { files });
    await datasets.call('createDataset', {
      spec: { name: 'hub', sources: [source('hf:datasets/someone/feelings')] },
    });
    const { failure, manifest, prefix } = await built('hub');
    expect(failure).toBe('');
    expect(manifest?.sources[0]).toMatchObject({
      name: 'feelings',
      licence: 'cc-by-4.0',
      url: `${hubServer.endpoint}/datasets/someone/feelings/tree/${commit}`,
      rows: 36,
    });
    expect(manifest?.rows?.test).toBe(6);
    const test = await decodeExamples(await objects.get(`${prefix}/test.parquet`), 'test');
    const find = (text: string) => test.find((example) => example.text === text);
    expect(find('test text number 0')?.gold.labels).toEqual(['gloom']);
    expect(find('test text number 1')).toMatchObject({
      gold: { labels: ['bliss'] },
      id: 'feelings/test.csv:2',
      licence: 'cc-by-4.0',
    });
    expect(hubServer.paths(false).some((path) => path.includes('big.bin'))).toBe(false);
  });

  it('gives the files that its name chooses, a split and a licence that the source says', async () => {
    hubServer.put('datasets/someone/mixed', {
      files: { 'a/train.csv': csv('a', 20), 'b/train.csv': csv('b', 9) },
    });
    const chosen = source('hf:datasets/someone/mixed:b/*', {
      split: 'test',
      licence: 'MIT',
      labels: ['0', '1'],
    });
    await datasets.call('createDataset', {
      spec: { name: 'hub-b', sources: [chosen, { corpus: 'emotune-demo' }] },
    });
    const { manifest, failure } = await built('hub-b');
    expect(failure).toBe('');
    expect(manifest?.sources[0]).toMatchObject({ licence: 'MIT', rows: 9 });
    await datasets.call('createDataset', {
      spec: { name: 'hub-none', sources: [source('hf:datasets/someone/mixed')] },
    });
    expect((await built('hub-none')).failure).toContain(
      'name the files of one, as hf:datasets/someone/mixed@main:a/*',
    );
  });

  it('that cannot be had fails with what to do, and may be asked for again', async () => {
    const spec = { name: 'hub-gone', sources: [source('hf:datasets/someone/later')] };
    await datasets.call('createDataset', { spec });
    expect((await built('hub-gone')).failure).toContain('set HF_TOKEN where the platform runs');
    hubServer.put('datasets/someone/later', { files: { 'rows.csv': csv('later', 30) } });
    await datasets.call('createDataset', { spec });
    expect((await built('hub-gone')).failure).toContain('expected labels among gloom, bliss, got "0"');
    for (const [path, want] of [
      ['hf:someone/model', 'expected hf:datasets/…, got the model'],
      ['hf:datasets/a b', 'expected hf:org/name'],
    ])
      await expect(
        datasets.call('createDataset', { spec: { name: 'hub-bad', sources: [source(path)] } }),
      ).rejects.toThrow(`spec.sources[0].file.upload.name: ${want}`);
  });
});

it('names every violation with its path', async () => {
  const error = await datasets
    .call('createDataset', {
      spec: {
        name: 'Bad Name',
        sources: [
          { corpus: 'emobnk' },
          {
            file: {
              upload: { sha256: 'relative', name: 'm.csv' },
              name: 'mine',
              task: common.Task.TASK_SENTIMENT_REGRESSION,
            },
          },
          {},
        ],
        split: { validation: 0.6, test: 0.5 },
      },
    })
    .catch((e) => e);
  expect(error).toBeInstanceOf(InvalidArgument);
  const found = (error as InvalidArgument).violations.map((v) => v.field);
  for (const field of [
    'spec.name',
    'spec.sources[0].corpus',
    'spec.sources[1].file.upload.sha256',
    'spec.sources[1].file.scale',
    'spec.sources[2]',
    'spec.split',
  ])
    expect(found).toContain(field);
  expect((error as Error).message).toContain('did you mean "emobank"?');
});

it('refuses a file with bad rows at once and leaves nothing behind', async () => {
  const content = 'id,text,label\n1,fine,0.5\n2,off the scale,7\n3,,0.1\n';
  const upload = { sha256: await putUpload(objects, content), name: 'bad.csv' };
  const spec = {
    name: 'mine',
    sources: [
      {
        file: {
          upload,
          name: 'mine',
          task: common.Task.TASK_SENTIMENT_REGRESSION,
          scale: { low: 0, high: 1 },
        },
      },
    ],
  };
  await expect(datasets.call('createDataset', { spec })).rejects.toThrow(
    /line 3: expected a number on 0\.\.1/,
  );
  const gone = { ...upload, sha256: '0'.repeat(64) };
  const [{ file }] = spec.sources;
  const error = await datasets
    .call('createDataset', { spec: { ...spec, sources: [{ file: { ...file, upload: gone } }] } })
    .catch((e) => e);
  expect(error).toBeInstanceOf(FailedPrecondition);
  expect(error.message).toContain('spec.sources[0].file: the content of "bad.csv" is not here');
  await expect(datasets.call('getDataset', { name: 'mine' })).rejects.toBeInstanceOf(NotFound);
});

it('divides the labels of a row as the file does', async () => {
  const rows = Array.from({ length: 30 }, (_, i) => `text ${i},${i % 2 ? 'joy; fear' : 'joy'}`);
  const file = {
    upload: { sha256: await putUpload(objects, `text,label\n${rows.join('\n')}\n`), name: 'several.csv' },
    name: 'mine',
    task: common.Task.TASK_EMOTION_CLASSIFICATION,
    labels: ['joy', 'fear'],
    multiLabel: true,
    labelSeparator: ';',
  };
  await datasets.call('createDataset', { spec: { name: 'several', sources: [{ file }] } });
  const { prefix } = await built('several');
  const train = await decodeExamples(await objects.get(`${prefix}/train.parquet`), 'train');
  expect(new Set(train.map(({ gold }) => gold.labels.join(' ')))).toEqual(new Set(['joy', 'fear joy']));
  await datasets.call('deleteDataset', { name: 'several' });
  const refused = async (more: object) =>
    datasets.call('createDataset', { spec: { name: 'refused', sources: [{ file: { ...file, ...more } }] } });
  await expect(refused({ labelSeparator: 'o' })).rejects.toThrow(
    'spec.sources[0].file.labelSeparator: expected a text that is in no label, got "o", which is in "joy"',
  );
  await expect(refused({ multiLabel: false })).rejects.toThrow(
    'spec.sources[0].file.labelSeparator: expected nothing where rows have one label',
  );
  // What the file writes otherwise is shown once.
  await expect(refused({ labelSeparator: '' })).rejects.toThrow(
    'spec.sources[0].file, line 3: expected labels among joy, fear, got "joy; fear", and 14 more rows like it',
  );
});

it('builds a file to a version that does not depend on what the file is called', async () => {
  const lines = Array.from({ length: 40 }, (_, i) => `text ${i}\t${i % 5}`);
  const sha256 = await putUpload(objects, `text\tlabel\n${lines.join('\n')}\n`);
  const task = common.Task.TASK_SENTIMENT_REGRESSION;
  const versions = [];
  for (const [name, called] of [
    ['here', 'mine.tsv'],
    ['there', 'far/away/yours.tsv'],
  ]) {
    const file = { upload: { sha256, name: called }, name: 'mine', task, scale: { low: 0, high: 4 } };
    await datasets.call('createDataset', { spec: { name, sources: [{ file }] } });
    const { version, manifest } = await built(name);
    expect(manifest?.sources[0].sha256).toBe(sha256);
    versions.push(version);
    await datasets.call('deleteDataset', { name });
  }
  expect(versions[0]).toBe(versions[1]);
});

it('counts and shows answers that contradict each other, keeps their rows, and says where a split is empty', async () => {
  const file = async (...lines: string[]) => ({
    upload: { sha256: await putUpload(objects, ['text,label', ...lines, ''].join('\n')), name: 'mine.csv' },
    name: 'mine',
    task: common.Task.TASK_SENTIMENT_CLASSIFICATION,
    labels: ['good', 'bad'],
    licence: 'CC0-1.0',
  });
  const lines = Array.from({ length: 20 }, (_, i) => [
    `tea ${i} :),good`,
    `tea ${i} :(,bad`,
    `tea ${i} :),bad`,
  ]);
  const mixed = { name: 'mixed', sources: [{ file: await file(...lines.flat()) }] };
  await datasets.call('createDataset', { spec: mixed });
  const { manifest } = await built('mixed');
  expect(manifest).toMatchObject({
    duplicatesRemoved: 0,
    notices: [],
    conflicts: { texts: 20, rows: 40 },
  });
  expect(manifest!.conflicts!.examples).toHaveLength(10);
  expect(manifest!.conflicts!.examples[0]).toMatchObject({ text: 'tea 0 :)', answers: { good: 1, bad: 1 } });
  const { train, validation, test } = manifest!.rows!;
  const [{ labels }] = manifest!.tasks;
  expect(labels.map(({ label, rows }) => [label, rows!.train + rows!.validation + rows!.test])).toEqual([
    ['bad', 40],
    ['good', 20],
  ]);
  expect(train + validation + test).toBe(60);

  await datasets.call('createDataset', {
    spec: { name: 'tiny', sources: [{ file: await file('tea,good', 'coffee,bad') }] },
  });
  const tiny = await built('tiny');
  expect(tiny.manifest?.rows).toEqual({ train: 2, validation: 0, test: 0 });
  expect(tiny.manifest?.notices).toEqual([
    expect.stringMatching(/^the validation split is empty, with 2 rows in all/),
    expect.stringMatching(/^the test split is empty, with 2 rows in all/),
  ]);
  for (const name of ['mixed', 'tiny']) await datasets.call('deleteDataset', { name });
});

it('fails a dataset whose corpus cannot be had, saying what to do, and builds it on a second request', async () => {
  const spec = { name: 'far', sources: [{ corpus: 'emobank' }] };
  await datasets.call('createDataset', { spec });
  const failed = await built('far');
  expect(failed.state).toBe(common.BuildState.BUILD_STATE_FAILED);
  expect(failed.failure).toContain('emobank: not found');
  expect(failed.retryable).toBe(true);
  await expect(async () => {
    for await (const _ of datasets.stream('previewDataset', { name: 'far' }));
  }).rejects.toBeInstanceOf(FailedPrecondition);
});

it('pages lists by name', async () => {
  const names: string[] = [];
  let pageToken = '';
  do {
    const page = await datasets.call('listDatasets', { pageSize: 2, pageToken });
    names.push(...page.datasets.map((d) => d.name));
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  expect(names).toEqual(['far', 'first', 'hurt-manifest', 'hurt-train', 'idem', 'second']);
  await expect(datasets.call('listDatasets', { pageToken: 'no token!' })).rejects.toThrow(/pageToken/);
});

it('deletes rows and files, and goes on after a restart with what was not built', async () => {
  const { prefix } = await datasets.call('getDataset', { name: 'second' });
  featureSets.set('being-made', 'second');
  const refused = datasets.call('deleteDataset', { name: 'second' });
  await expect(refused).rejects.toThrow('dataset second is in use by feature set being-made');
  await expect(refused).rejects.toBeInstanceOf(FailedPrecondition);
  expect(await objects.list('datasets/second/')).not.toEqual([]);
  featureSets.clear();
  await datasets.call('deleteDataset', { name: 'second' });
  expect(await objects.list('datasets/second/')).toEqual([]);
  expect(await objects.list(`${prefix}/`)).toEqual([]);
  await expect(datasets.call('deleteDataset', { name: 'second' })).rejects.toBeInstanceOf(NotFound);

  await host.close();
  // What a process leaves that was killed while it built.
  const database = await Database.connect(await testDatabaseUrl(), 'data');
  await database.query(
    "update datasets set state = 'BUILD_STATE_BUILDING', version = '' where name = 'first'",
  );
  await database.close();
  host = await start();
  datasets = host.channel.client('DatasetService');
  expect((await built('first')).state).toBe(common.BuildState.BUILD_STATE_READY);
});

describe('lexicons', () => {
  it('are listed with what their licences ask for and where they were found', async () => {
    const { lexicons } = await datasets.call('listLexicons', {});
    const named = (name: string) => lexicons.find((lexicon) => lexicon.name === name);
    expect(named('vader')).toMatchObject({ licence: 'MIT', location: 'bundled', language: 'en' });
    expect(named('emoji-ranking')).toMatchObject({
      licence: 'CC-BY-SA-4.0',
      location: '',
      redistributable: true,
    });
    expect(named('emoji-ranking')!.obligations.join()).toContain('under the same licence');
    expect(named('nrc-vad')).toMatchObject({ redistributable: false, sha256: [] });
  });

  it('are read into the object store, under their content', async () => {
    const { lexicon, key } = await datasets.call('provideLexicon', { name: 'afinn' });
    expect(lexicon).toMatchObject({ name: 'afinn', entries: 4143 });
    const [kept] = parseLexicons(Buffer.from(await objects.get(key)).toString('utf8'));
    expect(kept).toMatchObject({ name: 'afinn', licence: 'MIT', redistributable: true });
    expect((await datasets.call('provideLexicon', { name: 'afinn' })).key).toBe(key);
  });

  it('say what is missing', async () => {
    await expect(datasets.call('provideLexicon', { name: 'emotga' })).rejects.toThrow(
      'did you mean "emotag"?',
    );
    await expect(datasets.call('provideLexicon', { name: 'emotag' })).rejects.toThrow('downloads are off');
    await expect(datasets.call('provideLexicon', { name: 'nrc-vad' })).rejects.toThrow('your own copy');
  });
});
