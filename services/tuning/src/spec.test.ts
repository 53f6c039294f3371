import { InvalidArgument } from '@emotune/base';
import { tuning } from '@emotune/proto';
import { describe, expect, it } from 'vitest';
import { architectureOf } from './architecture.js';
import { lineageTokens } from './lineage.js';
import { planOf } from './spec.js';
import { anywhere, experimentSpec } from './testing.js';

function violations(changes: Parameters<typeof experimentSpec>[0]): Record<string, string> {
  try {
    planOf(experimentSpec(changes));
  } catch (error) {
    if (error instanceof InvalidArgument)
      return Object.fromEntries(error.violations.map((v) => [v.field, v.description]));
    throw error;
  }
  throw new Error('accepted');
}

const parameter = (name: string, kind: Partial<tuning.Parameter>): tuning.Parameter => ({
  name,
  condition: undefined,
  default: undefined,
  ...kind,
});
const double = (min: number, max: number, log = false) => ({ double: { min, max, log, step: 0 } });
const texts = (...values: string[]) => ({ categorical: { values: values } });
const three = ['opt', 'bloom', 'llama'].map((architecture) => ({
  architecture,
  model: `base-${architecture}`,
  ...anywhere,
}));

it('fills in every default, and a filled spec gives the same plan', () => {
  const plan = planOf(experimentSpec());
  expect(plan.spec).toMatchObject({
    model: 'run',
    objective: { metric: 'answer-nll', goal: tuning.Goal.GOAL_MINIMIZE },
    searchAlgorithm: { name: 'auto', settings: { startUpTrials: 10 } },
    limits: { maxTrials: 12, parallelTrials: 1, maxFailedTrials: 3, maxAttempts: 3 },
    training: {
      trialTokens: 100_000,
      finalScale: 1,
      settings: { method: 'full', batchTokens: 2048, patience: 0, checkpointSeconds: 30 },
    },
  });
  expect(planOf(JSON.parse(JSON.stringify(plan.spec)))).toEqual(plan);
  const { limits, training, objective, searchAlgorithm, ...bare } = experimentSpec();
  expect(planOf(bare as tuning.ExperimentSpec)).toEqual(plan);
  expect(planOf(experimentSpec({ limits: { maxTrials: 100 } })).limits.maxFailedTrials).toBe(25);
});

it('searches over the architectures where there are several', () => {
  const plan = planOf(experimentSpec({ baseModels: three }));
  expect(plan.space.byName.get('architecture')).toMatchObject({ values: ['opt', 'bloom', 'llama'] });
  expect(architectureOf(plan.spec, { architecture: 'bloom' })).toBe('bloom');
  expect(planOf(JSON.parse(JSON.stringify(plan.spec)))).toEqual(plan);
  const one = planOf(experimentSpec());
  expect(one.space.byName.has('architecture')).toBe(false);
  expect(architectureOf(one.spec, {})).toBe('opt');
});

it('names every violation with its path', () => {
  expect(
    violations({
      name: 'Run 1',
      features: '',
      model: '-x',
      baseModels: [{ architecture: 'opt', model: '', ...anywhere }],
      objective: { metric: 'accuracy', goal: tuning.Goal.GOAL_MAXIMIZE },
      searchAlgorithm: { name: 'tpe', settings: { candidats: 3 } },
      parameters: [
        parameter('learningRat', double(1e-5, 1e-3)),
        parameter('learningRate', double(1e-3, 1e-5)),
        parameter('warmupRatio', {}),
      ],
      limits: { maxTrials: -1, maxTokens: 1.5 },
      training: { method: 'lorra', replay: 2, batchTokens: 3 },
    }),
  ).toMatchObject({
    name: expect.stringContaining('lower-case'),
    features: expect.stringContaining('feature set'),
    model: expect.stringContaining('lower-case'),
    'baseModels[0].model': expect.stringContaining('base model'),
    'objective.metric': 'expected answer-nll, got "accuracy"',
    'objective.goal': expect.stringContaining('expected GOAL_MINIMIZE'),
    'searchAlgorithm.settings.candidats': expect.stringContaining('did you mean "candidates"?'),
    'parameters[0].name': 'no parameter is called "learningRat", did you mean "learningRate"?',
    'parameters[1].double.min': expect.stringContaining('expected at most max'),
    'parameters[2]': expect.stringContaining('expected one of double, integer, categorical'),
    'limits.maxTrials': expect.any(String),
    'limits.maxTokens': expect.any(String),
    'training.method': expect.stringContaining('full or lora'),
    'training.replay': expect.any(String),
    'training.batchTokens': expect.stringContaining('at least 16'),
  });
});

it('refuses ranges that training cannot take', () => {
  expect(
    violations({
      parameters: [
        parameter('learningRate', double(0, 1)),
        parameter('warmupRatio', double(0, 1.5)),
        parameter('loraRank', double(1, 8)),
        parameter('method', texts('full', 'qlora')),
        parameter('regularisation.perturbation.epsilon', double(0, 1)),
        parameter('regularisation.perturbation.steps', double(1, 3)),
        parameter('regularisation.perturbation.noise', texts('uniform', 'gauss')),
      ],
      limits: { maxTokens: 10 },
    }),
  ).toEqual({
    'parameters[0].double.min': 'expected numbers above 0, got 0',
    'parameters[1].double.max': 'expected numbers from 0 to 1, got 1.5',
    'parameters[2].double': 'expected whole numbers from 1 to 1024: declare it as integer',
    'parameters[3].categorical.values[1]': 'expected full or lora, got "qlora"',
    'parameters[4].double.min': 'expected numbers above 0, got 0',
    'parameters[5].double': 'expected whole numbers from 1 to 16: declare it as integer',
    'parameters[6].categorical.values[1]':
      'expected numbers above 0 (smart), or uniform or normal (r3f), got "gauss"',
    'limits.maxTokens': 'expected at least training.trialTokens (100000 by default), got 10',
  });
});

it('refuses architectures without a base model, and base models that share one', () => {
  expect(
    violations({ baseModels: three, parameters: [parameter('architecture', texts('opt', 'gpt'))] }),
  ).toEqual({
    'parameters[0].categorical.values[1]':
      'expected an architecture of baseModels (opt, bloom, llama), got "gpt"',
  });
  expect(
    violations({ baseModels: [...three, { architecture: 'opt', model: 'other', ...anywhere }] }),
  ).toEqual({
    'baseModels[3].architecture':
      'expected distinct architectures, got "opt" twice: give each base model a name of its own, or none to go by its model',
  });
});

it('takes base models of one family under names of their own, or under those of the models', () => {
  const model = (architecture: string, size: string) => ({
    architecture,
    model: `emotune-opt-${size}`,
    ...anywhere,
  });
  const named = planOf(experimentSpec({ baseModels: [model('small', '4m'), model('large', '16m')] }));
  expect(named.space.byName.get('architecture')).toMatchObject({ values: ['small', 'large'] });
  const unnamed = planOf(experimentSpec({ baseModels: [model('', '4m'), model('', '16m')] }));
  expect(unnamed.space.byName.get('architecture')).toMatchObject({
    values: ['emotune-opt-4m', 'emotune-opt-16m'],
  });
});

it('refuses too many parameters at once, and says that first', () => {
  const many = Array.from({ length: 10_000 }, (_, i) => parameter(`p${i}`, double(0, 1)));
  expect(Object.entries(violations({ parameters: many }))[0]).toEqual([
    'parameters',
    expect.stringContaining('1000'),
  ]);
});

it('early stopping, costs and earlier experiments are checked with the rest', () => {
  expect(
    violations({
      name: 'run',
      earlyStopping: { name: 'asha', settings: { minExamples: 0, warmUp: 1 }, variant: 'halve' },
      limits: { maxCost: 5, maxGpuHours: Number.NaN, parallelTrials: 5000 },
      cost: { gpusPerTrial: -1 },
      termination: { error: Number.NaN, minTrials: 0 },
      warmStart: [{ experiment: 'a', best: -1 }],
    }),
  ).toMatchObject({
    'earlyStopping.settings.minExamples': expect.stringContaining('got 0'),
    'earlyStopping.variant': expect.stringContaining('got "halve"'),
    'limits.maxGpuHours': expect.stringContaining('got NaN'),
    'limits.parallelTrials': expect.stringContaining('got 5000'),
    'cost.gpusPerTrial': expect.stringContaining('got -1'),
    'termination.error': expect.stringContaining('got NaN'),
    'warmStart[0].best': expect.stringContaining('got -1'),
  });
  const refused = violations({
    limits: { maxCost: 5 },
    earlyStopping: { name: 'wilcoxon', strata: [{ parameter: 'a', factor: 0.5 }], compareAll: true },
    warmStart: ['run', 'a', 'a'].map((experiment) => ({ experiment, best: 0 })),
  });
  expect(refused).toEqual({
    'cost.pricePerGpuHour': 'expected a price above 0, which limits.maxCost is reckoned with, got 0',
    'earlyStopping.name':
      'expected training.folds of 2 or more with "wilcoxon", which compares folds, got none',
    'earlyStopping.strata': 'expected none with compareAll',
    'earlyStopping.strata[0].factor': expect.stringContaining('got 0.5'),
    'warmStart[0].experiment': 'expected an earlier experiment, got this one ("run")',
    'warmStart[2].experiment': 'expected distinct experiments, got "a" twice',
  });
});

it('trials with folds are judged by their folds or not at all', () => {
  const usual = planOf(experimentSpec({ training: { folds: 5 } }));
  expect(usual).toMatchObject({ earlyStopping: { name: 'none' }, training: { folds: 5 } });
  const wilcoxon = { name: 'wilcoxon', settings: { pThreshold: 0.3 } };
  for (const plan of [
    usual,
    planOf(experimentSpec({ training: { folds: 2 }, earlyStopping: wilcoxon })),
    planOf(experimentSpec({ training: { folds: 1 } })),
  ])
    expect(planOf(JSON.parse(JSON.stringify(plan.spec)))).toEqual(plan);
  expect(planOf(experimentSpec({ training: { folds: 1 } }))).toEqual(planOf(experimentSpec()));
  expect(
    violations({
      training: { folds: 5, trialTokens: 1000 },
      earlyStopping: { name: 'median', settings: { warmUp: 9 } },
      limits: { maxTokens: 4999 },
    }),
  ).toEqual({
    'earlyStopping.name': 'expected none or wilcoxon with training.folds (5), got "median"',
    'limits.maxTokens': 'expected at least training.trialTokens (1000) times training.folds (5), got 4999',
  });
  for (const folds of [-1, 21, 2.5])
    expect(Object.keys(violations({ training: { folds } }))).toContain('training.folds');
});

it('early stopping with strata, or without any, is the same when it is read again', () => {
  const usual = { name: 'patience', settings: { patience: 5 } };
  expect(planOf(experimentSpec()).spec.earlyStopping).toMatchObject(usual);
  const strata = [
    { parameter: 'architecture', factor: 0 },
    { parameter: 'learningRate', factor: 2 },
  ];
  for (const how of [{ strata }, { compareAll: true }, {}]) {
    const plan = planOf(
      experimentSpec({ earlyStopping: { name: 'median', settings: { warmUp: 9 }, ...how } }),
    );
    expect(planOf(JSON.parse(JSON.stringify(plan.spec)))).toEqual(plan);
    expect(plan.earlyStopping.settings['strata']).toHaveLength('compareAll' in how ? 0 : 2);
  }
});

describe('with trials that go on from each other', () => {
  const pbt = { searchAlgorithm: { name: 'pbt', settings: { population: 4 } } };

  it('a lineage is as long as there are generations, and nothing is pruned', () => {
    const limits = { maxTrials: 10 };
    const plan = planOf(experimentSpec({ ...pbt, limits, training: { trialTokens: 5000 } }));
    expect(lineageTokens(plan)).toBe(15_000);
    expect(plan.spec).toMatchObject({ earlyStopping: { name: 'none' }, training: { finalScale: 1 } });
    expect(planOf(JSON.parse(JSON.stringify(plan.spec)))).toEqual(plan);
    expect(lineageTokens(planOf(experimentSpec()))).toBe(0);
  });

  it('what fits no checkpoint but its own is not searched over; one value of it is none', () => {
    expect(
      violations({
        ...pbt,
        parameters: [
          parameter('weightDecay', double(0, 0.1)),
          // A parameter of some trials only, and before what it depends on.
          parameter('lora.dora', {
            categorical: { values: [true] },
            condition: { parameter: 'optimizer', values: ['lion'] },
          }),
          parameter('loraRank', { integer: { min: 2, max: 8, log: false, step: 0 } }),
          parameter('optimizer', texts('adamw', 'lion')),
          parameter('method', texts('lora')),
          parameter('regularisation.dropout.lora', double(0, 0.5)),
        ],
      }),
    ).toEqual(
      Object.fromEntries(
        [
          [1, 'lora.dora'],
          [2, 'loraRank'],
          [3, 'optimizer'],
        ].map(([i, name]) => [
          `parameters[${i}].name`,
          `expected one value in all trials, got "${name}" to search over: trials of pbt go on from each other's checkpoints, which fit one value of it`,
        ]),
      ),
    );
    expect(violations({ ...pbt, baseModels: three })).toEqual({
      baseModels: expect.stringContaining('expected one base model, got 3'),
    });
  });

  it('all that they exclude is refused at once', () => {
    expect(
      violations({
        ...pbt,
        earlyStopping: { name: 'median' },
        limits: { maxTrials: 4 },
        training: { patience: 2, finalScale: 2, folds: 3, trialTokens: 4000, batchTokens: 1024 },
        termination: { error: 0.1, minTrials: 0 },
        parameters: [parameter('gradientAccumulation', { integer: { min: 1, max: 4, log: false, step: 0 } })],
      }),
    ).toEqual({
      'earlyStopping.settings.warmUp': expect.stringContaining('got nothing'),
      'earlyStopping.name': 'expected none with pbt, which replaces the worst trials itself, got "median"',
      'training.patience': expect.stringContaining('expected 0 with pbt'),
      'training.folds': expect.stringContaining('expected none with pbt'),
      'training.finalScale': expect.stringContaining('expected 1 with pbt'),
      'training.trialTokens': 'expected at least the tokens of a step (4096) with pbt, got 4000',
      'termination.error': expect.stringContaining('expected 0 with pbt'),
      'limits.maxTrials': expect.stringContaining('got 4'),
    });
  });
});
