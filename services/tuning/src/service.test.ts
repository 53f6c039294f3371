import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  Aborted,
  AlreadyExists,
  FailedPrecondition,
  InvalidArgument,
  NotFound,
  PermissionDenied,
  systemClock,
  Unavailable,
} from '@emotune/base';
import { Database } from '@emotune/database';
import { testDatabaseUrl } from '@emotune/database/testing';
import { MemoryBus, topics } from '@emotune/events';
import { parseConfig } from '@emotune/models';
import { FolderStore } from '@emotune/objects';
import { common, type featurization, tuning } from '@emotune/proto';
import { type Client, Host, jsonLog } from '@emotune/service';
import { MemoryForecast, trainingSettings } from '@emotune/training';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { tuningMigrations, tuningModule } from './index.js';
import {
  experimentSpec,
  featureSets,
  TestRunner,
  type Trainer,
  type TrainerContext,
  tinyCheckpoint,
  usualTrainer,
} from './testing.js';

const { ExperimentState, TrialState, TrialKind, Directive } = tuning;
const patience = { timeout: 20_000, interval: 25 };
const folder = mkdtempSync(join(tmpdir(), 'emotune-tuning-'));
const objects = await FolderStore.open(join(folder, 'objects'));
const sets = new Map<string, Partial<featurization.FeatureSet>>();
const errors: string[] = [];

interface Platform {
  readonly host: Host;
  readonly databases: Database[];
  readonly bus: MemoryBus;
  readonly experiments: Client<tuning.ExperimentServiceClient>;
  readonly trials: Client<tuning.TrialServiceClient>;
  readonly models: Client<tuning.ModelServiceClient>;
}

/** Threads run the sources. */
const threadArguments = [
  '--conditions=source',
  '--import',
  new URL('../../../scripts/source-loader.mjs', import.meta.url).href,
];

const finished: string[] = [];
const registered: tuning.ModelRegistered[] = [];
/** What evaluations say. */
let evaluationFailure = '';

/** The service beside a feature service, with an evaluation service that answers at once. */
async function start(runner: TestRunner, port = 0, leaseSeconds = 30): Promise<Platform> {
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
      if (line.includes('"level":"error"')) errors.push(line);
    }),
    port,
  });
  await bus.subscribe('evaluation', [topics.modelTrained.name], async ({ payload }) => {
    const { name, version } = topics.modelTrained.decode(payload);
    const prefix = evaluationFailure === '' ? `evaluations/${version}` : '';
    const message = { id: version, model: name, version, prefix, failure: evaluationFailure };
    const { name: topic, encode } = topics.evaluationCompleted;
    await bus.publish([{ id: randomUUID(), topic, key: name, payload: encode(message), headers: {} }]);
  });
  await bus.subscribe('test', [topics.trialFinished.name, topics.modelRegistered.name], async (event) => {
    if (event.topic === topics.modelRegistered.name)
      registered.push(topics.modelRegistered.decode(event.payload));
    else {
      const { trial } = topics.trialFinished.decode(event.payload);
      finished.push(`${trial?.experiment}/${trial?.number}`);
    }
  });
  const context = await host.context('tuning', tuningMigrations);
  await host.start([
    featureSets(sets),
    tuningModule({ ...context, runner, address: host.address, leaseSeconds, threadArguments }),
  ]);
  return {
    ...{ host, databases, bus },
    experiments: host.channel.client('ExperimentService'),
    trials: host.channel.client('TrialService'),
    models: host.channel.client('ModelService'),
  };
}

/** From now on nothing that the process does is recorded: as far as anybody can tell it was killed. */
async function kill({ host, databases }: Platform): Promise<void> {
  const other = await Database.connect(await testDatabaseUrl(), 'killer');
  const closed = databases.map((database) => database.close());
  await other.query(
    'select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()',
  );
  await Promise.all([...closed, other.close()]);
  await host.close().catch(() => {});
  errors.length = 0;
}

const runner = new TestRunner(objects, usualTrainer);
let platform: Platform;
let tokenizer: string;

beforeAll(async () => {
  tokenizer = await tinyCheckpoint(join(folder, 'opt'), 'opt');
  await tinyCheckpoint(join(folder, 'bloom'), 'bloom');
  platform = await start(runner);
  for (const family of ['opt', 'bloom'])
    await platform.models.call('importModel', { name: `base-${family}`, directory: join(folder, family) });
  sets.set('demo', {
    ...{ version: 'f1', datasetVersion: 'd1', state: common.BuildState.BUILD_STATE_READY },
    spec: { name: 'demo', dataset: 'demo-data' } as featurization.FeatureSetSpec,
    tokenized: [{ tokenizer, baseModels: [], prefix: 'features/demo/f1/t', splits: [] }],
  });
});

beforeEach(() => {
  runner.train = usualTrainer;
  evaluationFailure = '';
});

afterAll(async () => {
  await runner.close();
  await platform.host.close();
  rmSync(folder, { recursive: true, force: true });
  expect(errors).toEqual([]);
});

const submit = (changes: Parameters<typeof experimentSpec>[0]) =>
  platform.experiments.call('createExperiment', { spec: experimentSpec(changes) });
const get = (name: string) => platform.experiments.call('getExperiment', { name });
const trialsOf = async (experiment: string) =>
  (await platform.experiments.call('listTrials', { experiment })).trials;

function reached(name: string, state: tuning.ExperimentState): Promise<tuning.Experiment> {
  return vi.waitFor(async () => {
    const experiment = await get(name);
    expect(experiment.state, experiment.reason).toBe(state);
    return experiment;
  }, patience);
}

/** A trainer that waits until it is let go, or asked to end; what comes after is another's. */
function held(then: Trainer = usualTrainer): {
  train: Trainer;
  release: () => void;
  waiting: TrainerContext[];
} {
  const waiting: TrainerContext[] = [];
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  return {
    waiting,
    release: () => release(),
    train: async (context) => {
      waiting.push(context);
      const ended = new Promise<number>((resolve) => {
        context.signal.addEventListener('abort', () => resolve(75));
      });
      return Promise.race([ended, released.then(() => then(context))]);
    },
  };
}

it('searches, retrains the winner, stores, evaluates and registers it with its lineage', async () => {
  const updates: tuning.ExperimentUpdate[] = [];
  const spec = {
    ...{
      name: 'whole',
      limits: { maxTrials: 5, parallelTrials: 2 },
      training: { trialTokens: 1000, finalScale: 2 },
    },
    baseModels: [
      { architecture: 'opt', model: 'base-opt' },
      { architecture: 'bloom', model: 'base-bloom' },
    ],
  };
  const created = await submit(spec);
  expect(created).toMatchObject({ name: 'whole', trialsTotal: 0, modelVersion: '' });
  for await (const update of platform.experiments.stream('watchExperiment', { name: 'whole' }))
    updates.push(update);
  const last = updates[updates.length - 1].experiment!;
  expect(last, last.reason).toMatchObject({
    state: ExperimentState.EXPERIMENT_STATE_SUCCEEDED,
    trialsSucceeded: 5,
    trialsTotal: 5,
    trialsRunning: 0,
  });
  expect(updates.some(({ trials }) => trials.some((t) => t.measurements.length === 1))).toBe(true);

  const trials = await trialsOf('whole');
  expect(trials.map(({ number, attempt, state }) => [number, attempt, state])).toEqual(
    Array.from({ length: 6 }, (_, i) => [i, 1, TrialState.TRIAL_STATE_SUCCEEDED]),
  );
  const best = trials.slice(0, 5).reduce((a, b) => (a.objective! <= b.objective! ? a : b));
  expect(last).toMatchObject({ bestTrial: best.number, bestObjective: best.objective });
  const { trials: optimal } = await platform.experiments.call('listOptimalTrials', { experiment: 'whole' });
  expect(optimal.map(({ number }) => number)).toEqual([best.number]);
  const final = trials[5];
  expect(final).toMatchObject({
    kind: TrialKind.TRIAL_KIND_FINAL,
    parameters: best.parameters,
    totalTokens: 1000,
  });
  expect(final.objective).toBeUndefined();
  expect(best.measurements.map(({ step }) => step)).toEqual([1, 2, 3]);

  const model = await platform.models.call('getModel', { name: last.modelVersion });
  const base = await platform.models.call('getModel', {
    name: `base-${best.parameters['architecture'].text}`,
  });
  expect(model).toMatchObject({
    ...{
      name: 'whole',
      kind: tuning.ModelKind.MODEL_KIND_TUNED,
      state: tuning.ModelState.MODEL_STATE_REGISTERED,
    },
    ...{
      promoted: true,
      basePrefix: '',
      family: base.family,
      tokenizer,
      evaluation: `evaluations/${base.version}`,
    },
    lineage: {
      ...{
        experiment: 'whole',
        trial: 5,
        baseModel: base.name,
        baseVersion: base.version,
        seed: 1,
        tokens: 1000,
      },
      ...{ dataset: 'demo-data', datasetVersion: 'd1', features: 'demo', featuresVersion: 'f1' },
      ...{ parameters: best.parameters, tokensPerSecond: 100, codeVersion: '0.1.0' },
    },
  });
  expect(await platform.models.call('getModel', { name: '' })).toEqual(model);
  await vi.waitFor(() => {
    expect(registered).toContainEqual({ name: 'whole', version: model.version });
    expect([...new Set(finished)].filter((f) => f.startsWith('whole/'))).toHaveLength(6);
  }, patience);

  // Submitting it again gives what is there; another spec of that name does not.
  expect(await submit(spec)).toEqual(last);
  await expect(submit({ ...spec, seed: 2 })).rejects.toBeInstanceOf(AlreadyExists);
  expect(runner.started.filter((job) => job.startsWith('whole-'))).toHaveLength(6);
});

it('refuses a spec with every violation, and forgets nothing half-made', async () => {
  const error = await submit({
    name: 'refused',
    baseModels: [
      { architecture: 'opt', model: 'base-opd' },
      { architecture: 'bloom', model: 'base-bloom' },
    ],
    model: 'base-opt',
  }).catch((e) => e);
  expect(error).toBeInstanceOf(InvalidArgument);
  expect((error as InvalidArgument).violations).toEqual([
    {
      field: 'baseModels[0].model',
      description: 'expected a base model, got "base-opd"; did you mean "base-opt"?',
    },
    { field: 'model', description: 'expected a name of its own, got "base-opt", which is a base model' },
  ]);
  await expect(get('refused')).rejects.toBeInstanceOf(NotFound);
  await expect(trialsOf('refused')).rejects.toBeInstanceOf(NotFound);
});

it('a request id makes one experiment and one trial', async () => {
  const spec = experimentSpec({ name: 'once', features: 'unborn', limits: { maxTrials: 2 } });
  const [first, second] = await Promise.all(
    [0, 1].map(() => platform.experiments.call('createExperiment', { spec, requestId: 'a' })),
  );
  expect(first.createTime).toEqual(second.createTime);
  await expect(
    platform.experiments.call('createExperiment', { spec: { ...spec, name: 'twice' }, requestId: 'a' }),
  ).rejects.toBeInstanceOf(InvalidArgument);
  const enqueue = (requestId: string) =>
    platform.experiments.call('enqueueTrial', {
      ...{ experiment: 'once', parameters: { learningRate: { number: 1e-3 } }, requestId },
    });
  const [{ number }, repeated] = await Promise.all([enqueue('b'), enqueue('b')]);
  expect(repeated.number).toBe(number);
  expect((await enqueue('c')).number).toBe(1);
  await expect(enqueue('d')).rejects.toBeInstanceOf(FailedPrecondition);
  sets.set('unborn', { ...sets.get('demo'), name: 'unborn' });
  expect(await reached('once', ExperimentState.EXPERIMENT_STATE_SUCCEEDED)).toMatchObject({ trialsTotal: 2 });
  await expect(enqueue('e')).rejects.toBeInstanceOf(FailedPrecondition);
});

describe('features', () => {
  it('are waited for', async () => {
    await submit({ name: 'waits', features: 'later', limits: { maxTrials: 1 } });
    const waiting = await get('waits');
    expect(waiting).toMatchObject({
      state: ExperimentState.EXPERIMENT_STATE_WAITING,
      reason: 'waits for the feature set "later"',
    });
    const enqueued = { experiment: 'waits', parameters: { learningRate: { number: 2e-3 } } };
    await platform.experiments.call('enqueueTrial', enqueued);
    await expect(
      platform.experiments.call('enqueueTrial', { ...enqueued, parameters: { learningRate: { number: 7 } } }),
    ).rejects.toThrow('parameters.learningRate');
    sets.set('later', { ...sets.get('demo'), name: 'later' });
    const { name: topic, encode } = topics.featuresReady;
    const payload = encode({ name: 'later', version: 'f1', prefix: 'p' });
    await platform.bus.publish([{ id: randomUUID(), topic, key: 'later', payload, headers: {} }]);
    await reached('waits', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    expect((await trialsOf('waits'))[0].parameters).toEqual({ learningRate: { number: 2e-3 } });
  });

  it.each([
    [
      'lost',
      { state: common.BuildState.BUILD_STATE_FAILED, failure: 'no rows' },
      'its features failed: no rows',
    ],
    [
      'foreign',
      { state: common.BuildState.BUILD_STATE_READY, tokenized: [] },
      'its features failed: feature set "foreign" was not made for the tokenizer of base-opt; create one whose baseModels name it',
    ],
  ])('that are %s fail the experiment', async (name, set, reason) => {
    sets.set(name, set);
    await submit({ name: `with-${name}`, features: name });
    expect(await reached(`with-${name}`, ExperimentState.EXPERIMENT_STATE_FAILED)).toMatchObject({ reason });
  });
});

describe('trials that go wrong', () => {
  it('are told apart: infeasible at once, crashed after every attempt; the experiment goes on', async () => {
    const codes = [42, 44, 1];
    runner.train = async (context) => {
      const { number } = context.reference;
      if (number < codes.length) return codes[number];
      if (number === 3) {
        const state = TrialState.TRIAL_STATE_INFEASIBLE;
        await context.finish({ state, reason: 'InvalidConfiguration: loraRank is larger than the model' });
        return 43;
      }
      return usualTrainer(context);
    };
    await submit({ name: 'wrong', limits: { maxTrials: 5, maxAttempts: 2 } });
    const experiment = await reached('wrong', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    expect(experiment).toMatchObject({ trialsFailed: 4, trialsSucceeded: 1, bestTrial: 4 });
    expect((await trialsOf('wrong')).map(({ state, attempt, reason }) => [state, attempt, reason])).toEqual([
      [TrialState.TRIAL_STATE_INFEASIBLE, 1, 'OutOfMemory: the trainer ran out of memory'],
      [TrialState.TRIAL_STATE_INFEASIBLE, 1, 'Diverged: the loss is not finite'],
      [TrialState.TRIAL_STATE_FAILED, 2, 'Crashed: exit code 1 (2 attempts)'],
      [TrialState.TRIAL_STATE_INFEASIBLE, 1, 'InvalidConfiguration: loraRank is larger than the model'],
      [TrialState.TRIAL_STATE_SUCCEEDED, 1, ''],
      [TrialState.TRIAL_STATE_SUCCEEDED, 1, ''],
    ]);
  });

  it('end the experiment when they are too many, with what happened', async () => {
    runner.train = async () => 1;
    await submit({ name: 'hopeless', limits: { maxFailedTrials: 1, maxAttempts: 1 } });
    expect(await reached('hopeless', ExperimentState.EXPERIMENT_STATE_FAILED)).toMatchObject({
      reason: '2 trials failed, more than limits.maxFailedTrials (1); 2 of 2 with: Crashed: exit code 1',
      trialsTotal: 2,
    });
  });

  it('are tried again when no trainer could be started', async () => {
    runner.failNext = new Unavailable('no trainer can be started: fork failed');
    await submit({ name: 'restarted', limits: { maxTrials: 1 } });
    await reached('restarted', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    expect((await trialsOf('restarted'))[0].attempt).toBe(2);
  });

  it('a failed evaluation still registers the model and says so', async () => {
    evaluationFailure = 'no test rows';
    await submit({ name: 'unmeasured', limits: { maxTrials: 1 }, seed: 5 });
    const experiment = await reached('unmeasured', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    expect(experiment.reason).toBe(
      `${experiment.modelVersion} is registered without metrics: its evaluation failed: no test rows`,
    );
  });

  it('a final training whose model cannot be loaded fails the experiment', async () => {
    runner.train = async (context) => {
      const { assignment, finish } = context;
      if (assignment.kind === TrialKind.TRIAL_KIND_SEARCH) return usualTrainer(context);
      const modelPrefix = `${assignment.outputPrefix}/model`;
      await objects.put(`${modelPrefix}/config.json`, '{"model_type":"gpt2"}');
      await finish({ state: TrialState.TRIAL_STATE_SUCCEEDED, modelPrefix });
      return 0;
    };
    await submit({ name: 'unusable', limits: { maxTrials: 1 } });
    const { reason } = await reached('unusable', ExperimentState.EXPERIMENT_STATE_FAILED);
    expect(reason).toContain('the trained model cannot be used: model_type: expected llama, opt or bloom');
  });
});

describe('trainers', () => {
  it('must show their own token, and own the trial', async () => {
    const { train, release, waiting } = held();
    runner.train = train;
    await submit({ name: 'owned', limits: { maxTrials: 1 } });
    await vi.waitFor(() => expect(waiting).toHaveLength(1), patience);
    const [{ reference: trial, token, assignment }] = waiting;
    expect(assignment).toMatchObject({
      ...{ kind: TrialKind.TRIAL_KIND_SEARCH, architecture: 'opt', featuresPrefix: 'features/demo/f1/t' },
      ...{ trainSplits: ['train'], validationSplit: 'validation', totalTokens: 100_000, leaseSeconds: 30 },
      ...{ outputPrefix: 'trials/owned/0', seed: 1, training: { trialTokens: 100_000, method: 'full' } },
    });
    for (const wrong of ['', 'guess', `${token}x`])
      await expect(platform.trials.call('heartbeat', { trial }, { token: wrong })).rejects.toBeInstanceOf(
        PermissionDenied,
      );
    await expect(
      platform.trials.call('heartbeat', { trial: { ...trial, attempt: 2 } }, { token }),
    ).rejects.toBeInstanceOf(PermissionDenied);
    for (const unknown of [{ number: 9 }, { experiment: 'nobody' }])
      await expect(
        platform.trials.call('heartbeat', { trial: { ...trial, ...unknown } }, { token }),
      ).rejects.toBeInstanceOf(NotFound);
    await expect(
      platform.trials.call('finishTrial', { trial, state: TrialState.TRIAL_STATE_QUEUED }, { token }),
    ).rejects.toBeInstanceOf(InvalidArgument);
    const elsewhere = { trial, state: TrialState.TRIAL_STATE_SUCCEEDED, modelPrefix: 'trials/other/0/model' };
    await expect(platform.trials.call('finishTrial', elsewhere, { token })).rejects.toBeInstanceOf(
      InvalidArgument,
    );

    // A repeated measurement is one measurement, completed by what the repetition adds.
    const measurement = { step: 7, tokens: 50, trainLoss: 2, tokensPerSecond: 10 };
    for (const m of [measurement, measurement, { ...measurement, objective: 1.5 }])
      await platform.trials.call('heartbeat', { trial, measurements: [m] }, { token });
    const [row] = await trialsOf('owned');
    expect(row).toMatchObject({ objective: 1.5, bestTokens: 50, step: 7, tokensPerSecond: 10 });
    expect(row.measurements).toMatchObject([{ step: 7, trainLoss: 2, objective: 1.5 }]);

    // NaN, ±Infinity, 0 and nothing are five things.
    const odd = [Number.NaN, Infinity, -Infinity, 2, undefined].map((objective, i) => ({
      ...{ step: 8 + i, tokens: 50, examples: 5, values: { 'objective/a': objective ?? 0 } },
      ...(objective === undefined ? {} : { objective }),
    }));
    await platform.trials.call('heartbeat', { trial, measurements: odd }, { token });
    const [{ measurements, objective: best }] = await trialsOf('owned');
    expect(measurements.slice(1).map(({ objective }) => objective)).toEqual(
      odd.map(({ objective }) => objective),
    );
    expect(measurements.slice(1).map(({ values }) => values['objective/a'])).toEqual([
      ...[Number.NaN, Infinity, -Infinity, 2, 0],
    ]);
    expect(best).toBe(1.5);
    const backwards = { trial, measurements: [{ ...measurement, step: 3 }] };
    await expect(platform.trials.call('heartbeat', backwards, { token })).rejects.toBeInstanceOf(
      FailedPrecondition,
    );
    const impossible = { trial, measurements: [{ ...measurement, step: 20, elapsedSeconds: Number.NaN }] };
    await expect(platform.trials.call('heartbeat', impossible, { token })).rejects.toThrow(
      'measurements[0].elapsedSeconds: expected a number of at least 0, got NaN',
    );

    const report = {
      trial,
      state: TrialState.TRIAL_STATE_SUCCEEDED,
      objective: 1.25,
      tokens: 90,
      bestTokens: 60,
    };
    await platform.trials.call('finishTrial', report, { token });
    await platform.trials.call('finishTrial', { ...report, objective: 9 }, { token });
    await expect(platform.trials.call('heartbeat', { trial }, { token })).rejects.toBeInstanceOf(Aborted);
    release();
    await reached('owned', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    const trials = await trialsOf('owned');
    expect(trials[0]).toMatchObject({ objective: 1.25, tokens: 90, bestTokens: 60 });
    expect(trials[1]).toMatchObject({ kind: TrialKind.TRIAL_KIND_FINAL, totalTokens: 60 });
  });

  it('are told to stop when the experiment is cancelled, which ends its trials', async () => {
    const { train, waiting } = held();
    runner.train = train;
    await submit({ name: 'cancelled', limits: { parallelTrials: 2 } });
    await platform.experiments.call('enqueueTrial', {
      experiment: 'cancelled',
      parameters: { learningRate: { number: 1e-3 } },
    });
    await vi.waitFor(() => expect(waiting).toHaveLength(2), patience);
    const cancelled = await platform.experiments.call('cancelExperiment', { name: 'cancelled' });
    expect(cancelled.state).toBe(ExperimentState.EXPERIMENT_STATE_CANCELLED);
    const [{ reference: trial, token }] = waiting;
    expect(await platform.trials.call('heartbeat', { trial }, { token })).toMatchObject({
      directive: Directive.DIRECTIVE_STOP,
      reason: 'the experiment has ended: cancelled',
    });
    await platform.trials.call('finishTrial', { trial, state: TrialState.TRIAL_STATE_STOPPED }, { token });
    await vi.waitFor(async () => {
      for (const { state } of await trialsOf('cancelled'))
        expect(state).toBe(TrialState.TRIAL_STATE_CANCELLED);
      expect((await runner.list()).filter(({ name }) => name.startsWith('cancelled-'))).toEqual([]);
    }, patience);
    expect((await platform.experiments.call('cancelExperiment', { name: 'cancelled' })).state).toBe(
      ExperimentState.EXPERIMENT_STATE_CANCELLED,
    );
    for (const method of ['pauseExperiment', 'resumeExperiment'] as const)
      await expect(platform.experiments.call(method, { name: 'cancelled' })).rejects.toBeInstanceOf(
        FailedPrecondition,
      );
  });

  it('are stopped by the pruner with its reason, and their best objective counts after whole trials', async () => {
    runner.train = async (context) => {
      const { assignment, reference, heartbeat, finish } = context;
      if (assignment.kind === TrialKind.TRIAL_KIND_FINAL) return usualTrainer(context);
      const objective = reference.number === 0 ? 9 : 2;
      for (let step = 1; step <= 4; step++) {
        const { directive } = await heartbeat({ step, tokens: 10 * step, examples: step, objective });
        if (directive !== Directive.DIRECTIVE_STOP) continue;
        await finish({ state: TrialState.TRIAL_STATE_STOPPED, objective, step, tokens: 10 * step });
        return 0;
      }
      await finish({
        state: TrialState.TRIAL_STATE_SUCCEEDED,
        objective,
        step: 4,
        tokens: 40,
        bestTokens: 40,
      });
      return 0;
    };
    await submit({
      name: 'pruned',
      limits: { maxTrials: 2 },
      earlyStopping: { name: 'threshold', settings: { upper: 5, warmUp: 2 } },
    });
    const experiment = await reached('pruned', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    expect(experiment).toMatchObject({ trialsSucceeded: 2, bestTrial: 1, bestObjective: 2 });
    const [stopped, whole] = await trialsOf('pruned');
    expect(stopped).toMatchObject({
      ...{ state: TrialState.TRIAL_STATE_STOPPED, objective: 9, step: 2 },
      reason: 'Pruned: threshold: objective 9 at 2 examples: expected at most 5',
    });
    expect(whole).toMatchObject({ state: TrialState.TRIAL_STATE_SUCCEEDED, step: 4 });
    expect(whole.measurements.map(({ examples }) => examples)).toEqual([1, 2, 3, 4]);
  });

  it('train folds one by one, none twice, and are stopped when they lose on the folds of the best', async () => {
    const began: string[] = [];
    const assigned: tuning.Assignment[] = [];
    const losses = (trial: number, fold: number) => 1 + trial + fold / 10;
    runner.train = async (context) => {
      const { assignment, reference, heartbeat, finish } = context;
      assigned.push(assignment);
      if (assignment.kind === TrialKind.TRIAL_KIND_FINAL) return usualTrainer(context);
      const folds = [...assignment.finishedFolds];
      const { number, attempt } = reference;
      for (let fold = folds.length; fold < 4; fold++) {
        began.push(`${number}/${attempt}: ${fold}`);
        const step = 2 * fold + 1;
        await heartbeat({ step, tokens: 100 * step, fold });
        if (number === 0 && attempt === 1 && fold === 2) return 1;
        const objective = losses(number, fold);
        const end = { step: step + 1, tokens: 100 * (step + 1), examples: step + 1, elapsedSeconds: step };
        folds.push({ ...end, objective, bestTokens: 150 + fold });
        const values = { 'objective/joy': objective, 'objective/fear': 2 };
        const { directive } = await heartbeat({ ...end, objective, fold, values }, folds);
        if (directive === Directive.DIRECTIVE_STOP) {
          await finish({ ...end, folds, state: TrialState.TRIAL_STATE_STOPPED });
          return 0;
        }
      }
      await finish({ step: 8, tokens: 800, folds, state: TrialState.TRIAL_STATE_SUCCEEDED });
      return 0;
    };
    await submit({
      ...{ name: 'folded', limits: { maxTrials: 2 }, training: { folds: 4, trialTokens: 200 } },
      earlyStopping: { name: 'wilcoxon', settings: { pThreshold: 0.3 }, compareAll: true },
    });
    await reached('folded', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    expect(began).toEqual(['0/1: 0', '0/1: 1', '0/1: 2', '0/2: 2', '0/2: 3', '1/1: 0', '1/1: 1']);
    const search = { validationSplit: '', trainSplits: ['train'], totalTokens: 800 };
    // The winner's folds were at their best after 150 to 153 tokens, 151.5 on average.
    expect(assigned).toMatchObject([
      { ...search, finishedFolds: [], training: { folds: 4 } },
      {
        ...search,
        finishedFolds: [
          { step: 2, objective: 1 },
          { step: 4, tokens: 400 },
        ],
      },
      { ...search, finishedFolds: [] },
      { training: { folds: 0 }, validationSplit: '', totalTokens: 152, finishedFolds: [] },
    ]);
    const [whole, stopped] = await trialsOf('folded');
    expect(whole).toMatchObject({
      state: TrialState.TRIAL_STATE_SUCCEEDED,
      attempt: 2,
      tokens: 800,
      bestTokens: 152,
    });
    expect(whole.folds.map(({ objective }) => objective)).toEqual([1, 1.1, 1.2, 1.3]);
    expect(whole.objective).toBeCloseTo(1.15, 12);
    // The sample variance of 1, 1.1, 1.2 and 1.3 is 1/60.
    expect(whole.objectiveError).toBeCloseTo(Math.sqrt(1 / 60 / 4), 12);
    expect(whole.measurements.map(({ step, fold }) => [step, fold])).toEqual(
      [0, 0, 1, 1, 2, 2, 3, 3].map((fold, i) => [i + 1, fold]),
    );
    const reason = 'Pruned: wilcoxon: mean 2.05 over 2 folds against 1.15 of trial 0, p = 0.25 over 2';
    expect(stopped).toMatchObject({ state: TrialState.TRIAL_STATE_STOPPED, reason, tokens: 400 });
    expect(stopped.objective).toBeCloseTo(2.05, 12);
    const insights = platform.host.channel.client<tuning.InsightServiceClient>('InsightService');
    const { best, front } = await insights.call('getInsight', { experiment: 'folded' });
    expect(best).toMatchObject({ best: 0, runnerUp: 1, shared: 2, p: 0.25, over: 'folds' });
    expect(best!.difference).toBeCloseTo(1, 12);
    expect(front!.objectives).toEqual(['fear', 'joy']);
    expect(front!.points.flatMap(({ values }) => values).map((v) => v.toFixed(6))).toEqual(
      [2, 1.15, 2, 2.05].map((v) => v.toFixed(6)),
    );
    const explained = await insights.call('explainTrial', { experiment: 'folded', number: 1 });
    expect(explained.end).toMatchObject({ reason, rank: 2 });
  });

  it('are paused at a rung with their checkpoint, and go on when they are promoted', async () => {
    const rungs = new Map<number, number>();
    runner.train = async (context) => {
      const { assignment, reference, heartbeat, finish, signal } = context;
      if (assignment.kind === TrialKind.TRIAL_KIND_FINAL) return usualTrainer(context);
      const { number } = reference;
      const objective = 5 - number;
      for (let step = (rungs.get(number) ?? 0) + 1; step <= 2; step++) {
        const { reason } = await heartbeat({ step, tokens: 10 * step, examples: 5 + 5 * step, objective });
        rungs.set(number, step);
        if (!reason.startsWith('Paused: asha')) continue;
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        return 75;
      }
      await finish({
        state: TrialState.TRIAL_STATE_SUCCEEDED,
        objective,
        step: 2,
        tokens: 20,
        bestTokens: 20,
      });
      return 0;
    };
    const settings = { minExamples: 10, warmUp: 0, reductionFactor: 2 };
    await submit({
      name: 'halved',
      limits: { maxTrials: 4, parallelTrials: 2 },
      searchAlgorithm: { name: 'random' },
      earlyStopping: { name: 'asha', settings, variant: 'promote', compareAll: true },
    });
    await reached('halved', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    const trials = (await trialsOf('halved')).slice(0, 4);
    const { TRIAL_STATE_STOPPED, TRIAL_STATE_SUCCEEDED } = TrialState;
    expect(trials[3]).toMatchObject({ state: TRIAL_STATE_SUCCEEDED, step: 2 });
    expect(trials[0]).toMatchObject({
      ...{ state: TRIAL_STATE_STOPPED, step: 1 },
      reason: 'Pruned: it never was among the best of its rung',
    });
    // Whoever went beyond the rung after a pause did so in another attempt, without training a step twice.
    for (const { attempt, step } of trials) expect(attempt).toBeLessThanOrEqual(step);
    expect(trials.reduce((sum, { measurements }) => sum + measurements.length, 0)).toBe(
      trials.reduce((sum, { step }) => sum + step, 0),
    );
  });

  it('are asked for a checkpoint when the experiment is paused', async () => {
    const { train, release, waiting } = held();
    runner.train = train;
    await submit({ name: 'resting', limits: { maxTrials: 1 } });
    await vi.waitFor(() => expect(waiting).toHaveLength(1), patience);
    await platform.experiments.call('pauseExperiment', { name: 'resting' });
    const [{ reference: trial, token }] = waiting;
    const beat = (checkpoint: string) => platform.trials.call('heartbeat', { trial, checkpoint }, { token });
    const { DIRECTIVE_CHECKPOINT, DIRECTIVE_CONTINUE } = Directive;
    expect((await beat('')).directive).toBe(DIRECTIVE_CHECKPOINT);
    expect((await beat('')).directive).toBe(DIRECTIVE_CHECKPOINT);
    expect((await beat('trials/resting/0/checkpoints/step-1')).directive).toBe(DIRECTIVE_CONTINUE);
    await platform.experiments.call('resumeExperiment', { name: 'resting' });
    release();
    await reached('resting', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
  });

  it('go on while the experiment is paused; no other starts until it is resumed', async () => {
    const { train, release, waiting } = held();
    runner.train = train;
    await submit({ name: 'paused', limits: { maxTrials: 2 } });
    await vi.waitFor(() => expect(waiting).toHaveLength(1), patience);
    await platform.experiments.call('pauseExperiment', { name: 'paused' });
    release();
    await vi.waitFor(async () => {
      expect(await get('paused')).toMatchObject({
        state: ExperimentState.EXPERIMENT_STATE_PAUSED,
        trialsSucceeded: 1,
        trialsTotal: 1,
      });
    }, patience);
    await platform.experiments.call('resumeExperiment', { name: 'paused' });
    expect(await reached('paused', ExperimentState.EXPERIMENT_STATE_SUCCEEDED)).toMatchObject({
      trialsTotal: 2,
    });
  });
});

it('gives a search more room, tells what it costs, and learns from one that is over', async () => {
  const cost = { gpusPerTrial: 2, pricePerGpuHour: 10 };
  const training = { trialTokens: 1000 };
  const spec = experimentSpec({ name: 'roomy', limits: { maxTrials: 2 }, cost, training });
  const before = await platform.experiments.call('estimateExperiment', { spec });
  expect(before).toMatchObject({ trials: 2, tokens: 2000, limitedBy: 'limits.maxTrials' });
  expect(before.gpuHours).toBeGreaterThan(0);
  expect(before.cost).toBeCloseTo(10 * before.gpuHours, 9);
  const { train, release, waiting } = held();
  runner.train = train;
  await platform.experiments.call('createExperiment', { spec });
  await vi.waitFor(() => expect(waiting).toHaveLength(1), patience);
  const raise = (limits: Partial<tuning.Limits>) =>
    platform.experiments.call('raiseLimits', { name: 'roomy', limits });
  expect((await raise({ maxTrials: 4, parallelTrials: 2 })).spec?.limits).toMatchObject({
    ...{ maxTrials: 4, parallelTrials: 2, maxAttempts: 3 },
  });
  await vi.waitFor(() => expect(waiting).toHaveLength(2), patience);
  await expect(raise({ maxTrials: 3, parallelTrials: 1 })).rejects.toThrow('limits.maxTrials');
  expect(await platform.experiments.call('estimateExperiment', { name: 'roomy' })).toMatchObject({
    trials: 4,
  });
  // What was accepted is still the same experiment.
  expect((await platform.experiments.call('createExperiment', { spec })).name).toBe('roomy');
  release();
  const ended = await reached('roomy', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
  expect(ended).toMatchObject({ trialsTotal: 4 });
  expect(ended.cost).toBeCloseTo(10 * ended.gpuHours, 9);
  await expect(raise({ maxTrials: 9 })).rejects.toBeInstanceOf(FailedPrecondition);
  const left = await platform.experiments.call('estimateExperiment', { name: 'roomy' });
  expect(left).toMatchObject({ trials: 0, gpuHours: 0, basis: tuning.EstimateBasis.ESTIMATE_BASIS_MEASURED });
  await expect(platform.experiments.call('estimateExperiment', {})).rejects.toBeInstanceOf(InvalidArgument);
  const next = experimentSpec({
    ...{ name: 'next', limits: { maxTrials: 3 }, cost, training },
    warmStart: [{ experiment: 'roomy', best: 0 }],
  });
  const expected = await platform.experiments.call('estimateExperiment', { spec: next });
  expect(expected).toMatchObject({ trials: 3, measuredTrials: 4 });
  expect(expected.gpuHours / ended.gpuHours).toBeCloseTo(3 / 4, 2);

  runner.train = usualTrainer;
  const [winner] = (await platform.experiments.call('listOptimalTrials', { experiment: 'roomy' })).trials;
  await submit({
    ...{ name: 'heir', limits: { maxTrials: 2 }, training },
    warmStart: [{ experiment: 'roomy', best: 1 }],
  });
  await reached('heir', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
  expect((await trialsOf('heir'))[0].parameters).toEqual(winner.parameters);
  await submit({
    ...{ name: 'grandchild', limits: { maxTrials: 13 }, training },
    searchAlgorithm: { name: 'tpe', settings: { startUpTrials: 5, costPower: 1 } },
    warmStart: [
      { experiment: 'roomy', best: 0 },
      { experiment: 'heir', best: 0 },
    ],
  });
  await reached('grandchild', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
  const insights = platform.host.channel.client<tuning.InsightServiceClient>('InsightService');
  for (const number of [0, 12]) {
    const trial = { experiment: 'grandchild', number };
    expect((await insights.call('explainTrial', trial)).suggestion).toMatchObject({
      ...{ measured: 6 + number, reproduced: true },
    });
  }
  const orphan = submit({
    ...{ name: 'orphan', baseModels: [{ architecture: 'x', model: 'base-x' }] },
    warmStart: [{ experiment: 'nobody', best: 0 }],
  });
  await expect(orphan).rejects.toThrow(/baseModels\[0\].model.*warmStart\[0\].experiment/);
});

it('lists experiments and trials in pages', async () => {
  const all: string[] = [];
  for (let pageToken = ''; ; ) {
    const page = await platform.experiments.call('listExperiments', { pageSize: 3, pageToken });
    expect(page.experiments.length).toBeLessThanOrEqual(3);
    all.push(...page.experiments.map(({ name }) => name));
    pageToken = page.nextPageToken;
    if (pageToken === '') break;
  }
  expect(all).toEqual([...all].sort());
  expect(all).toContain('whole');
  const request = { experiment: 'whole', pageSize: 4, withoutMeasurements: true };
  const page = await platform.experiments.call('listTrials', request);
  const rest = await platform.experiments.call('listTrials', { ...request, pageToken: page.nextPageToken });
  expect([...page.trials, ...rest.trials].map(({ number }) => number)).toEqual([0, 1, 2, 3, 4, 5]);
  expect(page.trials[0].measurements).toEqual([]);
});

describe('a killed platform goes on where it was', () => {
  /** Trains ten steps with a checkpoint after each, one token a step; stands still at step 5 until it is let go. */
  function stepwise(name: string, go: { on: boolean }, steps: string[]): Trainer {
    return async (context) => {
      const { assignment, reference, signal, heartbeat, finish } = context;
      if (assignment.kind === TrialKind.TRIAL_KIND_FINAL) return usualTrainer(context);
      const checkpoint = `${assignment.outputPrefix}/checkpoints/step`;
      const done = (await objects.exists(checkpoint))
        ? Number(Buffer.from(await objects.get(checkpoint)))
        : 0;
      for (let step = done + 1; step <= 10; step++) {
        await vi.waitFor(() => {
          signal.throwIfAborted();
          if (step > 5 && reference.number > 0 && !go.on) throw new Error('waits');
        }, patience);
        await heartbeat({ step, tokens: step });
        if (reference.experiment === name) steps.push(`${reference.number}:${step}`);
        await objects.put(checkpoint, String(step));
      }
      const objective = 1 + reference.number;
      await finish({
        state: TrialState.TRIAL_STATE_SUCCEEDED,
        objective,
        step: 10,
        tokens: 10,
        bestTokens: 10,
      });
      return 0;
    };
  }

  it.each([
    ['its trainers die with it and resume from their checkpoints', true],
    ['its trainers live on and are not started again', false],
  ])('%s', async (_, lose) => {
    const name = lose ? 'killed' : 'severed';
    const go = { on: false };
    const steps: string[] = [];
    runner.train = stepwise(name, go, steps);
    await submit({ name, limits: { maxTrials: 4, parallelTrials: 2 } });
    // Trial 0 has succeeded; 1 and 2 are in the middle.
    await vi.waitFor(async () => {
      expect((await get(name)).trialsSucceeded).toBe(1);
      expect(steps).toEqual(expect.arrayContaining(['1:5', '2:5']));
    }, patience);
    const before = (await trialsOf(name)).map(({ parameters }) => parameters);
    const port = Number(platform.host.address.split(':')[1]);
    await kill(platform);
    if (lose) runner.loseAll();
    platform = await start(runner, port);
    go.on = true;
    const experiment = await reached(name, ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    expect(experiment).toMatchObject({ trialsSucceeded: 4, trialsTotal: 4, trialsFailed: 0 });
    const trials = await trialsOf(name);
    expect(trials.slice(0, 3).map(({ parameters }) => parameters)).toEqual(before);
    const again = lose ? 2 : 1;
    expect(trials.map(({ attempt }) => attempt)).toEqual([1, again, again, 1, 1]);
    // No step was trained twice, so no trial was.
    expect([...new Set(steps)].sort()).toEqual([...steps].sort());
    expect(steps).toHaveLength(40);
    expect(trials[1].measurements.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it('also in the middle of the final training', async () => {
    const { train, release, waiting } = held();
    runner.train = (context) =>
      context.assignment.kind === TrialKind.TRIAL_KIND_FINAL ? train(context) : usualTrainer(context);
    await submit({ name: 'late', limits: { maxTrials: 1 } });
    await vi.waitFor(() => expect(waiting).toHaveLength(1), patience);
    const port = Number(platform.host.address.split(':')[1]);
    await kill(platform);
    release();
    platform = await start(runner, port);
    const experiment = await reached('late', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    expect(experiment.modelVersion).toMatch(/^late@/);
    expect((await trialsOf('late')).map(({ attempt }) => attempt)).toEqual([1, 1]);
  });
});

describe('trials that go on from each other', () => {
  const checkpoints = async (name: string) =>
    (await objects.list(`trials/${name}/`))
      .map(({ key }) => key)
      .filter((key) => key.includes('/checkpoints/'));

  it('are told from where, and their checkpoints stay as long as others need them', async () => {
    const told: string[] = [];
    runner.train = async (context) => {
      const { assignment, reference } = context;
      const { originPrefix, originTokens, lineageTokens, outputPrefix } = assignment;
      const there = originPrefix === '' || (await objects.exists(`${originPrefix}/step-1/manifest.json`));
      told.push([reference.number, originPrefix, originTokens, lineageTokens, there].join(' '));
      await objects.put(`${outputPrefix}/checkpoints/step-1/manifest.json`, '{}');
      if (reference.number !== 3) return usualTrainer(context);
      const reason = "LostOrigin: there is no checkpoint in the origin's folder";
      await context.finish({ state: TrialState.TRIAL_STATE_FAILED, reason });
      return 1;
    };
    await submit({
      ...{ name: 'lineages', searchAlgorithm: { name: 'pbt', settings: { population: 2 } } },
      ...{ limits: { maxTrials: 6, parallelTrials: 2, maxAttempts: 2 }, training: { trialTokens: 3000 } },
    });
    const experiment = await reached('lineages', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    const trials = await trialsOf('lineages');
    expect(trials.map(({ state, attempt }) => [state, attempt])).toEqual(
      trials.map(({ number }) =>
        number === 3 ? [TrialState.TRIAL_STATE_FAILED, 2] : [TrialState.TRIAL_STATE_SUCCEEDED, 1],
      ),
    );
    expect(trials[3].reason).toMatch(/^LostOrigin: .*2 attempts/);
    // Its place is the next trial's: lost checkpoints are no fault of the parameters.
    expect(trials.map(({ originTokens }) => originTokens)).toEqual(
      [0, 0, 3000, 3000, 3000, 6000, 9000].map((tokens, i) =>
        i === 6 ? trials[experiment.bestTrial!].originTokens + 3000 : tokens,
      ),
    );
    for (const { number, origin, originTokens, attempt } of trials) {
      const prefix = origin === undefined ? '' : `trials/lineages/${origin}/checkpoints`;
      const line = [number, prefix, originTokens, 9000, true].join(' ');
      expect(told.filter((one) => one === line)).toHaveLength(attempt);
    }
    expect(trials[6]).toMatchObject({ kind: TrialKind.TRIAL_KIND_FINAL, origin: experiment.bestTrial });
    expect(experiment.reason).toBe('');
    const model = await platform.models.call('getModel', { name: experiment.modelVersion });
    expect(model.lineage?.tokens).toBe(trials[6].originTokens + trials[6].tokens);
    // Those of the final trial are its trainer's to remove.
    await vi.waitFor(async () => {
      const left = (await checkpoints('lineages')).map((key) => Number(key.split('/')[2]));
      expect(left).toEqual([6]);
    }, patience);
  });

  it('leave nothing when the experiment is cancelled', async () => {
    runner.train = async (context) => {
      await objects.put(`${context.assignment.outputPrefix}/checkpoints/step-1/manifest.json`, '{}');
      return usualTrainer(context);
    };
    const then = held();
    const first = runner.train;
    runner.train = (context) => (context.reference.number < 2 ? first(context) : then.train(context));
    await submit({
      ...{ name: 'cut', searchAlgorithm: { name: 'pbt', settings: { population: 2 } } },
      ...{ limits: { maxTrials: 4 }, training: { trialTokens: 3000 } },
    });
    await vi.waitFor(() => expect(then.waiting).toHaveLength(1), patience);
    expect(await checkpoints('cut')).toHaveLength(2);
    await platform.experiments.call('cancelExperiment', { name: 'cut' });
    await vi.waitFor(async () => expect(await checkpoints('cut')).toEqual([]), patience);
  });
});

it('two services on one database do no harm to each other', async () => {
  const second = await start(runner);
  await submit({ name: 'shared', limits: { maxTrials: 12, parallelTrials: 6 } });
  const experiment = await reached('shared', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
  expect(experiment).toMatchObject({ trialsSucceeded: 12, trialsTotal: 12 });
  const jobs = runner.started.filter((job) => job.startsWith('shared-'));
  expect([...new Set(jobs)].sort()).toEqual([...jobs].sort());
  expect(jobs).toHaveLength(13);
  await second.host.close();
});

it('a silent trainer loses its trial to another attempt', async () => {
  await platform.host.close();
  platform = await start(runner, 0, 2);
  const { train, waiting } = held();
  runner.train = (context) =>
    context.reference.number === 0 && context.reference.attempt === 1
      ? train(context)
      : usualTrainer(context);
  await submit({ name: 'silent', limits: { maxTrials: 1 } });
  await reached('silent', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
  expect((await trialsOf('silent')).map(({ attempt }) => attempt)).toEqual([2, 1]);
  const [{ reference: trial, token, signal }] = waiting;
  expect(signal.aborted).toBe(true);
  await expect(platform.trials.call('heartbeat', { trial }, { token })).rejects.toBeInstanceOf(Aborted);
  await expect(
    platform.trials.call('finishTrial', { trial, state: TrialState.TRIAL_STATE_SUCCEEDED }, { token }),
  ).rejects.toBeInstanceOf(Aborted);
});

it('tells what an experiment taught, and why each trial came to be and ended', async () => {
  const insights = platform.host.channel.client<tuning.InsightServiceClient>('InsightService');
  runner.train = async (context) => {
    const { parameters, kind, totalTokens } = context.assignment;
    const rate = parameters['learningRate']?.number ?? 1e-3;
    if (kind === TrialKind.TRIAL_KIND_SEARCH && rate > 5e-3) {
      await context.finish({ state: TrialState.TRIAL_STATE_INFEASIBLE, reason: 'Diverged: NaN at step 3' });
      return 44;
    }
    const objective = 1 + (Math.log10(rate) + 3) ** 2;
    const values = { 'objective/joy': objective, 'objective/anger': objective + 1, other: 7 };
    await context.heartbeat({ step: 1, tokens: totalTokens / 4, objective, values });
    return usualTrainer(context);
  };
  const learningRate = {
    ...{ name: 'learningRate', condition: undefined, default: { number: 1e-2 } },
    double: { min: 1e-5, max: 1e-2, log: true, step: 0 },
  };
  await submit({
    name: 'taught',
    parameters: [learningRate],
    limits: { maxTrials: 14, parallelTrials: 2 },
    training: { trialTokens: 1000 },
  });
  await reached('taught', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
  const trials = await trialsOf('taught');
  const searched = trials.filter(({ kind }) => kind === TrialKind.TRIAL_KIND_SEARCH);
  const measured = searched.filter(({ objective }) => objective !== undefined);
  const best = measured.reduce((a, b) => (a.objective! <= b.objective! ? a : b));

  const found = await insights.call('getInsight', { experiment: 'taught' });
  expect(found).toMatchObject({ importanceMissing: '', interactions: [] });
  expect(found.importance).toMatchObject([{ parameter: 'learningRate', trials: measured.length }]);
  expect(found.importance[0].fanova).toBeCloseTo(1, 6);
  expect(found.dependence[0]).toMatchObject({ parameter: 'learningRate', log: true });
  expect(found.history.at(-1)?.best).toBe(best.objective);
  expect(found.slices[0].points.map(({ trial }) => trial)).toEqual(measured.map(({ number }) => number));
  expect(found.parallelCoordinates?.lines.at(-1)?.trial).toBe(best.number);
  expect(found.front?.objectives).toEqual(['anger', 'joy']);
  expect(found.front?.points.filter(({ optimal }) => optimal)).toMatchObject([{ trial: best.number }]);
  expect(found.front?.hypervolume).toBeGreaterThan(0);
  expect(found.best).toMatchObject({ best: best.number, shared: 2, p: 0.25 });

  const explain = (number: number) => insights.call('explainTrial', { experiment: 'taught', number });
  const { SuggestionSource } = tuning;
  const first = await explain(0);
  expect(first.suggestion).toMatchObject({
    source: SuggestionSource.SUGGESTION_SOURCE_DEFAULTS,
    measured: 0,
  });
  expect(first.end).toMatchObject({
    reason: 'Diverged: NaN at step 3',
    measured: measured.length,
    attempts: [{ attempt: 1, outcome: 'infeasible', reason: 'Diverged: NaN at step 3' }],
  });
  const late = await explain(13);
  expect(late.suggestion).toMatchObject({
    source: SuggestionSource.SUGGESTION_SOURCE_SAMPLER,
    reason: expect.stringMatching(/^tpe: from trials known then \(.* measured.*, the best being trial/),
    reproduced: true,
  });
  expect(late.end?.rank).toBeGreaterThanOrEqual(1);
  expect(late.end?.behind).toBeGreaterThanOrEqual(0);
  const final = await explain(14);
  expect(final.suggestion).toMatchObject({
    source: SuggestionSource.SUGGESTION_SOURCE_FINAL,
    reason: expect.stringContaining(`trial, ${best.number},`),
  });
  await expect(explain(15)).rejects.toThrow(NotFound);
  await expect(insights.call('getInsight', { experiment: 'nowhere' })).rejects.toThrow(NotFound);
});

it('learns from the trials of another program', async () => {
  const insights = platform.host.channel.client<tuning.InsightServiceClient>('InsightService');
  const trials = Array.from({ length: 12 }, (_, i) => ({
    parameters: { learningRate: { number: 10 ** (-4.9 + i / 4) } },
    state: TrialState.TRIAL_STATE_SUCCEEDED,
    objective: 1 + (i / 4 - 2) ** 2,
    ...{ step: 4, reason: '' },
  }));
  const request = { experiment: 'learnt', trials, requestId: 'import-learnt' };
  const teach = () => platform.experiments.call('importTrials', request);
  await expect(teach()).rejects.toThrow(NotFound);
  await submit({ name: 'learnt', features: 'later-learnt', limits: { maxTrials: 1 } });
  expect(await teach()).toEqual({ known: 12 });
  expect(await teach()).toEqual({ known: 12 });
  await expect(
    platform.experiments.call('importTrials', {
      experiment: 'learnt',
      trials: [{ ...trials[0], objective: undefined }],
    }),
  ).rejects.toThrow('trials[0].objective: expected a finite number');
  sets.set('later-learnt', { ...sets.get('demo'), name: 'later-learnt' });
  await reached('learnt', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
  // Out of start-up at its first trial, and near what was good there.
  const { suggestion } = await insights.call('explainTrial', { experiment: 'learnt', number: 0 });
  expect(suggestion).toMatchObject({ measured: 12, reproduced: true });
  expect(suggestion?.evidence[0].logRatio).toBeGreaterThan(0);
  await expect(platform.experiments.call('importTrials', { ...request, requestId: '' })).rejects.toThrow(
    'its search is over, its sampler has nothing left to learn',
  );
});

it('answers other calls while a thread computes an insight, once for the trials that have ended', async () => {
  const [gate, started, go] = ['gate.mjs', 'started', 'go'].map((name) => join(folder, name));
  await writeFile(
    gate,
    `import { existsSync, writeFileSync } from 'node:fs';
     writeFileSync(${JSON.stringify(started)}, '');
     while (!existsSync(${JSON.stringify(go)})) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);`,
  );
  threadArguments.push('--import', pathToFileURL(gate).href);
  const insights = platform.host.channel.client<tuning.InsightServiceClient>('InsightService');
  const call = () => insights.call('getInsight', { experiment: 'learnt' });
  const answered: string[] = [];
  const insight = call().then((found) => {
    answered.push('insight');
    return found;
  });
  await vi.waitFor(() => expect(existsSync(started)).toBe(true), patience);
  for (let i = 0; i < 3; i++) {
    await get('learnt');
    answered.push('experiment');
  }
  await writeFile(go, '');
  const found = await insight;
  expect(answered).toEqual(['experiment', 'experiment', 'experiment', 'insight']);
  expect(found).toMatchObject({ history: [{ trial: 0 }], importance: [] });
  expect(found.importanceMissing).toContain('expected at least 4 measured trials');
  // Another thread would wait for ever.
  await rm(go);
  expect(await call()).toEqual(found);
  threadArguments.splice(-2);
});

describe('the memory of trials', () => {
  const numbers = (name: string, min: number, max: number) => ({
    ...{ name, integer: { min, max, log: true, step: 0 }, condition: undefined, default: undefined },
  });
  const split = {
    ...{ rows: 100, tokens: 2400, answerTokens: 300, longest: 30, cut: 0 },
    files: [],
    rowsByTask: {},
  };
  const splits = ['train', 'validation'].map((name) => ({ split: name, ...split }));
  const spec = (name: string, memoryLimitMib: number) => ({
    ...{ name, features: 'measured-rows', limits: { maxTrials: 16, parallelTrials: 3 } },
    parameters: [...experimentSpec().parameters, numbers('batchTokens', 1024, 262_144)],
    training: { memoryLimitMib },
  });
  const limit = 240;
  const config = async () => parseConfig(JSON.parse(await readFile(join(folder, 'opt/config.json'), 'utf8')));

  it('is kept to by what is suggested, as far as the plan of their training tells', async () => {
    sets.set('measured-rows', {
      ...sets.get('demo'),
      name: 'measured-rows',
      tokenized: [{ tokenizer, baseModels: [], prefix: 'features/demo/f1/t', splits }],
    });
    const limits: number[] = [];
    runner.train = (context) => {
      limits.push(context.assignment.training?.memoryLimitMib ?? 0);
      return usualTrainer(context);
    };
    const forecast = new MemoryForecast(await config(), { longest: 30, answerShare: 0.125 });
    const tooLarge = async (name: string) => {
      await reached(name, ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
      return (await trialsOf(name)).filter(({ parameters }) => {
        const settings = trainingSettings.parse({ batchTokens: parameters['batchTokens']?.number });
        return forecast.shortage(settings, limit * 2 ** 20) !== undefined;
      });
    };
    await submit(spec('roomy-memory', 0));
    await submit(spec('tight-memory', limit));
    expect((await tooLarge('roomy-memory')).length).toBeGreaterThan(2);
    expect(await tooLarge('tight-memory')).toEqual([]);
    expect(new Set(limits)).toEqual(new Set([0, limit]));
    const insights = platform.host.channel.client<tuning.InsightServiceClient>('InsightService');
    const { suggestion } = await insights.call('explainTrial', { experiment: 'tight-memory', number: 14 });
    expect(suggestion?.reproduced).toBe(true);
  });

  it('is refused where nothing fits: at once, or when the rows are known', async () => {
    const refused =
      /training\.memoryLimitMib: expected at least \d+, which the smallest .*, got 100: the run would/;
    await expect(submit(spec('no-memory', 100))).rejects.toThrow(refused);
    await expect(
      platform.experiments.call('estimateExperiment', { spec: experimentSpec(spec('no-memory', 100)) }),
    ).rejects.toThrow(refused);
    await expect(submit({ ...spec('no-memory', 100), features: 'later-rows' })).rejects.toThrow(refused);
    const large = [...experimentSpec().parameters, numbers('batchTokens', 131_072, 262_144)];
    await submit({ ...spec('small-memory', limit), features: 'later-rows', parameters: large });
    sets.set('later-rows', { ...sets.get('measured-rows'), name: 'later-rows' });
    const { reason } = await reached('small-memory', ExperimentState.EXPERIMENT_STATE_FAILED);
    expect(reason).toMatch(/^its features failed: training\.memoryLimitMib: expected at least \d+, /);
    expect(await trialsOf('small-memory')).toEqual([]);
  });
});
