/**
 * The services over a real S3 server and a real PostgreSQL: from data to an export, with both away for a while, then saved and
 * restored elsewhere; over a real Kafka whose broker is killed meanwhile; and with a user of S3 who has too few rights.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  CopyObjectCommand,
  CreateBucketCommand,
  ListObjectsV2Command,
  PutBucketPolicyCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { Rng, sha256, systemClock } from '@emotune/base';
import { Database } from '@emotune/database';
import { KafkaBus, type Topic, topics } from '@emotune/events';
import {
  type Kafka,
  type Postgres,
  type S3,
  type S3Keys,
  startKafka,
  startPostgres,
  startS3,
  withoutKafka,
  withoutPostgres,
  withoutS3,
} from '@emotune/local';
import { isWhole, openObjectStore } from '@emotune/objects';
import { type data, type evaluation, type files, type inference, tuning } from '@emotune/proto';
import { Channel } from '@emotune/service';
import { downloadFolder, importCheckpoint } from '@emotune/service/client';
import { Health } from '@emotune/service/testing';
import { afterAll, beforeAll, describe, expect, it, onTestFailed, onTestFinished } from 'vitest';
import { built, until } from './platform-process.js';
import {
  type Area,
  areas,
  beginService,
  freePorts,
  programOf,
  type ServiceProcess,
} from './service-process.js';
import { base, begun } from './tune.js';

const reason = withoutS3() ?? withoutPostgres();
if (reason) process.stderr.write(`skipped: ${reason}\n`);

const name = 'remote';
const Bucket = 'emotune';
const folder = mkdtempSync(join(tmpdir(), 'emotune-remote-'));
const models = fileURLToPath(new URL('../../models', import.meta.url));
let s3: S3;
let postgres: Postgres;
let client: S3Client;

beforeAll(async () => {
  if (reason) return;
  [s3, postgres] = await Promise.all([startS3(), startPostgres()]);
  Object.assign(process.env, identity());
  client = new S3Client({
    endpoint: s3.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: s3,
  });
  await client.send(new CreateBucketCommand({ Bucket }));
});
afterAll(async () => {
  await s3?.stop();
  await postgres?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const objectsUrl = (prefix: string) => `s3://${Bucket}/${prefix}`;
const identity = ({ accessKeyId, secretAccessKey }: S3Keys = s3) => ({
  AWS_ACCESS_KEY_ID: accessKeyId,
  AWS_SECRET_ACCESS_KEY: secretAccessKey,
  EMOTUNE_S3_ENDPOINT: s3.endpoint,
  EMOTUNE_OBJECTS_CACHE_DIR: join(folder, 'cache'),
  EMOTUNE_OBJECTS_CACHE_MIB: '500',
});

/** The URL of a database of this server without its password, and a file that holds that. */
function databaseAt(name: string) {
  const url = new URL(postgres.url);
  const passwordFile = join(folder, 'password');
  writeFileSync(passwordFile, decodeURIComponent(url.password), { mode: 0o600 });
  [url.password, url.pathname] = ['', `/${name}`];
  return { url: url.href, passwordFile };
}

/** It ends with the test, which tells what it has said if it fails. */
function begunService(area: Area, environment: Readonly<Record<string, string>>): ServiceProcess {
  const service = beginService(area, environment);
  onTestFailed(() => void process.stderr.write(`${area}:\n${service.output.stdout}${service.output.stderr}`));
  onTestFinished(async () => {
    service.child.kill('SIGKILL');
    await service.ended;
  });
  return service;
}

interface Serving {
  /** Those that run twice. */
  readonly doubled?: readonly Area[];
  /** The URL of the bus; default: PostgreSQL. */
  readonly bus?: string;
}

/** The services, once they serve. */
async function serving(prefix: string, database: string, { doubled = [], bus }: Serving = {}) {
  const all = [...areas, ...doubled];
  const ports = await freePorts(all.length);
  const addresses = ports.map((port) => `127.0.0.1:${port}`);
  const peers = Object.fromEntries(areas.map((area, i) => [area, addresses[i]])) as Record<Area, string>;
  const { url, passwordFile } = databaseAt(database);
  const jobs = join(folder, `jobs-${prefix}`);
  const own: Partial<Record<Area, Record<string, string>>> = {
    data: { EMOTUNE_CACHE_DIR: join(folder, 'corpora'), EMOTUNE_DOWNLOAD: 'false' },
    tuning: { EMOTUNE_JOBS_DIR: jobs, EMOTUNE_TRAINER: programOf('trainer') },
  };
  const services = all.map((area, i) =>
    begunService(area, {
      EMOTUNE_LISTEN: addresses[i],
      EMOTUNE_DATABASE_URL: url,
      EMOTUNE_DATABASE_PASSWORD_FILE: passwordFile,
      EMOTUNE_OBJECTS_URL: objectsUrl(prefix),
      EMOTUNE_BUS_URL: bus ?? url,
      EMOTUNE_PEERS: Object.entries(peers)
        .map(([peer, address]) => `${peer}=${address}`)
        .join(','),
      ...identity(),
      ...own[area],
    }),
  );
  for (const [i, area] of all.entries()) {
    const health = new Health(addresses[i]);
    await until(`${area} serves`, async () => (await health.check().catch(() => '')) === 'SERVING', 1200);
    health.close();
  }
  const channel = Channel.toPeers(peers);
  onTestFinished(() => channel.close());
  const end = async () => {
    for (const { child } of services) child.kill('SIGTERM');
    for (const { ended } of services) {
      const { code, stdout, stderr } = await ended;
      expect([code, stderr]).toEqual([0, '']);
      for (const secret of [s3.secretAccessKey, readFileSync(passwordFile, 'utf8')])
        expect(stdout).not.toContain(secret);
    }
  };
  return { channel, jobs, end };
}

const filesBelow = (root: string) =>
  readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map((path) => join(root, path))
    .filter((path) => statSync(path).isFile());

const analyses = (channel: Channel) => channel.client<inference.AnalysisServiceClient>('AnalysisService');
const modelsOf = (channel: Channel) => channel.client<tuning.ModelServiceClient>('ModelService');
const text = 'What a lovely day';

const { EXPERIMENT_STATE_SUCCEEDED, EXPERIMENT_STATE_FAILED } = tuning.ExperimentState;

/** The experiment once it has. What the services need may be away meanwhile. */
async function succeeded(channel: Channel, name: string): Promise<tuning.Experiment> {
  const experiments = channel.client<tuning.ExperimentServiceClient>('ExperimentService');
  let found: tuning.Experiment | undefined;
  const over = async () => {
    found = await experiments.call('getExperiment', { name }).catch(() => undefined);
    return [EXPERIMENT_STATE_SUCCEEDED, EXPERIMENT_STATE_FAILED].includes(found?.state as never);
  };
  await until('the end of the experiment', over, 1200);
  expect(found!.state, found!.reason).toBe(EXPERIMENT_STATE_SUCCEEDED);
  return found!;
}

/** A program of PostgreSQL, of the server's version. */
function pg(program: string, ...args: string[]): void {
  const bin = execFileSync('sh', ['-c', 'ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1'])
    .toString()
    .trim();
  execFileSync(join(bin, program), args, { stdio: ['ignore', 'ignore', 'inherit'] });
}

describe.skipIf(reason)('services over S3 and PostgreSQL', () => {
  let version: string;
  let answer: inference.Analysis;

  it('build, train, evaluate, register and export, also where the two are away for a while', async () => {
    const { channel, jobs, end } = await serving('prod', 'postgres', { doubled: ['data', 'evaluation'] });
    await importCheckpoint(channel, { name: base, path: join(models, base) });
    await begun(channel, name);
    const experiments = channel.client<tuning.ExperimentServiceClient>('ExperimentService');
    const trials = async () => (await experiments.call('listTrials', { experiment: name })).trials;
    await until('a trial has begun', async () => (await trials()).length > 0);
    await s3.halt();
    await systemClock.sleep(3_000);
    await s3.restart();
    await postgres.kill();
    await postgres.restart();
    version = (await succeeded(channel, name)).modelVersion;

    const evaluations = channel.client<evaluation.EvaluationServiceClient>('EvaluationService');
    const { id } = await evaluations.call('evaluate', { model: name, dataset: { dataset: name }, limit: 8 });
    const measured = await built(() => evaluations.call('getEvaluation', { id }));
    expect(measured.tasks.length).toBeGreaterThan(0);

    const out = join(folder, 'exported');
    const list = async () =>
      (await modelsOf(channel).call('exportModel', { name, format: 'safetensors' })).files;
    await downloadFolder(channel, list, { folder: out, field: 'out' });
    for (const { path, sha256: expected } of await list())
      expect(sha256(readFileSync(join(out, path)))).toBe(expected);
    answer = await analyses(channel).call('analyze', { text });
    expect(answer.model).toBe(version);
    // What a trainer needs beside its job, it has by itself.
    for (const path of filesBelow(jobs)) expect(readFileSync(path, 'utf8')).not.toContain(s3.secretAccessKey);
    await end();
  }, 1_800_000);

  it('answer as before once they were saved and restored elsewhere, where garbage is what came in between', async () => {
    // As docs/operations.md has it: first what names the objects, then the objects.
    const dump = join(folder, 'emotune.dump');
    pg('pg_dump', '--format=custom', `--file=${dump}`, postgres.url);
    const from = await openObjectStore(objectsUrl('prod'));
    // Written after the dump, so that no row of it names it.
    await from.put('models/later/1/config.json', '{}');
    for (const { key } of await from.list(''))
      await client.send(
        new CopyObjectCommand({
          Bucket,
          CopySource: encodeURI(`${Bucket}/prod/${key}`),
          Key: `restored/${key}`,
        }),
      );
    const target = new URL(postgres.url);
    target.pathname = '/restored';
    pg('createdb', `--maintenance-db=${postgres.url}`, 'restored');
    pg('pg_restore', '--exit-on-error', `--dbname=${target.href}`, dump);

    const { channel, end } = await serving('restored', 'restored');
    const { name: found, prefix } = await modelsOf(channel).call('getModel', { name });
    expect(found).toBe(name);
    expect(await isWhole(await openObjectStore(objectsUrl('restored')), prefix)).toBe(true);
    expect(await analyses(channel).call('analyze', { text })).toEqual(answer);
    // What is younger than a day may be on its way.
    const { garbage } = await channel
      .client<files.FileServiceClient>('FileService')
      .call('collectGarbage', { dryRun: true, minAgeSeconds: 1 });
    expect(
      garbage.map(({ name }) => name).filter((one) => /^(models|exports|datasets|evaluations)/.test(one)),
    ).toEqual(['models/later/1']);
    await end();
  }, 1_800_000);
});

const withoutBus = reason ?? withoutKafka();
if (withoutBus && !reason) process.stderr.write(`skipped: ${withoutBus}\n`);

describe.skipIf(withoutBus)('services over Kafka', () => {
  let kafka: Kafka;
  beforeAll(async () => {
    kafka = await startKafka();
  });
  afterAll(() => kafka?.stop());

  /** What each group takes. */
  const taken: Partial<Record<Area, readonly Topic<unknown>[]>> = {
    featurization: [topics.datasetReady, topics.datasetFailed],
    tuning: [topics.featuresReady, topics.featuresFailed, topics.evaluationCompleted],
    evaluation: [topics.modelTrained],
  };

  /** Ids of all events from now on, by topic, and what waits until there are no more. */
  async function witness(bus: KafkaBus): Promise<{
    readonly held: ReadonlyMap<string, ReadonlySet<string>>;
    readonly isThrough: () => Promise<void>;
  }> {
    const names = Object.values(topics).map((topic) => topic.name);
    const held = new Map<string, Set<string>>(names.map((name) => [name, new Set()]));
    await bus.subscribe('witness', names, async ({ id, topic }) => {
      held.get(topic)!.add(id);
    });
    const isThrough = () =>
      expect
        .poll(async () => (await bus.lag()).map(({ events }) => events), { timeout: 120_000 })
        .toEqual(names.map(() => 0));
    return { held, isThrough };
  }

  it('tune to the end while the broker is killed again and again: every event has its effect once', async () => {
    const database = 'over_kafka';
    pg('createdb', `--maintenance-db=${postgres.url}`, database);
    const name = 'over-kafka';
    const trials = 2;
    const url = `kafka://${kafka.broker}`;
    const bus = await KafkaBus.open(url);
    onTestFinished(() => bus.close());
    const { held, isThrough } = await witness(bus);
    const { channel, end } = await serving('kafka', database, { bus: url, doubled: ['evaluation'] });
    await importCheckpoint(channel, { name: base, path: join(models, base) });
    let over = false;
    const kills: string[] = [];
    const experiments = channel.client<tuning.ExperimentServiceClient>('ExperimentService');
    const stage = async () => {
      const found = await experiments.call('getExperiment', { name }).catch(() => undefined);
      return found ? tuning.ExperimentState[found.state] : 'data and features';
    };
    const killing = async () => {
      const rng = Rng.of(15);
      while (!over) {
        kills.push(await stage());
        await kafka.kill();
        await systemClock.sleep(500 + 4_000 * rng.uniform());
        await kafka.restart();
        // A group has its place again once the sessions of before are over (10 s): a broker that is up for less hands out nothing.
        const upMs = kills.length % 3 === 0 ? 20_000 : 2_000 + 6_000 * rng.uniform();
        await systemClock.sleep(upMs);
      }
    };
    const tuned = begun(channel, name, { trials, parallel: 2 })
      .then(() => succeeded(channel, name))
      .finally(() => {
        over = true;
      });
    const [experiment] = await Promise.all([tuned, killing()]);
    process.stderr.write(`the broker was killed ${kills.length} times: ${kills.join(', ')}\n`);
    expect(kills.length).toBeGreaterThanOrEqual(2);

    const own = databaseAt(database);
    const schemas = new Map<Area, Database>();
    for (const area of areas) {
      const opened = await Database.connect(own.url, area, { passwordFile: own.passwordFile });
      onTestFinished(() => opened.close());
      schemas.set(area, opened);
    }
    // All facts have left, and all groups have taken what is theirs.
    const waiting = async () =>
      Promise.all([...schemas.values()].map((one) => one.query('select topic, key, failure from outbox')));
    await expect.poll(async () => (await waiting()).flat(), { timeout: 120_000 }).toEqual([]);
    await isThrough();
    for (const [area, theirs] of Object.entries(taken) as [Area, readonly Topic<unknown>[]][]) {
      const due = theirs.flatMap((topic) => [...held.get(topic.name)!]).sort();
      const inbox = async () =>
        (await schemas.get(area)!.query<{ id: string }>('select event_id as id from inbox'))
          .map(({ id }) => id)
          .sort();
      await expect.poll(inbox, { timeout: 120_000, message: area }).toEqual(due);
    }
    expect(await bus.deadLetters.list({ topic: '', group: '' }, { after: '', limit: 10 })).toEqual([]);
    // Each fact was told as one event, and was acted on once.
    const told = (topic: Topic<unknown>) => held.get(topic.name)!.size;
    expect({
      ready: told(topics.datasetReady),
      features: told(topics.featuresReady),
      finished: told(topics.trialFinished),
      ended: told(topics.experimentFinished),
      trained: told(topics.modelTrained),
      completed: told(topics.evaluationCompleted),
      registered: told(topics.modelRegistered),
    }).toEqual({
      ...{ ready: 1, features: 1, finished: trials + 1, ended: 1, trained: 1, completed: 1, registered: 1 },
    });
    const listed = await experiments.call('listTrials', { experiment: name });
    expect(listed.trials).toHaveLength(trials + 1);
    const { evaluations } = await channel
      .client<evaluation.EvaluationServiceClient>('EvaluationService')
      .call('listEvaluations', {});
    expect(evaluations.map(({ model }) => model)).toEqual([experiment.modelVersion]);
    await end();
  }, 1_800_000);
});

describe.skipIf(reason)('a service whose user of S3 has too few rights', () => {
  const beginning = async (prefix: string, keys: S3Keys): Promise<ServiceProcess & { address: string }> => {
    const { url, passwordFile } = databaseAt(prefix);
    pg('createdb', `--maintenance-db=${postgres.url}`, prefix);
    const address = `127.0.0.1:${(await freePorts(1))[0]}`;
    const service = begunService('data', {
      EMOTUNE_LISTEN: address,
      EMOTUNE_DATABASE_URL: url,
      EMOTUNE_DATABASE_PASSWORD_FILE: passwordFile,
      EMOTUNE_OBJECTS_URL: objectsUrl(prefix),
      EMOTUNE_BUS_URL: url,
      EMOTUNE_PEERS: 'featurization=127.0.0.1:1,tuning=127.0.0.1:1',
      EMOTUNE_CACHE_DIR: join(folder, 'corpora'),
      EMOTUNE_DOWNLOAD: 'false',
      ...identity(keys),
    });
    return { ...service, address };
  };
  const told = (doing: string) => `may not ${doing} (AccessDenied); allow s3:ListBucket`;
  const allow = async (user: S3Keys, objects: readonly string[]) => {
    const of = (Action: readonly string[], Resource: string) => ({
      ...{ Effect: 'Allow', Principal: { AWS: [user.accessKeyId] }, Action },
      Resource: `arn:aws:s3:::${Resource}`,
    });
    const Statement = [of(['s3:ListBucket'], Bucket), of(objects, `${Bucket}/*`)];
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement });
    await client.send(new PutBucketPolicyCommand({ Bucket, Policy }));
  };

  it('ends with what to allow, before it has made anything', async () => {
    const { ended } = await beginning('refused', await s3.user('guest'));
    const { code, stdout, stderr } = await ended;
    expect([code, stderr]).toEqual([2, '']);
    expect(stdout).toContain(told('list its objects'));
    const { url, passwordFile } = databaseAt('refused');
    const database = await Database.connect(url, 'witness', { passwordFile });
    onTestFinished(() => database.close());
    const schemas = `select schema_name from information_schema.schemata where schema_name in ('data', 'bus')`;
    expect(await database.query(schemas)).toEqual([]);
  });

  it('says what a build was not allowed to do, keeps nothing of it, and builds once it is allowed', async () => {
    const user = await s3.user('reader');
    await allow(user, ['s3:GetObject']);
    const { address, child, ended } = await beginning('reading', user);
    const health = new Health(address);
    await until('data serves', async () => (await health.check().catch(() => '')) === 'SERVING');
    health.close();
    const channel = Channel.toPeers({ data: address });
    onTestFinished(() => channel.close());
    const datasets = channel.client<data.DatasetServiceClient>('DatasetService');
    const create = async (name: string) => {
      await datasets.call('createDataset', {
        spec: { name, sources: [{ corpus: 'emotune-demo', limit: 20 }] },
      });
      return built(() => datasets.call('getDataset', { name }));
    };
    await expect(create('refused')).rejects.toThrow(
      /may not put reading\/datasets\/refused\/\S+ \(AccessDenied\); allow s3:ListBucket/,
    );
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket, Prefix: 'reading/' }));
    expect(Contents).toEqual([]);
    await allow(user, ['s3:GetObject', 's3:PutObject', 's3:DeleteObject']);
    expect((await create('allowed')).failure).toBe('');
    child.kill('SIGTERM');
    expect((await ended).code).toBe(0);
  }, 600_000);
});
