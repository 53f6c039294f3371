import { parseConfig } from '@emotune/models';
import type { featurization, tuning } from '@emotune/proto';
import { type Assignment, suggest, suggestDefaults, type TrialRecord } from '@emotune/search';
import { MemoryForecast, trialSettings } from '@emotune/training';
import { describe, expect, it } from 'vitest';
import { memoryPrior, nothingFits, rowLengths } from './memory.js';
import { planOf } from './spec.js';
import { anywhere, experimentSpec } from './testing.js';

const config = parseConfig({
  model_type: 'llama',
  vocab_size: 500,
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 1,
  num_attention_heads: 4,
  max_position_embeddings: 256,
});
const lengths = { longest: 160, answerShare: 0.05 };
const rows = { t: lengths };
const base = { architecture: 'opt', model: 'base-opt', version: '1', prefix: '', tokenizer: 't', config };

const conditional = (name: string, more: object): tuning.Parameter => ({
  name,
  double: undefined,
  integer: undefined,
  categorical: undefined,
  default: undefined,
  condition: undefined,
  ...more,
});
const parameters = [
  ...experimentSpec().parameters,
  conditional('method', { categorical: { values: ['full', 'lora'] } }),
  conditional('loraRank', {
    integer: { min: 4, max: 64, log: false, step: 1 },
    condition: { parameter: 'method', values: ['lora'] },
  }),
  conditional('batchTokens', { integer: { min: 256, max: 8192, log: false, step: 1 } }),
];
const plan = (memoryLimitMib: number, changes: Parameters<typeof experimentSpec>[0] = {}) =>
  planOf(experimentSpec({ parameters, training: { memoryLimitMib }, ...changes }));
const limit = 230;

/** MiB that the run of these values is planned with, as its trainer does before it begins. */
const forecast = new MemoryForecast(config, lengths);
const fits = (values: Assignment) =>
  forecast.shortage(
    trialSettings(values, plan(limit).settings, { threads: 1, tokens: 1, seed: 1 }),
    limit * 2 ** 20,
  ) === undefined;

/** The values of 16 trials, each as good as its rate is near 0.001, and infeasible where it does not fit. */
function searched(name: string, feasibility: ReturnType<typeof memoryPrior>): Assignment[] {
  const { algorithm, space } = plan(limit, { searchAlgorithm: { name, settings: {} } });
  const history: TrialRecord[] = [];
  for (let number = 0; number < 16; number++) {
    const values = suggest(algorithm, space, history, { seed: 1, trialNumber: number, feasibility });
    const objective = (Math.log10(values['learningRate'] as number) + 3) ** 2;
    history.push({
      number,
      parameters: values,
      ...(fits(values)
        ? { state: 'succeeded', objective }
        : { state: 'infeasible', reason: 'OutOfMemory: x' }),
    });
  }
  return history.map((record) => record.parameters);
}

describe('the plan of the memory as a prior', () => {
  const prior = memoryPrior(plan(limit), [base], rows);

  it.each(['random', 'tpe'])('%s suggests nothing that does not fit', (name) => {
    const free = searched(name, undefined).filter((values) => !fits(values));
    expect(free.length).toBeGreaterThan(name === 'tpe' ? 1 : 5);
    expect(searched(name, prior).filter((values) => !fits(values))).toEqual([]);
  });

  it('passes over defaults that do not fit', () => {
    const changes = {
      parameters: parameters.map((parameter) =>
        parameter.name === 'batchTokens' ? { ...parameter, default: 8192 } : parameter,
      ),
    };
    const context = (mib: number) => ({
      seed: 1,
      trialNumber: 0,
      feasibility: memoryPrior(plan(mib, changes), [base], rows),
    });
    expect(suggestDefaults(plan(limit, changes).space, context(limit))).toBeUndefined();
    expect(suggestDefaults(plan(limit, changes).space, context(9_000))).toMatchObject({
      batchTokens: 8192,
    });
  });

  it('is 0 for what training refuses, 1 where nothing is known of the base model, and absent without a limit', () => {
    const dropout = conditional('regularisation.dropout.lora', { double: { min: 0.1, max: 0.2 } });
    const some = memoryPrior(plan(limit, { parameters: [...parameters, dropout] }), [base], rows);
    const values = {
      learningRate: 0.1,
      method: 'full',
      batchTokens: 256,
      'regularisation.dropout.lora': 0.1,
    };
    expect(some?.(values)).toBe(0);
    expect(some?.({ ...values, method: 'lora', loraRank: 4 })).toBe(1);
    const { config: _, ...unknown } = base;
    expect(memoryPrior(plan(limit), [unknown], rows)?.({ batchTokens: 1e6 })).toBe(1);
    expect(memoryPrior(plan(0), [base], rows)).toBeUndefined();
    expect(memoryPrior(plan(limit), [base], undefined)).toBeUndefined();
  });
});

describe('an experiment of which nothing fits', () => {
  it('is refused with the plan of its smallest configuration and what to change', () => {
    const [violation, ...others] = nothingFits(plan(190), [base], rows);
    expect(others).toEqual([]);
    expect(violation.field).toBe('training.memoryLimitMib');
    expect(violation.description).toMatch(
      /^expected at least \d+, which the smallest configuration of the search takes \(\{"architecture":"opt","learningRate":0.00001,"method":"lora","loraRank":4,"batchTokens":256\}\), got 190: the run would need \d+ MiB \(weights .* no batchTokens fits; a batch of one line would need, MiB: as it is \d+, with recompute: blocks/,
    );
    const least = Number(/at least (\d+)/.exec(violation.description)![1]);
    expect(nothingFits(plan(least), [base], rows)).toEqual([]);
    expect(nothingFits(plan(0), [base], rows)).toEqual([]);
  });

  it('is found by its weights before the rows are known', () => {
    expect(nothingFits(plan(100), [base], undefined)[0].description).toMatch(/^expected at least \d+/);
    expect(nothingFits(plan(limit), [base], undefined)).toEqual([]);
  });

  it('is let through where another base model may fit, or where there are too many choices to plan', () => {
    const { config: _, ...unknown } = base;
    const baseModels = ['opt', 'bloom'].map((architecture) => ({
      architecture,
      model: `base-${architecture}`,
      ...anywhere,
    }));
    const both = [base, { ...unknown, architecture: 'bloom' }];
    expect(nothingFits(plan(100, { baseModels }), both, rows)).toEqual([]);
    const schedules = ['constant', 'linear', 'cosine', 'inverse_sqrt', 'warmup_stable_decay'];
    const choice = (name: string, values: readonly (string | number)[]) =>
      conditional(name, { categorical: { values } });
    const many = [
      choice('schedule', schedules),
      choice('optimizer', ['adamw', 'adafactor', 'lion']),
      choice('gradientAccumulation', [1, 2, 3, 4, 5]),
    ];
    expect(nothingFits(plan(100, { parameters: many }), [base], rows)).toEqual([]);
    expect(nothingFits(plan(100, { parameters: many.slice(0, 2) }), [base], rows)).toHaveLength(1);
  });
});

it('knows the rows of a feature set by tokenizer, where there are rows to train on', () => {
  const split = (name: string, longest: number, tokens = 1000) => ({
    split: name,
    longest,
    tokens,
    answerTokens: 50,
  });
  const splits = [split('train', 90), split('validation', 120), split('test', 4000)];
  const tokenized = [
    { tokenizer: 'a', splits },
    { tokenizer: 'b', splits: splits.slice(1) },
  ];
  expect(rowLengths({ tokenized } as unknown as featurization.FeatureSet)).toEqual({
    a: { longest: 120, answerShare: 0.05 },
  });
});
