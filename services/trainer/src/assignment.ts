/** What the tuning service asks for, as settings of a training run: a tuned parameter comes before a fixed setting. */
import { parse } from '@emotune/base';
import type { tuning } from '@emotune/proto';
import { z } from 'zod';
import { type TrainingSettings, trainingSettings } from './training-settings.js';

const { method, learningRate, weightDecay, warmupRatio, batchTokens, replay, loraRank, loraAlpha } =
  trainingSettings.shape;
const tuned = z
  .strictObject({
    ...{ method, learningRate, weightDecay, warmupRatio, batchTokens, replay, loraRank, loraAlpha },
    /** Chooses the base model, which the assignment names. */
    architecture: z.string(),
  })
  .partial();

function parameterValue({
  number,
  text,
  flag,
}: tuning.ParameterValue): number | string | boolean | undefined {
  return number ?? text ?? flag ?? undefined;
}

/** The parameters that are there; zod's defaults must not hide the fixed settings. */
function present(values: Record<string, unknown>, among: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([name]) => among.includes(name)));
}

/**
 * `threads`: of this trainer, as its environment says: the final training has more than search trials.
 * @throws InvalidArgument naming every parameter or setting that training does not accept.
 */
export function settingsOf(
  { parameters, training, seed, totalTokens }: tuning.Assignment,
  threads: number,
): TrainingSettings {
  const given = Object.fromEntries(
    Object.entries(parameters).map(([name, value]) => [name, parameterValue(value)]),
  );
  const { architecture: _, ...searched } = present(parse(tuned, given, ['parameters']), Object.keys(given));
  // In the message, 0 and "" mean "not said".
  const fixed = {
    method: training?.method || undefined,
    batchTokens: training?.batchTokens || undefined,
    replay: training?.replay || undefined,
    validationExamples: training?.validationExamples || undefined,
    checkpointSeconds: training?.checkpointSeconds || undefined,
    patience: training?.patience || undefined,
    threads,
    tokens: totalTokens,
    seed,
  };
  return parse(trainingSettings, { ...fixed, ...searched }, ['training']);
}
