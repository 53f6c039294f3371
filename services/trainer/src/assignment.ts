/** What the tuning service asks for, as settings of a training run. */
import type { tuning } from '@emotune/proto';
import { type TrainingSettings, trialSettings } from '@emotune/training';

function parameterValue({
  number,
  text,
  flag,
}: tuning.ParameterValue): number | string | boolean | undefined {
  return number ?? text ?? flag ?? undefined;
}

/**
 * `threads`: of this trainer, as its environment says: the final training has more than search trials.
 * @throws InvalidArgument naming every parameter or setting that training does not accept.
 */
export function settingsOf(
  { parameters, training, seed, totalTokens, originTokens, lineageTokens }: tuning.Assignment,
  threads: number,
): TrainingSettings {
  const values = Object.fromEntries(
    Object.entries(parameters).map(([name, value]) => [name, parameterValue(value)]),
  );
  const extent =
    lineageTokens > 0
      ? { tokens: lineageTokens, until: originTokens + totalTokens }
      : { tokens: totalTokens, until: undefined };
  return trialSettings(values, training, { threads, ...extent, seed });
}
