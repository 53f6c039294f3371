/**
 * The whole chain through the embedded platform as users start it, killed without warning in the middle of the search:
 * a second start goes on, loses no finished trial and runs none twice.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@emotune/base';
import { type data, type evaluation, type featurization, type inference, tuning } from '@emotune/proto';
import type { Channel } from '@emotune/service';
import { afterAll, expect, it } from 'vitest';
import { built, emotune, type Served, serve } from './platform-process.js';

const dataDir = mkdtempSync(join(tmpdir(), 'emotune-e2e-'));
let platform: Served | undefined;

async function up(): Promise<Channel> {
  platform = await serve(dataDir);
  return platform.channel;
}

async function end(signal: NodeJS.Signals): Promise<void> {
  await platform?.end(signal);
  platform = undefined;
}

afterAll(async () => {
  await end('SIGTERM');
  rmSync(dataDir, { recursive: true, force: true });
});

/** The command's answer. */
async function answer(...args: string[]): Promise<unknown> {
  return JSON.parse((await emotune(['--json', '--data-dir', dataDir, ...args])).stdout);
}

const name = 'e2e';
const experiments = (channel: Channel) => channel.client<tuning.ExperimentServiceClient>('ExperimentService');
const { TRIAL_STATE_RUNNING, TRIAL_STATE_SUCCEEDED } = tuning.TrialState;

async function trialsOf(channel: Channel): Promise<tuning.Trial[]> {
  return (await experiments(channel).call('listTrials', { experiment: name })).trials;
}

it('a platform that was killed goes on with its experiment, from data to a model that answers', async () => {
  let channel = await up();
  const datasets = channel.client<data.DatasetServiceClient>('DatasetService');
  await datasets.call('createDataset', { spec: { name, sources: [{ corpus: 'emotune-demo', limit: 900 }] } });
  await built(() => datasets.call('getDataset', { name }));
  const features = channel.client<featurization.FeatureServiceClient>('FeatureService');
  const bases = ['opt', 'bloom', 'llama'].map((architecture) => ({
    architecture,
    model: `emotune-${architecture}-4m`,
  }));
  await features.call('createFeatureSet', {
    spec: { name, dataset: name, baseModels: bases.map((b) => b.model), limitTest: 20 },
  });
  await built(() => features.call('getFeatureSet', { name }));
  await experiments(channel).call('createExperiment', {
    spec: {
      name,
      features: name,
      baseModels: bases,
      searchAlgorithm: { name: 'random' },
      parameters: [{ name: 'learningRate', double: { min: 1e-3, max: 3e-3, log: true } }],
      limits: { maxTrials: 4, parallelTrials: 2 },
      training: {
        trialTokens: 6_000,
        threads: 1,
        settings: { validationExamples: 16, checkpointSeconds: 1 },
      },
      model: 'e2e-model',
    },
  });

  let finished: tuning.Trial[] = [];
  for (const deadline = Date.now() + 240_000; ; await systemClock.sleep(50)) {
    const trials = await trialsOf(channel);
    finished = trials.filter((t) => t.state === TRIAL_STATE_SUCCEEDED);
    if (finished.length > 0 && trials.some((t) => t.state === TRIAL_STATE_RUNNING && t.step > 0)) break;
    if (Date.now() > deadline) throw new Error(`no trial finished beside another: ${JSON.stringify(trials)}`);
  }
  await end('SIGKILL');

  channel = await up();
  let experiment: tuning.Experiment | undefined;
  for await (const update of experiments(channel).stream('watchExperiment', { name }))
    experiment = update.experiment ?? experiment;
  expect(experiment?.state).toBe(tuning.ExperimentState.EXPERIMENT_STATE_SUCCEEDED);

  const trials = await trialsOf(channel);
  expect(trials.map((t) => t.number)).toEqual([0, 1, 2, 3, 4]);
  expect(trials.map((t) => t.state)).toEqual(trials.map(() => TRIAL_STATE_SUCCEEDED));
  for (const before of finished) {
    const after = trials.find((t) => t.number === before.number);
    expect(after).toEqual(before);
  }
  // Every step of a trial was measured once, however many attempts it took.
  for (const { measurements } of trials) {
    const steps = measurements.map((m) => m.step);
    expect(steps).toEqual([...new Set(steps)].sort((a, b) => a - b));
  }

  const models = channel.client<tuning.ModelServiceClient>('ModelService');
  const model = await models.call('getModel', { name: experiment!.modelVersion });
  expect(model.state).toBe(tuning.ModelState.MODEL_STATE_REGISTERED);
  expect(model.lineage).toMatchObject({ experiment: name, dataset: name, features: name });
  const evaluations = channel.client<evaluation.EvaluationServiceClient>('EvaluationService');
  const [tested] = (await evaluations.call('listEvaluations', { model: experiment!.modelVersion }))
    .evaluations;
  expect(tested.tasks.map((t) => t.task).sort()).toHaveLength(4);
  for (const { valid, n } of tested.tasks) expect([valid, n > 0]).toEqual([1, true]);
  const report = readFileSync(join(dataDir, 'objects', tested.prefix, 'report.html'), 'utf8');
  // The whole page would be printed.
  expect(report.includes('Emotion regression')).toBe(true);

  const { analyses } = await channel
    .client<inference.AnalysisServiceClient>('AnalysisService')
    .call('analyzeBatch', { requests: [{ text: 'What a lovely day' }] });
  expect(analyses[0].model).toBe(experiment!.modelVersion);
  expect(analyses[0].answers).toHaveLength(4);

  // The command finds the platform that serves the folder.
  expect(await answer('experiment', 'get', name)).toMatchObject({
    name,
    modelVersion: experiment!.modelVersion,
  });
  const out = join(dataDir, 'export');
  expect(await answer('model', 'export', 'e2e-model', '--format', 'safetensors', '--out', out)).toBeTruthy();
  expect(JSON.parse(readFileSync(join(out, 'config.json'), 'utf8'))).toHaveProperty('model_type');
}, 400_000);
