/** Every service in this process on real ground, with something of each kind to ask about. Trainers are the caller's part. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { FailedPrecondition, sha256, systemClock } from '@emotune/base';
import { dataMigrations, dataModule } from '@emotune/data';
import { Database, startEmbeddedPostgres } from '@emotune/database';
import { evaluationMigrations, evaluationModule } from '@emotune/evaluation';
import { MemoryBus } from '@emotune/events';
import { featurizationMigrations, featurizationModule } from '@emotune/featurization';
import { hubSettings } from '@emotune/hub';
import { inferenceMigrations, inferenceModule } from '@emotune/inference';
import {
  type JobSpec,
  type JobStatus,
  type LogPiece,
  readEnvironment,
  type TrialRunner,
} from '@emotune/jobs';
import { FolderStore } from '@emotune/objects';
import { common, data, evaluation, featurization, files, tuning } from '@emotune/proto';
import { Host, jsonLog } from '@emotune/service';
import { importCheckpoint } from '@emotune/service/client';
import { tuningMigrations, tuningModule } from '@emotune/tuning';
import { experimentSpec, kept, type World } from './fuzz-requests.js';
import { shippedModel } from './model-folder.js';

const model = 'emotune-llama-4m';
const rows = Buffer.from('text,label\nfine,4\nso so,2\nbad,1\n');

/** Starts nothing: whoever asks for a job's trial speaks for its trainer. */
class IdleRunner implements TrialRunner {
  private readonly jobs = new Map<string, JobSpec>();

  /** The one that was started last, also when it has ended. */
  newest: JobSpec | undefined;

  async start(spec: JobSpec): Promise<void> {
    this.jobs.set(spec.name, spec);
    this.newest = spec;
  }

  async list(): Promise<JobStatus[]> {
    return [...this.jobs.values()].map(({ name, labels }) => ({ name, labels, phase: 'running' }));
  }

  async stop(name: string): Promise<void> {
    this.jobs.delete(name);
  }

  async *log(): AsyncGenerator<LogPiece> {
    yield { offset: 0, bytes: Buffer.from('{}\n') };
  }

  async remove(name: string): Promise<void> {
    this.jobs.delete(name);
  }

  onChange(): () => void {
    return () => {};
  }

  async detach(): Promise<void> {}

  async close(): Promise<void> {}
}

export interface FuzzedPlatform {
  /** host:port */
  readonly address: string;
  readonly world: World;
  /** What was logged as an error so far, for people. */
  errors(): readonly string[];
  close(): Promise<void>;
}

async function untilReady(
  what: string,
  state: () => Promise<{ state: common.BuildState; failure: string }>,
  signal: AbortSignal,
) {
  for (;;) {
    const { state: now, failure } = await state();
    if (now === common.BuildState.BUILD_STATE_READY) return;
    if (now === common.BuildState.BUILD_STATE_FAILED) throw new FailedPrecondition(`${what}: ${failure}`);
    await delay(50, undefined, { signal });
  }
}

async function furnish(host: Host, runner: IdleRunner, signal: AbortSignal): Promise<World> {
  const { channel } = host;
  const client = <C>(service: string) => channel.client<C>(service);
  const hash = sha256(rows);
  await client<files.FileServiceClient>('FileService').send(
    'upload',
    (async function* () {
      yield { header: { sha256: hash, bytes: rows.length, offset: 0 } };
      yield { chunk: rows };
    })(),
  );
  await importCheckpoint(channel, { name: model, path: shippedModel });
  const datasets = client<data.DatasetServiceClient>('DatasetService');
  await datasets.call('createDataset', {
    spec: { name: kept, sources: [{ corpus: 'emotune-demo', limit: 60 }] },
  });
  await untilReady('the dataset', () => datasets.call('getDataset', { name: kept }), signal);
  const sets = client<featurization.FeatureServiceClient>('FeatureService');
  await sets.call('createFeatureSet', { spec: { name: kept, dataset: kept, baseModels: [model] } });
  await untilReady('the feature set', () => sets.call('getFeatureSet', { name: kept }), signal);
  const experiments = client<tuning.ExperimentServiceClient>('ExperimentService');
  await experiments.call('createExperiment', { spec: experimentSpec({ model } as World, kept) as never });
  const evaluations = client<evaluation.EvaluationServiceClient>('EvaluationService');
  const { id } = await evaluations.call('evaluate', {
    model,
    dataset: { features: kept, split: 'test' },
    limit: 2,
  });
  await untilReady('the evaluation', () => evaluations.call('getEvaluation', { id }), signal);
  while (!runner.newest) await delay(50, undefined, { signal });
  return {
    model,
    evaluation: id,
    sha256: hash,
    bytes: rows.length,
    running: () => {
      const { environment, token } = runner.newest!;
      return { trial: { ...readEnvironment(environment).trial }, token };
    },
  };
}

/** In a temporary folder. @throws FailedPrecondition, Unavailable or ResourceExhausted when PostgreSQL cannot start. */
export async function startFuzzedPlatform({
  signal,
  threadArguments,
}: {
  readonly signal: AbortSignal;
  readonly threadArguments?: readonly string[];
}): Promise<FuzzedPlatform> {
  const dir = await mkdtemp(join(tmpdir(), `emotune-bench-fuzz-${process.pid}-`));
  // In the order they were started; closed the other way round.
  const started: (() => Promise<unknown>)[] = [() => rm(dir, { recursive: true, force: true })];
  const close = async () => {
    for (const stop of started.splice(0).reverse()) await stop();
  };
  try {
    const postgres = await startEmbeddedPostgres({ dir: join(dir, 'postgres'), durable: false });
    started.push(() => postgres.stop());
    const runner = new IdleRunner();
    const errors: string[] = [];
    const host = await Host.create({
      database: (schema) => Database.connect(postgres.url, schema),
      objects: await FolderStore.open(join(dir, 'objects')),
      bus: new MemoryBus(systemClock),
      clock: systemClock,
      log: jsonLog((line) => {
        if (line.includes('"level":"error"') && errors.length < 1000) errors.push(line);
      }),
      listen: '127.0.0.1:0',
    });
    started.push(() => host.close());
    // Nothing is fetched.
    const hub = hubSettings({ HF_HUB_OFFLINE: '1', HF_HOME: join(dir, 'hub') });
    await host.start([
      dataModule({
        ...(await host.context('data', dataMigrations)),
        hub,
        locate: { corporaDir: undefined, cacheDir: join(dir, 'corpora'), download: false },
      }),
      featurizationModule(await host.context('featurization', featurizationMigrations)),
      tuningModule({
        ...(await host.context('tuning', tuningMigrations)),
        runner,
        address: host.address,
        hub,
        leaseSeconds: 3600,
        ...(threadArguments ? { threadArguments } : {}),
      }),
      evaluationModule({ ...(await host.context('evaluation', evaluationMigrations)), threads: 1 }),
      inferenceModule({ ...(await host.context('inference', inferenceMigrations)), threads: 1 }),
    ]);
    const world = await furnish(host, runner, signal);
    return { address: host.address, world, errors: () => errors, close };
  } catch (error) {
    await close();
    throw error;
  }
}
