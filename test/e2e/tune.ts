/** The smallest whole run: demo data, features, an experiment. */
import { type data, type featurization, tuning } from '@emotune/proto';
import type { Channel } from '@emotune/service';
import { expect } from 'vitest';
import { built } from './platform-process.js';

export const base = 'emotune-llama-4m';

interface Smallness {
  readonly trials?: number;
  readonly tokens?: number;
  readonly threads?: number;
  /** Trials that run at the same time. */
  readonly parallel?: number;
  readonly limits?: { readonly maxDurationSeconds?: number; readonly maxAttempts?: number };
}

/** Starts an experiment of that name, on data and features of that name, which are built first. */
export async function begun(
  channel: Channel,
  name: string,
  { trials = 1, tokens = 1000, threads = 1, parallel = 1, limits = {} }: Smallness = {},
): Promise<void> {
  const datasets = channel.client<data.DatasetServiceClient>('DatasetService');
  await datasets.call('createDataset', { spec: { name, sources: [{ corpus: 'emotune-demo', limit: 120 }] } });
  await built(() => datasets.call('getDataset', { name }));
  const features = channel.client<featurization.FeatureServiceClient>('FeatureService');
  await features.call('createFeatureSet', {
    spec: { name, dataset: name, baseModels: [base], limitTest: 8 },
  });
  await built(() => features.call('getFeatureSet', { name }));
  await channel.client<tuning.ExperimentServiceClient>('ExperimentService').call('createExperiment', {
    spec: {
      ...{ name, features: name, baseModels: [{ architecture: 'llama', model: base }] },
      searchAlgorithm: { name: 'random' },
      parameters: [{ name: 'learningRate', double: { min: 1e-3, max: 3e-3, log: true } }],
      limits: { maxTrials: trials, parallelTrials: parallel, ...limits },
      training: { trialTokens: tokens, settings: { validationExamples: 8 }, threads },
    },
  });
}

/** From data to a registered model. */
export async function tune(channel: Channel, name: string): Promise<tuning.Experiment> {
  await begun(channel, name);
  const experiments = channel.client<tuning.ExperimentServiceClient>('ExperimentService');
  let experiment: tuning.Experiment | undefined;
  for await (const update of experiments.stream('watchExperiment', { name }))
    experiment = update.experiment ?? experiment;
  expect(experiment?.state, experiment?.reason).toBe(tuning.ExperimentState.EXPERIMENT_STATE_SUCCEEDED);
  return experiment!;
}
