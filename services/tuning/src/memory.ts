/** Which values of a search fit into the memory that its trials may take, by the plan of their training. Pure. */
import { InvalidArgument, type Violation } from '@emotune/base';
import type { featurization } from '@emotune/proto';
import type { Assignment, SuggestContext } from '@emotune/search';
import {
  chanceToFit,
  MemoryForecast,
  type RowLengths,
  type TrainingSettings,
  trialSettings,
} from '@emotune/training';
import { architectureOf } from './architecture.js';
import { corners } from './corners.js';
import type { Plan } from './spec.js';
import type { Base, BoundFeatures } from './state.js';

const mebibyte = 2 ** 20;

/** The lengths of the rows that trials train on and validate with, by tokenizer. */
export function rowLengths({ tokenized }: featurization.FeatureSet): Record<string, RowLengths> {
  return Object.fromEntries(
    tokenized.flatMap(({ tokenizer, splits }): [string, RowLengths][] => {
      const train = splits.find(({ split }) => split === 'train');
      const read = splits.filter(({ split }) => split === 'train' || split === 'validation');
      if (!train || train.tokens === 0) return [];
      const longest = Math.max(...read.map((split) => split.longest));
      return [[tokenizer, { longest, answerShare: train.answerTokens / train.tokens }]];
    }),
  );
}

/** What a trial of these values trains with. @throws InvalidArgument */
export function settingsOf({ training, settings, spec }: Plan, values: Assignment): TrainingSettings {
  // 0 threads: as many as the trainer has processors, which nobody knows yet.
  const threads = Math.max(1, training.threads);
  return trialSettings(values, settings, { threads, tokens: training.trialTokens, seed: spec.seed });
}

/** What is planned for each architecture; those whose base model's config was not recorded are left out. */
function forecastsOf(bases: readonly Base[], rows: BoundFeatures['rows']): Map<string, MemoryForecast> {
  return new Map(
    bases.flatMap(({ architecture, config, tokenizer }): [string, MemoryForecast][] =>
      config ? [[architecture, new MemoryForecast(config, rows?.[tokenizer])]] : [],
    ),
  );
}

/** The answer; `otherwise` where training would refuse the settings. */
function unlessRefused<T>(otherwise: T, of: () => T): T {
  try {
    return of();
  } catch (error) {
    if (error instanceof InvalidArgument) return otherwise;
    throw error;
  }
}

/**
 * The probability that a trial of given values fits into `training.memoryLimitMib`; 0 for values that training refuses.
 * Undefined without such a limit, and where nothing is recorded of the rows.
 */
export function memoryPrior(
  plan: Plan,
  bases: readonly Base[],
  rows: BoundFeatures['rows'],
): SuggestContext['feasibility'] {
  const limit = plan.training.memoryLimitMib * mebibyte;
  if (limit === 0 || !rows) return undefined;
  const forecasts = forecastsOf(bases, rows);
  return (values) => {
    const forecast = forecasts.get(architectureOf(plan.spec, values));
    if (!forecast) return 1;
    return unlessRefused(0, () => chanceToFit(forecast.peak(settingsOf(plan, values)), limit));
  };
}

/**
 * What is wrong with an experiment of which no configuration fits.
 * @param rows Undefined while they are not known: then only what no rows would fit is found.
 */
export function nothingFits(plan: Plan, bases: readonly Base[], rows: BoundFeatures['rows']): Violation[] {
  const limit = plan.training.memoryLimitMib * mebibyte;
  if (limit === 0) return [];
  const forecasts = forecastsOf(bases, rows);
  let least: { readonly values: Assignment; readonly peak: number } | undefined;
  for (const values of corners(plan.space, 'min')) {
    const forecast = forecasts.get(architectureOf(plan.spec, values));
    const peak = forecast ? unlessRefused(Infinity, () => forecast.peak(settingsOf(plan, values))) : 0;
    if (peak <= limit) return [];
    if (peak < (least?.peak ?? Infinity)) least = { values, peak };
  }
  if (!least) return [];
  const architecture = architectureOf(plan.spec, least.values);
  const why = forecasts.get(architecture)?.shortage(settingsOf(plan, least.values), limit);
  if (why === undefined) return [];
  return [
    {
      field: 'training.memoryLimitMib',
      description: `expected at least ${Math.ceil(least.peak / mebibyte)}, which the smallest configuration of the search takes (${JSON.stringify({ architecture, ...least.values })}), got ${plan.training.memoryLimitMib}: ${why}`,
    },
  ];
}
