import { expect, it } from 'vitest';
import { planOf } from './spec.js';
import type { Attempt, Trial } from './state.js';
import { anywhere, experimentSpec } from './testing.js';
import { newTrial } from './transitions.js';
import { warmStart } from './warm-start.js';

const base = (architecture: string, model: string, version = '1') => ({
  architecture,
  model,
  version,
  prefix: '',
  tokenizer: '',
});
const trial = (number: number, learningRate: number, changes: Partial<Trial> = {}): Trial => ({
  ...newTrial({ number, kind: 'search', parameters: { learningRate }, totalTokens: 1, enqueued: false }, 0),
  state: 'succeeded',
  objective: 10 - number,
  step: 3,
  ...changes,
});
const double = (name: string, min: number, max: number, more: object = {}) => ({
  name,
  double: { min, max, log: false, step: 0 },
  condition: undefined,
  default: undefined,
  ...more,
});

const whole = planOf(experimentSpec({ name: 'old', training: { replay: 0.25 } })).spec;
/** Accepted before the default of weightDecay was recorded. */
const { weightDecay: _, ...settings } = whole.training!.settings;

const earlier = {
  spec: { ...whole, training: { ...whole.training!, settings } },
  bases: [base('opt', 'base-opt')],
  best: 0,
  trials: [
    trial(0, 1e-3),
    trial(1, 5e-3),
    trial(2, 2e-3, { state: 'infeasible', objective: null, reason: 'OutOfMemory: x' }),
    trial(3, 3e-3, { state: 'failed', objective: null, reason: 'LostLease: x' }),
    trial(4, 4e-3, { state: 'cancelled' }),
    trial(5, 4e-3, { kind: 'final' }),
    trial(6, 6e-3, { state: 'stopped', objective: 1 }),
  ],
};
const bases = [base('small', 'base-opt'), base('large', 'base-bloom')];
const plan = (changes: Parameters<typeof experimentSpec>[0] = {}) =>
  planOf(
    experimentSpec({
      name: 'new',
      baseModels: bases.map(({ architecture, model }) => ({ architecture, model, ...anywhere })),
      parameters: [
        double('learningRate', 1e-4, 5.5e-3),
        double('replay', 0, 1),
        double('weightDecay', 0, 1, { default: 0.5 }),
      ],
      ...changes,
    }),
  );

it('learns nothing of trials that went on from each other, whose objectives are of more than their parameters', () => {
  const lineages = experimentSpec({
    name: 'old',
    searchAlgorithm: { name: 'pbt' },
    limits: { maxTrials: 20 },
  });
  const from = { ...earlier, spec: planOf(lineages).spec, best: 1 };
  const { history, first } = warmStart(plan(), bases, [from]);
  expect([history, first.length]).toEqual([[], 1]);
});

it('takes over what the space allows, with fixed settings and defaults for what was not searched', () => {
  const { history, first } = warmStart(plan(), bases, [earlier]);
  const at = (learningRate: number) => ({
    parameters: { architecture: 'small', replay: 0.25, weightDecay: 0.5, learningRate },
  });
  expect(history).toMatchObject([
    { number: -3, state: 'succeeded', objective: 10, ...at(1e-3) },
    { number: -2, state: 'succeeded', objective: 9, ...at(5e-3) },
    { number: -1, state: 'infeasible', reason: 'OutOfMemory: x', ...at(2e-3) },
  ]);
  expect(first).toEqual([]);
  const recorded = warmStart(plan(), bases, [{ ...earlier, spec: whole }]).history;
  expect(recorded.map(({ parameters }) => parameters['weightDecay'])).toEqual([0.01, 0.01, 0.01]);
});

it('compares no objectives of other data or budgets, but tries their best configurations', () => {
  const others = [
    { features: 'other' },
    { training: { trialTokens: 7 } },
    { training: { validationExamples: 7 } },
    { training: { folds: 3 } },
  ];
  for (const changes of others) {
    const { history, first } = warmStart(plan(changes), bases, [{ ...earlier, best: 2 }]);
    expect(history).toEqual([]);
    expect(first).toMatchObject([{ learningRate: 5e-3 }, { learningRate: 1e-3 }]);
  }
});

it('knows a base model by its version, and tries a configuration once', () => {
  const newer = [base('small', 'base-opt', '2')];
  expect(warmStart(plan(), newer, [{ ...earlier, best: 2 }])).toEqual({ history: [], first: [] });
  const best = { ...earlier, best: 1 };
  const { first, history } = warmStart(plan(), bases, [best, best]);
  expect(first).toHaveLength(1);
  expect(history.map(({ number }) => number)).toEqual([-6, -5, -4, -3, -2, -1]);
});

it('takes numbers on the nearest step, drops what is not active, and tries the best that fit', () => {
  const method = { ...double('method', 0, 0), double: undefined };
  const changed = plan({
    parameters: [
      { ...double('learningRate', 1e-3, 3e-3), double: { min: 1e-3, max: 3e-3, log: false, step: 2e-3 } },
      { ...method, categorical: { values: ['full', 'lora'] } },
      {
        name: 'loraRank',
        integer: { min: 4, max: 64, log: false, step: 4 },
        condition: { parameter: 'method', values: ['lora'] },
        default: 16,
      },
    ],
  });
  const values = (learningRate: number, rest: object) => ({ parameters: { learningRate, ...rest } });
  const trials = [
    trial(0, 0, values(1e-3, { method: 'lora', loraRank: 9 })),
    trial(1, 0, values(2.9e-3, { loraRank: 8 })),
    trial(2, 0, values(2e-2, { method: 'lora' })),
    trial(3, 0, values(3e-3, { method: 'lora' })),
  ];
  const { history, first } = warmStart(changed, bases, [{ ...earlier, trials, best: 2 }]);
  const small = { architecture: 'small' };
  const [lora, full, usual] = [
    { ...small, learningRate: 1e-3, method: 'lora', loraRank: 8 },
    // The earlier experiment's method, whose trials have no rank.
    { ...small, learningRate: 3e-3, method: 'full' },
    { ...small, learningRate: 3e-3, method: 'lora', loraRank: 16 },
  ];
  expect(history.map(({ parameters }) => parameters)).toEqual([lora, full, usual]);
  expect(first).toEqual([usual, full]);
});

it('does not hold against a trial that it ran out of another memory', () => {
  const reasons = (memoryLimitMib: number) =>
    warmStart(plan({ training: { memoryLimitMib } }), bases, [earlier]).history.map(({ reason }) => reason);
  expect(reasons(0)).toEqual(['', '', 'OutOfMemory: x']);
  expect(reasons(900)).toEqual(['', '']);
});

it('takes over what trials cost where a trial has the same threads and GPUs', () => {
  const attempt: Attempt = {
    number: 1,
    step: 3,
    checkpoint: '',
    checkpointAsks: 0,
    leaseUntil: 0,
    begunAt: 0,
    outcome: 'succeeded',
    reason: '',
    createdAt: 0,
    endedAt: 7_200_000,
  };
  const trials = [trial(0, 1e-3, { attempts: [attempt] })];
  const costs = (changes: Parameters<typeof plan>[0]) =>
    warmStart(plan(changes), bases, [{ ...earlier, trials }]).history.map(({ cost }) => cost);
  expect(costs({})).toEqual([2]);
  expect(costs({ training: { threads: 2 } })).toEqual([undefined]);
  expect(costs({ cost: { gpusPerTrial: 2 } })).toEqual([undefined]);
});
