/** What the tuning service asks for, as settings of a training run. */
import { InvalidArgument } from '@emotune/base';
import type { tuning } from '@emotune/proto';
import { type TrainingSettings, trialSettings } from '@emotune/training';

/**
 * `threads`: of this trainer, as its environment says: the final training has more than search trials. `device`: likewise, where
 * nothing else is asked for.
 * @throws InvalidArgument naming every parameter or setting that training does not accept.
 */
export function settingsOf(
  { parameters, training, seed, totalTokens, originTokens, lineageTokens }: tuning.Assignment,
  { threads, device }: { readonly threads: number; readonly device?: string | undefined },
): TrainingSettings {
  const extent =
    lineageTokens > 0
      ? { tokens: lineageTokens, until: originTokens + totalTokens }
      : { tokens: totalTokens };
  const limit = training?.memoryLimitMib ? { memoryLimitMiB: training.memoryLimitMib } : {};
  const own = { threads, seed, ...extent, ...limit };
  return trialSettings(
    parameters,
    { ...(device === undefined ? {} : { device }), ...training?.settings },
    own,
  );
}

/** What is wrong with a run, by the name that a spec of an experiment has for it. */
export function inWordsOfSpec(error: unknown): unknown {
  if (!(error instanceof InvalidArgument)) return error;
  const violations = error.violations.map(({ field, description }) => ({
    field: field === 'tokens' ? 'training.trialTokens' : field,
    description,
  }));
  return new InvalidArgument(violations, { cause: error });
}
