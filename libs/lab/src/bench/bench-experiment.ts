/** An experiment whose trials are played: a search over four parameters, on features that need not be there. */
import { common, featurization, type tuning } from '@emotune/proto';
import { Controller, type DynamicModule, Module } from '@nestjs/common';

/** A feature service with one set that is ready. */
export function readyFeatures(tokenizer: string): DynamicModule {
  @Controller()
  @featurization.FeatureServiceControllerMethods()
  class Features implements Pick<featurization.FeatureServiceController, 'getFeatureSet'> {
    getFeatureSet({ name }: featurization.GetFeatureSetRequest): featurization.FeatureSet {
      return {
        name,
        version: '1',
        spec: undefined,
        datasetVersion: '1',
        prefix: '',
        failure: '',
        state: common.BuildState.BUILD_STATE_READY,
        progress: undefined,
        createTime: undefined,
        readyTime: undefined,
        tokenized: [{ tokenizer, baseModels: [], prefix: 'features', splits: [] }],
      };
    }
    createFeatureSet(): undefined {}
    listFeatureSets(): undefined {}
    deleteFeatureSet(): undefined {}
    previewFeatureSet(): undefined {}
    explainText(): undefined {}
  }
  @Module({ controllers: [Features] })
  class FeaturesModule {}
  return { module: FeaturesModule };
}

export const benchName = 'bench';
/** The shipped one, to be imported under this name. */
export const benchModel = 'emotune-llama-4m';

export function benchExperiment(
  limits: Pick<tuning.Limits, 'maxTrials' | 'parallelTrials'>,
): tuning.ExperimentSpec {
  const range = (name: string, min: number, max: number, log: boolean) => ({
    name,
    double: { min, max, log, step: 0 },
    condition: undefined,
    default: undefined,
  });
  return {
    name: benchName,
    features: 'bench',
    baseModels: [{ architecture: 'llama', model: benchModel }],
    seed: 1,
    model: 'bench-tuned',
    parameters: [
      range('learningRate', 1e-5, 1e-2, true),
      range('weightDecay', 0, 0.1, false),
      range('warmupRatio', 0, 0.2, false),
      range('replay', 0, 0.5, false),
    ],
    limits,
  } as unknown as tuning.ExperimentSpec;
}
