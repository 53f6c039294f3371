/** What an experiment spec asks for, checked whole: every violation is named before anything is recorded. */
import { fieldPath, InvalidArgument, nearest, parse, show, type Violation, Violations } from '@emotune/base';
import { tuning } from '@emotune/proto';
import {
  type EarlyStopping,
  lineageOf,
  type Parameter,
  parseEarlyStopping,
  parseSearchAlgorithm,
  parseSearchSpace,
  type SearchAlgorithm,
  type SearchSpace,
} from '@emotune/search';
import { namePattern } from '@emotune/service';
import { z } from 'zod';
import { type FixedSettings, fixedSettings } from './fixed-settings.js';
import { lineageViolations } from './lineage.js';
import { tunables, unacceptable } from './tunables.js';

export interface Plan {
  /** The spec with every default filled in: planned again, it gives the same plan. */
  readonly spec: tuning.ExperimentSpec;
  readonly space: SearchSpace;
  readonly algorithm: SearchAlgorithm;
  readonly earlyStopping: EarlyStopping;
  readonly limits: tuning.Limits;
  readonly training: tuning.TrainingSpec;
  /** What `training` fixes, plain. */
  readonly settings: FixedSettings;
  readonly cost: tuning.Cost;
  readonly termination: tuning.Termination;
}

const nameRule = 'lower-case letters, digits and dashes, at most 40';
export const modelNameRule = 'lower-case letters, digits, dots and dashes, at most 60';
export const modelNamePattern = /^[a-z0-9]([a-z0-9.-]{0,58}[a-z0-9])?$/;

const metric = 'answer-nll';
const whole = z.number().int();
const count = whole.min(0);
/** Zero means the default. */
const countOr = (usual: number, most: number) => count.max(most).transform((n) => n || usual);

const amount = z.number().min(0).prefault(0);

const limits = z
  .object({
    maxTrials: countOr(12, 10_000).prefault(0),
    parallelTrials: countOr(1, 4096).prefault(0),
    maxFailedTrials: count.max(10_000).prefault(0),
    maxDurationSeconds: z.number().min(0).prefault(0),
    maxAttempts: countOr(3, 100).prefault(0),
    maxTokens: count.prefault(0),
    maxGpuHours: amount,
    maxCost: amount,
    maxInterruptions: countOr(20, 10_000).prefault(0),
    maxAttemptSeconds: z.number().min(0).prefault(0),
  })
  .transform((l) => ({
    ...l,
    maxFailedTrials: l.maxFailedTrials || Math.max(3, Math.ceil(l.maxTrials / 4)),
  }));

/** Beside the settings (`fixed-settings.ts`). */
const training = z.object({
  // All folds of it, a thousandfold, are a number that the database keeps.
  trialTokens: countOr(100_000, 1e14).prefault(0),
  finalScale: z
    .number()
    .min(0)
    .max(1000)
    .prefault(0)
    .transform((scale) => scale || 1),
  threads: count.max(1024).prefault(0),
  memoryLimitMib: count.prefault(0),
  folds: countOr(1, 20).prefault(0),
});

const toleration = z.object({
  key: z.string().max(317).prefault(''),
  operator: z.enum(['', 'Exists', 'Equal'], 'expected Exists or Equal').prefault(''),
  value: z.string().max(63).prefault(''),
  effect: z
    .enum(
      ['', 'NoSchedule', 'PreferNoSchedule', 'NoExecute'],
      'expected NoSchedule, PreferNoSchedule or NoExecute',
    )
    .prefault(''),
});

const common = z.object({
  name: z.string().regex(namePattern, `expected ${nameRule}`),
  features: z.string().regex(namePattern, `expected the name of a feature set: ${nameRule}`),
  model: z.union([z.literal(''), z.string().regex(modelNamePattern, `expected ${modelNameRule}`)]),
  seed: whole,
  baseModels: z
    .array(
      z.object({
        architecture: z.string().max(64),
        model: z.string().min(1, 'expected the name of a base model; "emotune model list" shows all'),
        nodeSelector: z.record(z.string().min(1).max(317), z.string().max(63)).prefault({}),
        tolerations: z.array(toleration).max(50).prefault([]),
        priorityClass: z.string().max(253).prefault(''),
        gpus: count.max(64).prefault(0),
        gpuResource: z.string().max(317).prefault(''),
      }),
    )
    .min(1, 'expected at least one base model')
    .max(100),
  objective: z
    .object({
      metric: z.enum(['', metric], `expected ${metric}`).prefault(''),
      goal: z
        .enum(
          [tuning.Goal.GOAL_UNSPECIFIED, tuning.Goal.GOAL_MINIMIZE],
          `expected GOAL_MINIMIZE: ${metric} is a loss`,
        )
        .prefault(tuning.Goal.GOAL_UNSPECIFIED),
    })
    .nullish()
    .transform(() => ({ metric, goal: tuning.Goal.GOAL_MINIMIZE })),
  limits: limits.nullish().transform((given) => given ?? limits.parse({})),
  cost: z
    .object({ gpusPerTrial: amount.transform((n) => n || 1), pricePerGpuHour: amount })
    .nullish()
    .transform((given) => given ?? { gpusPerTrial: 1, pricePerGpuHour: 0 }),
  termination: z
    .object({ error: amount, minTrials: countOr(20, 10_000).prefault(0) })
    .nullish()
    .transform((given) => given ?? { error: 0, minTrials: 20 }),
  warmStart: z
    .array(
      z.object({
        experiment: z.string().regex(namePattern, `expected the name of an experiment: ${nameRule}`),
        best: count.max(1000).prefault(0),
      }),
    )
    .max(20)
    .prefault([]),
  training: training.nullish().transform((given) => given ?? training.parse({})),
});

/** What may stop trials with folds: other pruners compare learning curves, of which such trials have several. */
const foldPruners = ['none', 'wilcoxon'];

/** Settings of a pruner from the message's typed fields; `usual` where it names none. */
function pruningOf(
  message: tuning.EarlyStopping | null | undefined,
  folds: number,
  usual: string,
): EarlyStopping {
  const { settings = {}, variant = '', strata = [], compareAll = false } = message ?? {};
  const name = message?.name || usual;
  const at = 'earlyStopping';
  const violations = new Violations();
  if (folds > 1 && !foldPruners.includes(name))
    violations.add(
      `${at}.name`,
      `expected ${foldPruners.join(' or ')} with training.folds (${folds}), got ${show(name)}`,
    );
  if (folds < 2 && name === 'wilcoxon')
    violations.add(
      `${at}.name`,
      'expected training.folds of 2 or more with "wilcoxon", which compares folds, got none',
    );
  if (compareAll && strata.length > 0) violations.add(`${at}.strata`, 'expected none with compareAll');
  const given = {
    ...settings,
    ...(variant === '' ? {} : { variant }),
    ...(strata.length > 0 || compareAll
      ? {
          strata: strata.map(({ parameter, factor = 0 }) => ({
            parameter,
            ...(factor === 0 ? {} : { factor }),
          })),
        }
      : {}),
  };
  const parsed = violations.collect(() => parseEarlyStopping({ name, settings: given }));
  if (violations.list.length > 0 || !parsed)
    throw new InvalidArgument(
      violations.list.map(({ field, description }) => ({
        field: field.replace(/\.settings\.(strata|variant)/, '.$1'),
        description,
      })),
    );
  return parsed;
}

/** The message of which `pruningOf` makes the same again. */
function pruningMessage({ name, settings }: EarlyStopping): tuning.EarlyStopping {
  const { strata, variant, ...numbers } = settings as {
    strata?: readonly { parameter: string; factor?: number }[];
    variant?: string;
  } & Record<string, number>;
  return {
    name,
    settings: numbers,
    variant: variant ?? '',
    strata: (strata ?? []).map(({ parameter, factor = 0 }) => ({ parameter, factor })),
    compareAll: strata?.length === 0,
  };
}

function checkTunable(parameters: readonly { name: string }[], violations: Violations): void {
  const known = [...tunables.keys()];
  for (const [i, { name }] of parameters.entries())
    if (name !== '' && !tunables.has(name))
      violations.add(['parameters', i, 'name'], () => {
        const near = nearest(name, known);
        const hint = near === undefined ? `expected one of ${known.join(', ')}` : `did you mean "${near}"?`;
        return `no parameter is called ${show(name)}, ${hint}`;
      });
}

function architectureViolations(
  declared: readonly string[],
  parameter: Parameter | undefined,
  at: string,
): readonly Violation[] {
  const found = new Violations();
  declared.forEach((name, i) => {
    if (declared.indexOf(name) < i)
      found.add(
        ['baseModels', i, 'architecture'],
        `expected distinct architectures, got ${show(name)} twice: give each base model a name of its own, or none to go by its model`,
      );
  });
  if (!parameter) return found.list;
  if (parameter.condition) found.add(`${at}.condition`, 'expected none: every trial has an architecture');
  if (parameter.kind !== 'categorical') {
    found.add(at, `expected categorical, got ${parameter.kind}`);
    return found.list;
  }
  parameter.values.forEach((value, i) => {
    if (!declared.includes(String(value)))
      found.add(
        `${at}.categorical.values[${i}]`,
        `expected an architecture of baseModels (${declared.join(', ')}), got ${show(value)}`,
      );
  });
  return found.list;
}

/** @throws InvalidArgument with every violation and its path in the spec. */
export function planOf(spec: tuning.ExperimentSpec | null | undefined): Plan {
  if (!spec) throw InvalidArgument.at('spec', 'expected an experiment, got nothing');
  const violations = new Violations();
  const checked = violations.collect(() => parse(common, spec));
  const baseModels = (checked?.baseModels ?? spec.baseModels ?? []).map((base) => ({
    ...base,
    architecture: base.architecture || base.model,
  }));
  const architectures = baseModels.map(({ architecture }) => architecture);
  const given = spec.parameters ?? [];
  // With several base models the choice between them is part of the search.
  const parameters =
    architectures.length > 1 && !given.some(({ name }) => name === 'architecture')
      ? [
          ...given,
          {
            name: 'architecture',
            categorical: { values: [...new Set(architectures)] },
            condition: undefined,
            default: undefined,
          },
        ]
      : given;
  const space = violations.collect(() => parseSearchSpace(parameters));
  checkTunable(given, violations);
  const position = given.findIndex(({ name }) => name === 'architecture');
  violations.addAll(
    architectureViolations(
      architectures,
      position < 0 ? undefined : space?.byName.get('architecture'),
      fieldPath(['parameters', position]),
    ),
  );
  given.forEach(({ name }, i) => {
    const parameter = name === 'architecture' ? undefined : space?.byName.get(name);
    if (parameter) violations.addAll(unacceptable(parameter, fieldPath(['parameters', i])));
  });
  const { fixed, violations: unfixable } = fixedSettings(spec.training?.settings, {
    known: Object.keys(training.shape),
    parameters: parameters.map(({ name }) => name),
    space,
  });
  violations.addAll(unfixable);
  const algorithm = violations.collect(() => parseSearchAlgorithm(spec.searchAlgorithm ?? {}));
  const lineage = algorithm && lineageOf(algorithm);
  const folds = spec.training?.folds ?? 0;
  const earlyStopping = violations.collect(() =>
    pruningOf(spec.earlyStopping, folds, lineage || folds > 1 ? 'none' : ''),
  );
  if (lineage && checked && space)
    violations.addAll(
      lineageViolations(
        algorithm,
        lineage,
        space,
        { ...spec, parameters: given },
        { ...checked, settings: fixed },
      ),
    );
  if (checked && checked.limits.maxCost > 0 && checked.cost.pricePerGpuHour === 0)
    violations.add(
      'cost.pricePerGpuHour',
      'expected a price above 0, which limits.maxCost is reckoned with, got 0',
    );
  checked?.warmStart.forEach(({ experiment }, i, all) => {
    const field = `warmStart[${i}].experiment`;
    if (experiment === checked.name)
      violations.add(field, `expected an earlier experiment, got this one (${show(experiment)})`);
    if (all.findIndex((other) => other.experiment === experiment) < i)
      violations.add(field, `expected distinct experiments, got ${show(experiment)} twice`);
  });
  if (checked && checked.limits.maxTokens > 0 && checked.limits.maxTokens < searchTokens(checked.training)) {
    const { trialTokens, folds } = checked.training;
    const usual = spec.training?.trialTokens ? '' : ' by default';
    const wanted = `training.trialTokens (${trialTokens}${usual})${folds > 1 ? ` times training.folds (${folds})` : ''}`;
    violations.add('limits.maxTokens', `expected at least ${wanted}, got ${checked.limits.maxTokens}`);
  }
  if (violations.list.length > 0 || !checked || !space || !algorithm || !earlyStopping)
    throw violations.error;
  const settings = Object.fromEntries(
    Object.entries(algorithm.settings).filter((entry): entry is [string, number] => entry[1] !== undefined),
  );
  const whole = { ...checked.training, settings: fixed };
  return {
    spec: {
      ...checked,
      training: whole,
      baseModels,
      searchAlgorithm: { name: algorithm.name, settings },
      earlyStopping: pruningMessage(earlyStopping),
      parameters,
      model: checked.model || checked.name,
    },
    space,
    algorithm,
    earlyStopping,
    limits: checked.limits,
    training: whole,
    settings: fixed,
    cost: checked.cost,
    termination: checked.termination,
  };
}

/** Tokens that a search trial trains on, all folds together. */
export function searchTokens({
  trialTokens,
  folds,
}: Pick<tuning.TrainingSpec, 'trialTokens' | 'folds'>): number {
  return trialTokens * folds;
}
