/**
 * Population based training through the embedded platform as users start it, with real trainers, killed without warning while
 * a trial goes on from another's checkpoint.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type data, type featurization, tuning } from '@emotune/proto';
import type { Channel } from '@emotune/service';
import { afterAll, expect, it } from 'vitest';
import { built, type Served, serve, until } from './platform-process.js';

const dataDir = mkdtempSync(join(tmpdir(), 'emotune-lineages-'));
let platform: Served;

afterAll(async () => {
  await platform?.end('SIGTERM');
  rmSync(dataDir, { recursive: true, force: true });
});

const name = 'lineages';
const trialTokens = 2000;
const experiments = (channel: Channel) => channel.client<tuning.ExperimentServiceClient>('ExperimentService');
const trialsOf = async (channel: Channel) =>
  (await experiments(channel).call('listTrials', { experiment: name })).trials;
const checkpointsOf = (trial: number) => {
  const folder = join(dataDir, 'objects', 'trials', name, String(trial), 'checkpoints');
  return existsSync(folder) ? readdirSync(folder) : [];
};

it('trials go on from each other, and the best one becomes the model', async () => {
  platform = await serve(dataDir);
  const datasets = platform.channel.client<data.DatasetServiceClient>('DatasetService');
  await datasets.call('createDataset', { spec: { name, sources: [{ corpus: 'emotune-demo', limit: 300 }] } });
  await built(() => datasets.call('getDataset', { name }));
  const features = platform.channel.client<featurization.FeatureServiceClient>('FeatureService');
  await features.call('createFeatureSet', {
    spec: { name, dataset: name, baseModels: ['emotune-llama-4m'], limitTest: 8 },
  });
  await built(() => features.call('getFeatureSet', { name }));
  await experiments(platform.channel).call('createExperiment', {
    spec: {
      name,
      features: name,
      baseModels: [{ architecture: 'llama', model: 'emotune-llama-4m' }],
      searchAlgorithm: { name: 'pbt', settings: { population: 2 } },
      parameters: [
        { name: 'learningRate', double: { min: 1e-4, max: 3e-3, log: true } },
        { name: 'batchTokens', integer: { min: 256, max: 512, step: 128 } },
      ],
      limits: { maxTrials: 5, parallelTrials: 2 },
      training: {
        trialTokens,
        threads: 1,
        settings: { replay: 1, validationExamples: 8, checkpointSeconds: 0.3 },
      },
    },
  });
  await until('a trial of the second generation trains', async () =>
    (await trialsOf(platform.channel)).some(
      ({ origin, step, state }) =>
        origin !== undefined && step > 0 && state === tuning.TrialState.TRIAL_STATE_RUNNING,
    ),
  );
  await platform.end('SIGKILL');

  platform = await serve(dataDir);
  const { channel } = platform;
  let experiment: tuning.Experiment | undefined;
  for await (const update of experiments(channel).stream('watchExperiment', { name }))
    experiment = update.experiment ?? experiment;
  expect(experiment?.state, experiment?.reason).toBe(tuning.ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
  const trials = await trialsOf(channel);
  expect(trials.map(({ state, reason }) => [state, reason])).toEqual(
    trials.map(() => [tuning.TrialState.TRIAL_STATE_SUCCEEDED, '']),
  );

  const [generations, final] = [trials.slice(0, 5), trials[5]];
  for (const { number, origin, originTokens, tokens, totalTokens, measurements } of generations) {
    const generation = Math.floor(number / 2);
    expect(originTokens).toBe(generation * trialTokens);
    if (generation === 0) expect(origin).toBeUndefined();
    else expect(Math.floor(origin! / 2)).toBe(generation - 1);
    expect(totalTokens).toBe(trialTokens);
    // What its lineage did before is not counted; the last step may go over.
    expect(tokens).toBeLessThan(trialTokens + 512);
    expect(measurements[0].tokens).toBeLessThan(trialTokens);
    // The objective is that of the weights that are handed on.
    expect(measurements.at(-1)!.objective).toBe(trials[number].objective);
  }
  // A lineage learns on: later generations are better than those that began anew.
  const best = generations.find(({ number }) => number === experiment!.bestTrial)!;
  expect(best.originTokens).toBeGreaterThan(0);

  expect(final).toMatchObject({
    kind: tuning.TrialKind.TRIAL_KIND_FINAL,
    parameters: best.parameters,
    origin: best.number,
    originTokens: best.originTokens + trialTokens,
    totalTokens: 0,
    tokens: 0,
    step: 0,
  });
  const models = channel.client<tuning.ModelServiceClient>('ModelService');
  expect(await models.call('getModel', { name: experiment!.modelVersion })).toMatchObject({
    state: tuning.ModelState.MODEL_STATE_REGISTERED,
    lineage: { experiment: name, trial: 5, tokens: final.originTokens },
  });

  const insight = channel.client<tuning.InsightServiceClient>('InsightService');
  const { suggestion } = await insight.call('explainTrial', { experiment: name, number: 4 });
  expect(suggestion).toMatchObject({
    reproduced: true,
    reason: expect.stringContaining(`goes on from trial ${trials[4].origin} after ${2 * trialTokens} tokens`),
  });
  await until(
    'no checkpoint is left',
    () => trials.every(({ number }) => checkpointsOf(number).length === 0),
    10,
  );
}, 400_000);
