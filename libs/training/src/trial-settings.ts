/** What one trial of a search is told, as settings of a training run: a tuned parameter comes before a fixed setting. */
import { parse } from '@emotune/base';
import { type TrainingSettings, trainingSettings } from './training-settings.js';

/** What all trials of a search have in common, in the words of its spec; 0 and "" mean "not said". */
interface FixedSettings {
  readonly method: string;
  readonly batchTokens: number;
  readonly replay: number;
  readonly validationExamples: number;
  readonly checkpointSeconds: number;
  readonly patience: number;
  readonly memoryLimitMib: number;
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
 * @param parameters Values by the words of the settings; a dot leads to a setting within another one.
 * @throws InvalidArgument naming every parameter or setting that training does not accept.
 */
export function trialSettings(
  parameters: Readonly<Record<string, unknown>>,
  fixed: FixedSettings | null | undefined,
  own: Pick<TrainingSettings, 'threads' | 'tokens' | 'until' | 'seed'>,
): TrainingSettings {
  // The architecture chooses the base model, which training is given.
  const { architecture: _, ...tuned } = parameters;
  const given = {
    method: fixed?.method || undefined,
    batchTokens: fixed?.batchTokens || undefined,
    replay: fixed?.replay || undefined,
    validationExamples: fixed?.validationExamples || undefined,
    checkpointSeconds: fixed?.checkpointSeconds || undefined,
    patience: fixed?.patience || undefined,
    memoryLimitMiB: fixed?.memoryLimitMib || undefined,
  };
  return parse(trainingSettings, { ...given, ...nested(tuned), ...own }, ['parameters']);
}
