/**
 * The services over a real S3 server and a real PostgreSQL: from data to an export, with both away for a while, then saved and
 * restored elsewhere.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CopyObjectCommand, CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { sha256, systemClock } from '@emotune/base';
import { type Postgres, type S3, startPostgres, startS3, withoutPostgres, withoutS3 } from '@emotune/local';
import { isWhole, openObjectStore } from '@emotune/objects';
import { type evaluation, type files, type inference, tuning } from '@emotune/proto';
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
const identity = () => ({
  AWS_ACCESS_KEY_ID: s3.accessKeyId,
  AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
  EMOTUNE_S3_ENDPOINT: s3.endpoint,
  EMOTUNE_OBJECTS_CACHE_DIR: join(folder, 'cache'),
  EMOTUNE_OBJECTS_CACHE_MIB: '500',
});

/** The services, of which `doubled` run twice, serve. */
async function serving(prefix: string, database: string, doubled: readonly Area[] = []) {
  const all = [...areas, ...doubled];
  const ports = await freePorts(all.length);
  const addresses = ports.map((port) => `127.0.0.1:${port}`);
  const peers = Object.fromEntries(areas.map((area, i) => [area, addresses[i]])) as Record<Area, string>;
  const url = new URL(postgres.url);
  const passwordFile = join(folder, 'password');
  writeFileSync(passwordFile, decodeURIComponent(url.password), { mode: 0o600 });
  [url.password, url.pathname] = ['', `/${database}`];
  const jobs = join(folder, `jobs-${prefix}`);
  const own: Partial<Record<Area, Record<string, string>>> = {
    data: { EMOTUNE_CACHE_DIR: join(folder, 'corpora'), EMOTUNE_DOWNLOAD: 'false' },
    tuning: { EMOTUNE_JOBS_DIR: jobs, EMOTUNE_TRAINER: programOf('trainer') },
  };
  const services = all.map((area, i): ServiceProcess => {
    const service = beginService(area, {
      EMOTUNE_LISTEN: addresses[i],
      EMOTUNE_DATABASE_URL: url.href,
      EMOTUNE_DATABASE_PASSWORD_FILE: passwordFile,
      EMOTUNE_OBJECTS_URL: objectsUrl(prefix),
      EMOTUNE_BUS_URL: url.href,
      EMOTUNE_PEERS: Object.entries(peers)
        .map(([peer, address]) => `${peer}=${address}`)
        .join(','),
      ...identity(),
      ...own[area],
    });
    onTestFailed(
      () => void process.stderr.write(`${area}:\n${service.output.stdout}${service.output.stderr}`),
    );
    onTestFinished(async () => {
      service.child.kill('SIGKILL');
      await service.ended;
    });
    return service;
  });
  for (const [i, area] of all.entries()) {
    const health = new Health(addresses[i]);
    await until(`${area} serves`, async () => (await health.check().catch(() => '')) === 'SERVING');
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
    const { channel, jobs, end } = await serving('prod', 'postgres', ['data', 'evaluation']);
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
    const { EXPERIMENT_STATE_SUCCEEDED, EXPERIMENT_STATE_FAILED } = tuning.ExperimentState;
    const look = () => experiments.call('getExperiment', { name }).catch(() => undefined);
    let found: tuning.Experiment | undefined;
    await until('the end of the experiment', async () => {
      found = await look();
      return [EXPERIMENT_STATE_SUCCEEDED, EXPERIMENT_STATE_FAILED].includes(found?.state as never);
    });
    expect(found!.state, found!.reason).toBe(EXPERIMENT_STATE_SUCCEEDED);
    version = found!.modelVersion;

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
