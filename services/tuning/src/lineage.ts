/** What experiments may ask for whose trials go on from each other's checkpoints. */
import { fieldPath, show, type Violation, Violations } from '@emotune/base';
import type { tuning } from '@emotune/proto';
import {
  type LineageRules,
  lineageOf,
  onlyValue,
  type Parameter,
  type SearchAlgorithm,
  type SearchSpace,
} from '@emotune/search';
import type { Plan } from './spec.js';
import { tunables } from './tunables.js';

/** Tokens of a whole lineage; 0: every trial begins anew. */
export function lineageTokens({ algorithm, limits, training }: Plan): number {
  const lineage = lineageOf(algorithm);
  return lineage ? lineage.longest(limits.maxTrials, algorithm.settings) * training.trialTokens : 0;
}

function mostOf(parameter: Parameter | undefined, fixed: unknown): number {
  if (!parameter) return Number(fixed);
  return parameter.kind === 'categorical' ? Math.max(...parameter.values.map(Number)) : parameter.max;
}

/** What of a spec cannot be where trials go on from each other. */
export function lineageViolations(
  { name, settings }: SearchAlgorithm,
  lineage: LineageRules,
  space: SearchSpace,
  given: Pick<tuning.ExperimentSpec, 'parameters' | 'baseModels' | 'earlyStopping'>,
  {
    limits,
    training,
    settings: fixed,
    termination,
  }: Pick<Plan, 'limits' | 'settings' | 'termination'> & {
    readonly training: Omit<tuning.TrainingSpec, 'settings'>;
  },
): readonly Violation[] {
  const violations = new Violations();
  const refuse = (field: string, description: string) => violations.add(field, description);
  const pruner = given.earlyStopping?.name || 'none';
  for (const parameter of space.parameters) {
    const { condition } = parameter;
    if (!tunables.get(parameter.name)?.shared || (onlyValue(parameter) !== undefined && !condition)) continue;
    const why = `trials of ${name} go on from each other's checkpoints, which fit one value of it`;
    const i = given.parameters.findIndex((other) => other.name === parameter.name);
    if (i < 0) refuse('baseModels', `expected one base model, got ${given.baseModels.length}: ${why}`);
    else
      refuse(
        fieldPath(['parameters', i, 'name']),
        `expected one value in all trials, got ${show(parameter.name)} to search over: ${why}`,
      );
  }
  if (pruner !== 'none')
    refuse(
      'earlyStopping.name',
      `expected none with ${name}, which replaces the worst trials itself, got ${show(pruner)}`,
    );
  if (training.folds > 1)
    refuse('training.folds', `expected none with ${name}: a trial hands on the weights of one training`);
  if (fixed['patience'] !== 0)
    refuse('training.patience', `expected 0 with ${name}: all trials of a generation train alike`);
  if (training.finalScale !== 1)
    refuse('training.finalScale', `expected 1 with ${name}, whose best trial's weights are the model`);
  if (termination.error > 0)
    refuse(
      'termination.error',
      `expected 0 with ${name}, whose objectives depend on more than a trial's parameters`,
    );
  if (lineage.longest(limits.maxTrials, settings) < 2)
    refuse(
      'limits.maxTrials',
      `expected more trials than one generation (searchAlgorithm.settings.population) has, got ${limits.maxTrials}`,
    );
  const step =
    mostOf(space.byName.get('batchTokens'), fixed['batchTokens']) *
    mostOf(space.byName.get('gradientAccumulation'), fixed['gradientAccumulation']);
  if (training.trialTokens < step)
    refuse(
      'training.trialTokens',
      `expected at least the tokens of a step (${step}) with ${name}, got ${training.trialTokens}`,
    );
  return violations.list;
}
