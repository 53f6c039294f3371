/** The tuning service that a test file runs: beside a feature service, with an evaluation service that answers at once. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@emotune/base';
import { Database } from '@emotune/database';
import { testDatabaseUrl } from '@emotune/database/testing';
import { MemoryBus, topics } from '@emotune/events';
import { hubSettings } from '@emotune/hub';
import { FolderStore, type ObjectStore } from '@emotune/objects';
import { common, type featurization, tuning } from '@emotune/proto';
import { type Client, filesModule, Host, jsonLog, type Work } from '@emotune/service';
import { importCheckpoint } from '@emotune/service/client';
import { afterAll, beforeAll, beforeEach, expect, vi } from 'vitest';
import type { TuningContext } from './context.js';
import { tuningMigrations, tuningModule } from './index.js';
import { experimentSpec, featureSets, TestRunner, tinyCheckpoint, usualTrainer } from './testing.js';

/** How long tests wait for what must happen, far longer than it takes: it only ends a hang. */
export const patience = { timeout: 200_000, interval: 25 };

interface Options {
  /** The port on 127.0.0.1; 0 takes a free one. */
  readonly port?: number;
  /** Seconds after which a silent trainer loses its trial. */
  readonly leaseSeconds?: number;
  /** What it does in the background; default: all of it. */
  readonly work?: Work;
  /** Where its trainers run; default: where those of the others do. */
  readonly runner?: TestRunner;
  readonly keeper?: TuningContext['keeper'];
}

interface Served {
  readonly host: Host;
  readonly databases: Database[];
  readonly bus: MemoryBus;
}

export class TestPlatform {
  readonly runner: TestRunner;
  /** The feature sets that there are, by name. `demo` is there from the start. */
  readonly sets = new Map<string, Partial<featurization.FeatureSet>>();
  /** Lines that the service logged as errors: a test file ends without. */
  readonly errors: string[] = [];
  /** Trials that an event said to be finished, as `experiment/number`. */
  readonly finished: string[] = [];
  readonly registered: tuning.ModelRegistered[] = [];
  /** Why every evaluation fails, empty if none does. */
  evaluationFailure = '';
  /** Threads run the sources. */
  readonly threadArguments = [
    '--conditions=source',
    '--import',
    new URL('../../../scripts/source-loader.mjs', import.meta.url).href,
  ];
  /** The hash of the tokenizer of `base-opt` and `base-bloom`. */
  tokenizer = '';
  private served!: Served;

  constructor(
    readonly folder: string,
    readonly objects: ObjectStore,
  ) {
    this.runner = new TestRunner(objects, usualTrainer);
  }

  get host(): Host {
    return this.served.host;
  }

  get bus(): MemoryBus {
    return this.served.bus;
  }

  get experiments(): Client<tuning.ExperimentServiceClient> {
    return this.host.channel.client('ExperimentService');
  }

  get trials(): Client<tuning.TrialServiceClient> {
    return this.host.channel.client('TrialService');
  }

  get models(): Client<tuning.ModelServiceClient> {
    return this.host.channel.client('ModelService');
  }

  get insights(): Client<tuning.InsightServiceClient> {
    return this.host.channel.client('InsightService');
  }

  /** Another service on the same database and store. */
  async serve({
    port = 0,
    leaseSeconds = 30,
    runner = this.runner,
    work = 'trials',
    keeper,
  }: Options = {}): Promise<Served> {
    const { threadArguments, objects } = this;
    const databases: Database[] = [];
    const bus = new MemoryBus(systemClock);
    const host = await Host.create({
      database: async (schema) => {
        databases.push(await Database.connect(await testDatabaseUrl(), schema));
        return databases[databases.length - 1];
      },
      objects,
      bus,
      clock: systemClock,
      log: jsonLog((line) => {
        if (line.includes('"level":"error"')) this.errors.push(line);
      }),
      listen: `127.0.0.1:${port}`,
      work,
    });
    await bus.subscribe('evaluation', [topics.modelTrained.name], async ({ payload }) => {
      const { name, version } = topics.modelTrained.decode(payload);
      const failure = this.evaluationFailure;
      const prefix = failure === '' ? `evaluations/${version}` : '';
      const message = { id: version, model: name, version, prefix, failure, questions: [] };
      const { name: topic, encode } = topics.evaluationCompleted;
      await bus.publish([{ id: randomUUID(), topic, key: name, payload: encode(message), headers: {} }]);
    });
    await bus.subscribe('test', [topics.trialFinished.name, topics.modelRegistered.name], async (event) => {
      if (event.topic === topics.modelRegistered.name)
        this.registered.push(topics.modelRegistered.decode(event.payload));
      else {
        const { trial } = topics.trialFinished.decode(event.payload);
        this.finished.push(`${trial?.experiment}/${trial?.number}`);
      }
    });
    const context = await host.context('tuning', tuningMigrations);
    await host.start([
      featureSets(this.sets),
      filesModule(context),
      tuningModule({
        ...context,
        runner,
        address: host.address,
        hub: hubSettings({}),
        leaseSeconds,
        threadArguments,
        ...(keeper ? { keeper } : {}),
      }),
    ]);
    return { host, databases, bus };
  }

  /** From now on this is the service that tests call. */
  async start(options?: Options): Promise<void> {
    this.served = await this.serve(options);
  }

  /** From now on nothing that the process does is recorded: as far as anybody can tell it was killed. */
  async kill(): Promise<void> {
    const { host, databases } = this.served;
    const other = await Database.connect(await testDatabaseUrl(), 'killer');
    const closed = databases.map((database) => database.close());
    await other.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()',
    );
    await Promise.all([...closed, other.close()]);
    await host.close().catch(() => {});
    this.errors.length = 0;
  }

  readonly submit = (changes: Parameters<typeof experimentSpec>[0]): Promise<tuning.Experiment> =>
    this.experiments.call('createExperiment', { spec: experimentSpec(changes) });

  readonly get = (name: string): Promise<tuning.Experiment> =>
    this.experiments.call('getExperiment', { name });

  readonly trialsOf = async (experiment: string): Promise<tuning.Trial[]> =>
    (await this.experiments.call('listTrials', { experiment })).trials;

  /** Waits until the experiment is in the state. */
  readonly reached = (name: string, state: tuning.ExperimentState): Promise<tuning.Experiment> =>
    vi.waitFor(async () => {
      const experiment = await this.get(name);
      expect(experiment.state, experiment.reason).toBe(state);
      return experiment;
    }, patience);
}

/** Runs the service around the tests of the calling file; it must end without having logged an error. */
export async function testPlatform(options?: () => Promise<Options>): Promise<TestPlatform> {
  const folder = mkdtempSync(join(tmpdir(), 'emotune-tuning-'));
  const platform = new TestPlatform(folder, await FolderStore.open(join(folder, 'objects')));

  beforeAll(async () => {
    const tokenizer = await tinyCheckpoint(join(folder, 'opt'), 'opt');
    await tinyCheckpoint(join(folder, 'bloom'), 'bloom');
    platform.tokenizer = tokenizer;
    await platform.start(await options?.());
    for (const family of ['opt', 'bloom'])
      await importCheckpoint(platform.host.channel, { name: `base-${family}`, path: join(folder, family) });
    platform.sets.set('demo', {
      version: 'f1',
      datasetVersion: 'd1',
      state: common.BuildState.BUILD_STATE_READY,
      spec: { name: 'demo', dataset: 'demo-data' } as featurization.FeatureSetSpec,
      tokenized: [{ tokenizer, baseModels: [], prefix: 'features/demo/f1/t', splits: [] }],
    });
  });

  beforeEach(() => {
    platform.runner.train = usualTrainer;
    platform.evaluationFailure = '';
  });

  afterAll(async () => {
    await platform.runner.close();
    await platform.host.close();
    rmSync(folder, { recursive: true, force: true });
    expect(platform.errors).toEqual([]);
  });

  return platform;
}
