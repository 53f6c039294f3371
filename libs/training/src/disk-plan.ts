/** What a training run will write to disk, before it writes any of it, from the sizes of weights and the optimizer's state. Pure. */
import { sizeOf } from '@emotune/graph';
import { type ModelConfig, modelParameters, trainableParameters } from '@emotune/models';
import { optimizerOf } from './optimizers/update-graph.js';
import type { TrainingSettings } from './settings.js';
import { type TrainSpec, trainSpecOf } from './spec.js';

/** Bytes. */
interface DiskPlan {
  /** One checkpoint: trained weights, as they are and at their best, with the optimizer's state and the moving average. */
  readonly checkpoint: number;
  /** What is left in the end: a model, or an adapter. */
  readonly model: number;
}

const floats = (shapes: readonly (readonly number[])[]) =>
  4 * shapes.reduce((sum, shape) => sum + sizeOf(shape), 0);

type Decisive = Pick<TrainSpec, 'method' | 'optimizer' | 'ema'>;

function planOf(config: ModelConfig, { method, optimizer, ema }: Decisive): DiskPlan {
  const trained = trainableParameters(config, method);
  const rule = optimizerOf(optimizer);
  const weights = floats(trained.map(({ shape }) => shape));
  const state = floats(trained.flatMap((parameter) => Object.values(rule.state(parameter))));
  return {
    checkpoint: (ema === undefined ? 2 : 3) * weights + state,
    model: method.name === 'full' ? floats(modelParameters(config).map(({ shape }) => shape)) : weights,
  };
}

/** Plans by what they follow from: many trials differ in nothing that counts here. */
const known = new WeakMap<ModelConfig, Map<string, DiskPlan>>();
/** Of one config. */
const mostKnown = 256;

/** @throws InvalidArgument naming settings that contradict each other. */
export function planDisk(config: ModelConfig, settings: TrainingSettings): DiskPlan {
  const { method, optimizer, ema } = trainSpecOf(settings, { tasks: ['one', 'other'], validationTokens: 0 });
  const key = JSON.stringify([method, optimizer, ema]);
  const plans = known.get(config) ?? new Map<string, DiskPlan>();
  known.set(config, plans);
  const plan = plans.get(key) ?? planOf(config, { method, optimizer, ema });
  if (plans.size >= mostKnown) plans.clear();
  plans.set(key, plan);
  return plan;
}
