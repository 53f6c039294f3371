/** Every fact that services tell each other: its topic and its message. */
import { data, evaluation, featurization, tuning } from '@emotune/proto';

export interface Topic<T> {
  /** emotune.<noun>.<past-tense verb>.v1 */
  readonly name: string;
  encode(message: T): Uint8Array;
  decode(payload: Uint8Array): T;
}

interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(payload: Uint8Array): T;
}

function topic<T>(name: string, codec: Codec<T>): Topic<T> {
  return {
    name,
    encode: (message) => codec.encode(message).finish(),
    decode: (payload) => codec.decode(payload),
  };
}

export const topics = {
  datasetReady: topic('emotune.dataset.ready.v1', data.DatasetReady),
  datasetFailed: topic('emotune.dataset.failed.v1', data.DatasetFailed),
  featuresReady: topic('emotune.features.ready.v1', featurization.FeaturesReady),
  featuresFailed: topic('emotune.features.failed.v1', featurization.FeaturesFailed),
  trialMeasured: topic('emotune.trial.measured.v1', tuning.TrialMeasured),
  trialFinished: topic('emotune.trial.finished.v1', tuning.TrialFinished),
  experimentFinished: topic('emotune.experiment.finished.v1', tuning.ExperimentFinished),
  modelTrained: topic('emotune.model.trained.v1', tuning.ModelTrained),
  modelRegistered: topic('emotune.model.registered.v1', tuning.ModelRegistered),
  evaluationCompleted: topic('emotune.evaluation.completed.v1', evaluation.EvaluationCompleted),
} as const;
