import { systemClock } from '@emotune/base';
import type { Model } from '@emotune/models';
import type { TrainSpec } from './spec.js';
import { type TrainHooks, type Training, type TrainResult, train } from './train.js';
import { withExecutor } from './with-executor.js';

/** A run in an executor of its own. */
export function trainAlone(
  model: Model,
  rows: Training['rows'],
  spec: TrainSpec,
  hooks: TrainHooks = {},
): Promise<TrainResult> {
  return withExecutor(spec, (executor) =>
    train({ executor, clock: systemClock, model, rows, spec, ...hooks }),
  );
}
