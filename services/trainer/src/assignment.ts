/** What the tuning service asks for, as settings of a training run: a tuned parameter comes before a fixed setting. */
import { parse } from '@emotune/base';
import type { tuning } from '@emotune/proto';
import { type TrainingSettings, trainingSettings } from './training-settings.js';

function parameterValue({
  number,
  text,
  flag,
}: tuning.ParameterValue): number | string | boolean | undefined {
  return number ?? text ?? flag ?? undefined;
}

/** A tuned method of which the name is this is left out. */
const absent = 'none';

/** `loss.labelSmoothing` = 0.1 → { loss: { labelSmoothing: 0.1 } }. A name that is none leaves its object out. */
function nested(parameters: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const root: Record<string, unknown> = {};
  for (const [path, value] of Object.entries(parameters)) {
    if (path.endsWith('.name') && value === absent) continue;
    const keys = path.split('.');
    const last = keys.pop()!;
    let at = root;
    for (const key of keys) {
      at[key] ??= {};
      at = at[key] as Record<string, unknown>;
    }
    at[last] = value;
  }
  return root;
}

/**
 * `threads`: of this trainer, as its environment says: the final training has more than search trials.
 * @throws InvalidArgument naming every parameter or setting that training does not accept.
 */
export function settingsOf(
  { parameters, training, seed, totalTokens }: tuning.Assignment,
  threads: number,
): TrainingSettings {
  // The architecture chooses the base model, which the assignment names.
  const { architecture: _, ...tuned } = Object.fromEntries(
    Object.entries(parameters).map(([name, value]) => [name, parameterValue(value)]),
  );
  // In the message, 0 and "" mean "not said".
  const fixed = {
    method: training?.method || undefined,
    batchTokens: training?.batchTokens || undefined,
    replay: training?.replay || undefined,
    validationExamples: training?.validationExamples || undefined,
    checkpointSeconds: training?.checkpointSeconds || undefined,
    patience: training?.patience || undefined,
  };
  const own = { threads, tokens: totalTokens, seed };
  return parse(trainingSettings, { ...fixed, ...nested(tuned), ...own }, ['parameters']);
}
