import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { AlreadyExists, FailedPrecondition, InvalidArgument, NotFound } from '@emotune/base';
import { topics } from '@emotune/events';
import { common, tuning } from '@emotune/proto';
import { describe, expect, it, vi } from 'vitest';
import { patience, testPlatform } from './test-platform.js';
import { anywhere, experimentSpec, held, usualTrainer } from './testing.js';

const { version } = createRequire(import.meta.url)('../package.json') as { version: string };

const { ExperimentState, TrialKind, TrialState } = tuning;
const platform = await testPlatform();
const { get, reached, runner, sets, submit, trialsOf } = platform;

it('searches, retrains the winner, stores, evaluates and registers it with its lineage', async () => {
  const updates: tuning.ExperimentUpdate[] = [];
  const spec = {
    name: 'whole',
    limits: { maxTrials: 5, parallelTrials: 2 },
    training: { trialTokens: 1000, finalScale: 2 },
    baseModels: [
      { architecture: 'opt', model: 'base-opt', ...anywhere },
      { architecture: 'bloom', model: 'base-bloom', ...anywhere },
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
    name: `base-${best.parameters['architecture']}`,
  });
  expect(model).toMatchObject({
    name: 'whole',
    kind: tuning.ModelKind.MODEL_KIND_TUNED,
    state: tuning.ModelState.MODEL_STATE_REGISTERED,
    promoted: true,
    basePrefix: '',
    family: base.family,
    tokenizer: platform.tokenizer,
    evaluation: `evaluations/${base.version}`,
    lineage: {
      experiment: 'whole',
      trial: 5,
      baseModel: base.name,
      baseVersion: base.version,
      seed: 1,
      tokens: 1000,
      dataset: 'demo-data',
      datasetVersion: 'd1',
      features: 'demo',
      featuresVersion: 'f1',
      parameters: best.parameters,
      tokensPerSecond: 100,
      codeVersion: version,
    },
  });
  expect(await platform.models.call('getModel', { name: '' })).toEqual(model);
  await vi.waitFor(() => {
    expect(platform.registered).toContainEqual({ name: 'whole', version: model.version });
    expect([...new Set(platform.finished)].filter((f) => f.startsWith('whole/'))).toHaveLength(6);
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
      { architecture: 'opt', model: 'base-opd', ...anywhere },
      { architecture: 'bloom', model: 'base-bloom', ...anywhere },
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
  const enqueue = async (requestId: string, learningRate = 1e-3) => {
    const parameters = { learningRate };
    const { trial, added } = await platform.experiments.call('enqueueTrial', {
      experiment: 'once',
      parameters,
      requestId,
    });
    return { number: trial?.number, added };
  };
  const [first0, repeated] = await Promise.all([enqueue('b'), enqueue('b')]);
  expect(repeated).toEqual(first0);
  expect(await enqueue('c', 2e-3)).toEqual({ number: 1, added: true });
  expect(await enqueue('again')).toEqual({ number: first0.number, added: false });
  await expect(enqueue('d', 3e-3)).rejects.toBeInstanceOf(FailedPrecondition);
  sets.set('unborn', { ...sets.get('demo'), name: 'unborn' });
  expect(await reached('once', ExperimentState.EXPERIMENT_STATE_SUCCEEDED)).toMatchObject({ trialsTotal: 2 });
  await expect(enqueue('e')).rejects.toBeInstanceOf(FailedPrecondition);
});

it('a finite space that is used up ends the search, and says so before and after', async () => {
  const flag = (name: string) => ({ name, categorical: { values: [true, false] } });
  const spec = {
    name: 'used-up',
    parameters: [flag('lora.dora') as tuning.Parameter, flag('rewarm') as tuning.Parameter],
    training: { trialTokens: 1000, method: 'lora' },
    limits: { maxTrials: 9, parallelTrials: 3 },
  };
  const ahead = await platform.experiments.call('estimateExperiment', { spec: experimentSpec(spec) });
  expect(ahead).toMatchObject({ trials: 4, limitedBy: 'parameters' });
  await submit(spec);
  expect(await reached('used-up', ExperimentState.EXPERIMENT_STATE_SUCCEEDED)).toMatchObject({
    trialsTotal: 4,
    reason: 'the search space is used up: all of its 4 combinations were tried',
  });
  const searched = (await trialsOf('used-up')).filter(({ kind }) => kind === TrialKind.TRIAL_KIND_SEARCH);
  expect(new Set(searched.map(({ parameters }) => JSON.stringify(parameters))).size).toBe(4);
});

describe('deleting', () => {
  const remove = (name: string) => platform.experiments.call('deleteExperiment', { name });

  it('an experiment takes its trials and files with it, leaves its models, and frees its name', async () => {
    await submit({ name: 'gone', limits: { maxTrials: 1 } });
    await expect(remove('gone')).rejects.toThrow('"emotune experiment cancel gone" ends it');
    const { modelVersion } = await reached('gone', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    await platform.objects.put('trials/gone/0/left.bin', 'x');
    await platform.objects.put('trials/gone-too/0/other.bin', 'x');
    await platform.objects.put('logs/gone/0/1/part', 'x');
    await expect
      .poll(() =>
        remove('gone').then(
          () => 'deleted',
          (error) => error.message,
        ),
      )
      .toBe('deleted');
    await expect(get('gone')).rejects.toBeInstanceOf(NotFound);
    await expect(remove('gone')).rejects.toBeInstanceOf(NotFound);
    for (const prefix of ['trials/gone/', 'logs/gone/'])
      expect(await platform.objects.list(prefix)).toEqual([]);
    expect(await platform.objects.list('trials/gone-too/')).toHaveLength(1);
    expect((await platform.models.call('getModel', { name: modelVersion })).name).toBe('gone');
    await submit({ name: 'gone', model: 'gone-again', limits: { maxTrials: 2 } });
    expect(await reached('gone', ExperimentState.EXPERIMENT_STATE_SUCCEEDED)).toMatchObject({
      trialsTotal: 2,
    });
  });

  it('a model is refused where something needs it, by name, and takes its files with it else', async () => {
    const deleteModel = (name: string) => platform.models.call('deleteModel', { name });
    await submit({ name: 'needs-base', features: 'never', limits: { maxTrials: 1 } });
    await expect(deleteModel('base-opt')).rejects.toThrow(
      /^model base-opt is in use by .*experiment needs-base/,
    );
    await submit({ name: 'passing', limits: { maxTrials: 1 } });
    const { modelVersion } = await reached('passing', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    const { prefix } = await platform.models.call('getModel', { name: modelVersion });
    expect((await platform.objects.list(`${prefix}/`)).length).toBeGreaterThan(0);
    expect(await deleteModel('passing')).toEqual({ deleted: [modelVersion] });
    expect(await platform.objects.list(`${prefix}/`)).toEqual([]);
    await expect(deleteModel('passing')).rejects.toBeInstanceOf(NotFound);
  });
});

it('a trial with some values is completed by its sampler, within what the given ones make active', async () => {
  const parameters = [
    { name: 'method', categorical: { values: ['full', 'lora'] } },
    {
      name: 'loraRank',
      integer: { min: 2, max: 8, log: false, step: 0 },
      condition: { parameter: 'method', values: ['lora'] },
    },
    { name: 'weightDecay', double: { min: 0, max: 1, log: false, step: 0 }, default: 0.5 },
  ] as unknown as tuning.Parameter[];
  await submit({ name: 'some-values', features: 'never', parameters, limits: { maxTrials: 3 } });
  const enqueue = (given: tuning.EnqueueTrialRequest['parameters']) =>
    platform.experiments.call('enqueueTrial', { experiment: 'some-values', parameters: given });
  const { trial } = await enqueue({ method: 'lora' });
  expect(trial?.parameters).toMatchObject({ method: 'lora', weightDecay: 0.5 });
  expect(trial?.parameters['loraRank']).toBeGreaterThanOrEqual(2);
  const { trial: other } = await enqueue({ weightDecay: 0.25, method: 'full' });
  expect(other?.parameters).toEqual({ method: 'full', weightDecay: 0.25 });
  await expect(enqueue({ loraRank: 4, method: 'full' })).rejects.toThrow(
    'parameters.loraRank: exists only where method is "lora"',
  );
});

describe('features', () => {
  it('are waited for', async () => {
    await submit({ name: 'waits', features: 'later', limits: { maxTrials: 1 } });
    const waiting = await get('waits');
    expect(waiting).toMatchObject({
      state: ExperimentState.EXPERIMENT_STATE_WAITING,
      reason: 'waits for the feature set "later"',
    });
    const enqueued = { experiment: 'waits', parameters: { learningRate: 2e-3 } };
    await platform.experiments.call('enqueueTrial', enqueued);
    await expect(
      platform.experiments.call('enqueueTrial', { ...enqueued, parameters: { learningRate: 7 } }),
    ).rejects.toThrow('parameters.learningRate');
    sets.set('later', { ...sets.get('demo'), name: 'later' });
    const { name: topic, encode } = topics.featuresReady;
    const payload = encode({ name: 'later', version: 'f1', prefix: 'p' });
    await platform.bus.publish([{ id: randomUUID(), topic, key: 'later', payload, headers: {} }]);
    await reached('waits', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
    expect((await trialsOf('waits'))[0].parameters).toEqual({ learningRate: 2e-3 });
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
    maxTrials: 4,
    parallelTrials: 2,
    maxAttempts: 3,
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
    name: 'next',
    limits: { maxTrials: 3 },
    cost,
    training,
    warmStart: [{ experiment: 'roomy', best: 0 }],
  });
  const expected = await platform.experiments.call('estimateExperiment', { spec: next });
  expect(expected).toMatchObject({ trials: 3, measuredTrials: 4 });
  expect(expected.gpuHours / ended.gpuHours).toBeCloseTo(3 / 4, 2);

  runner.train = usualTrainer;
  const [winner] = (await platform.experiments.call('listOptimalTrials', { experiment: 'roomy' })).trials;
  await submit({
    name: 'heir',
    limits: { maxTrials: 2 },
    training,
    warmStart: [{ experiment: 'roomy', best: 1 }],
  });
  await reached('heir', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
  expect((await trialsOf('heir'))[0].parameters).toEqual(winner.parameters);
  await submit({
    name: 'grandchild',
    limits: { maxTrials: 13 },
    training,
    searchAlgorithm: { name: 'tpe', settings: { startUpTrials: 5, costPower: 1 } },
    warmStart: [
      { experiment: 'roomy', best: 0 },
      { experiment: 'heir', best: 0 },
    ],
  });
  await reached('grandchild', ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
  const { insights } = platform;
  for (const number of [0, 12]) {
    const trial = { experiment: 'grandchild', number };
    expect((await insights.call('explainTrial', trial)).suggestion).toMatchObject({
      measured: 6 + number,
      reproduced: true,
    });
  }
  const orphan = submit({
    name: 'orphan',
    baseModels: [{ architecture: 'x', model: 'base-x', ...anywhere }],
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
