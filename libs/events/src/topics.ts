/** Every fact that services tell each other: its topic and its message. */
import { show } from '@emotune/base';
import {
  codecOf,
  type data,
  type evaluation,
  type featurization,
  messageType,
  type tuning,
} from '@emotune/proto';
import { type BusEvent, Poison } from './bus.js';

export interface Topic<T> {
  /** emotune.<noun>.<past-tense verb>.v1 */
  readonly name: string;
  encode(message: T): Uint8Array;
  decode(payload: Uint8Array): T;
  /** The message's name in the contract. */
  readonly message: string;
  /** On a broker: so many processes of a group share its events at most. */
  readonly partitions: number;
  /** On a broker. Dead letters stay longer. */
  readonly retentionDays: number;
}

const protobuf = 'application/x-protobuf';

export function contentTypeOf({ message }: Pick<Topic<unknown>, 'message'>): string {
  return `${protobuf}; messageType=${message}`;
}

/** What an event says. @throws Poison when it is of another schema, or cannot be read. Fields that are not known are passed over. */
export function messageOfEvent<T>(topic: Topic<T>, { headers, payload }: BusEvent): T {
  const given = headers['content-type'] ?? protobuf;
  const [kind, ...parameters] = given.split(';').map((part) => part.trim());
  const message = parameters.find((part) => part.startsWith('messageType='))?.slice('messageType='.length);
  if (kind !== protobuf || (message ?? topic.message) !== topic.message)
    throw new Poison(`header content-type: expected ${contentTypeOf(topic)}, got ${show(given)}`);
  try {
    return topic.decode(payload);
  } catch (error) {
    const { message } = error as Error;
    throw new Poison(
      `payload: expected ${topic.message}, got ${payload.length} bytes that are none (${message})`,
    );
  }
}

/** @param message Its name in the contract. */
function topic<T>(name: string, message: string, partitions = 3, retentionDays = 7): Topic<T> {
  const codec = () => codecOf<T>(messageType(message));
  return {
    ...{ name, message, partitions, retentionDays },
    encode: (fact) => codec().encode(fact),
    decode: (payload) => codec().decode(payload),
  };
}

export const topics = {
  datasetReady: topic<data.DatasetReady>('emotune.dataset.ready.v1', 'emotune.data.v1.DatasetReady'),
  datasetFailed: topic<data.DatasetFailed>('emotune.dataset.failed.v1', 'emotune.data.v1.DatasetFailed'),
  featuresReady: topic<featurization.FeaturesReady>(
    'emotune.features.ready.v1',
    'emotune.featurization.v1.FeaturesReady',
  ),
  featuresFailed: topic<featurization.FeaturesFailed>(
    'emotune.features.failed.v1',
    'emotune.featurization.v1.FeaturesFailed',
  ),
  trialMeasured: topic<tuning.TrialMeasured>(
    'emotune.trial.measured.v1',
    'emotune.tuning.v1.TrialMeasured',
    12,
  ),
  trialFinished: topic<tuning.TrialFinished>(
    'emotune.trial.finished.v1',
    'emotune.tuning.v1.TrialFinished',
    12,
  ),
  experimentFinished: topic<tuning.ExperimentFinished>(
    'emotune.experiment.finished.v1',
    'emotune.tuning.v1.ExperimentFinished',
  ),
  modelTrained: topic<tuning.ModelTrained>('emotune.model.trained.v1', 'emotune.tuning.v1.ModelTrained'),
  modelRegistered: topic<tuning.ModelRegistered>(
    'emotune.model.registered.v1',
    'emotune.tuning.v1.ModelRegistered',
  ),
  evaluationCompleted: topic<evaluation.EvaluationCompleted>(
    'emotune.evaluation.completed.v1',
    'emotune.evaluation.v1.EvaluationCompleted',
  ),
} as const;
