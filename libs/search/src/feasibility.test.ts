import { describe, expect, it } from 'vitest';
import { learnedFeasibility } from './feasibility.js';
import type { TrialRecord } from './history.js';
import { suggest } from './samplers.js';
import { type Assignment, parseSearchSpace } from './space.js';

const space = parseSearchSpace([
  { name: 'model', categorical: { values: ['small', 'large'] } },
  { name: 'batch', integer: { min: 1, max: 128, log: true } },
  { name: 'rate', double: { min: 1e-5, max: 1e-1, log: true } },
]);
/** 43 % of the volume: the large model holds an eighth of the small one's batch. */
const fits = (v: Assignment) => (v['batch'] as number) * (v['model'] === 'large' ? 8 : 1) <= 64;
/** Best at the wall. */
const loss = (v: Assignment) =>
  (v['model'] === 'large' ? 0 : 0.2) +
  0.1 * (7 - Math.log2(v['batch'] as number)) +
  0.1 * (Math.log10(v['rate'] as number) + 3) ** 2;

function outcome(parameters: Assignment): Pick<TrialRecord, 'state' | 'blames' | 'objective'> {
  return fits(parameters)
    ? { state: 'succeeded', objective: loss(parameters) }
    : { state: 'failed', blames: 'parameters' };
}

function play(
  algorithm: Parameters<typeof suggest>[0],
  trials: number,
  feasibility?: (v: Assignment) => number,
) {
  const history: TrialRecord[] = [];
  for (let number = 0; number < trials; number++) {
    const context = { seed: 1, trialNumber: number, ...(feasibility ? { feasibility } : {}) };
    const parameters = suggest(algorithm, space, history, context);
    history.push({ number, parameters, ...outcome(parameters) });
  }
  return history;
}
const failedIn = (history: readonly TrialRecord[]) =>
  history.filter(({ state }) => state === 'failed').length;

describe('after 60 random trials', () => {
  const history = play({ name: 'random' }, 60);
  const works = learnedFeasibility(space, history) as (v: Assignment) => number;
  const at = (model: string, batch: number, rate = 1e-3) => works({ model, batch, rate });

  it('tells what works from what does not', () => {
    expect(at('small', 4)).toBeGreaterThan(0.9);
    expect(at('large', 2)).toBeGreaterThan(0.9);
    expect(at('large', 64)).toBeLessThan(0.1);
    // The first batch that does not fit.
    expect(at('large', 9)).toBeLessThan(0.9);
    expect(at('large', 4)).toBeGreaterThan(at('large', 16) + 0.5);
  });

  it('knows which parameters have no part in it', () => {
    expect(Math.abs(at('small', 4, 1e-5) - at('small', 4, 1e-1))).toBeLessThan(0.1);
  });

  it('learns violated constraints as it does failures', () => {
    const constrained = history.map((record): TrialRecord => {
      const { blames: _, ...rest } = record;
      return { ...rest, state: 'succeeded', objective: 1, constraints: [fits(record.parameters) ? -1 : 1] };
    });
    const learned = learnedFeasibility(space, constrained) as (v: Assignment) => number;
    expect(learned({ model: 'large', batch: 64, rate: 1e-3 })).toBe(at('large', 64));
  });
});

it('learns nothing where all trials work or none does, or machines are to blame', () => {
  const history = play({ name: 'random' }, 20);
  expect(learnedFeasibility(space, [])).toBeUndefined();
  expect(
    learnedFeasibility(
      space,
      history.filter(({ state }) => state === 'succeeded'),
    ),
  ).toBeUndefined();
  expect(
    learnedFeasibility(
      space,
      history.filter(({ state }) => state === 'failed'),
    ),
  ).toBeUndefined();
  const lost = history.map((r): TrialRecord => (r.state === 'failed' ? { ...r, blames: 'machine' } : r));
  expect(learnedFeasibility(space, lost)).toBeUndefined();
});

it('says of failures that no parameter explains only how many there are', () => {
  const history = play({ name: 'random' }, 30).map((record, i): TrialRecord => {
    const { number, parameters } = record;
    // Every fifth, whatever its values.
    return i % 5 === 3
      ? { number, parameters, state: 'infeasible' }
      : { number, parameters, state: 'succeeded', objective: 1 };
  });
  const works = learnedFeasibility(space, history) as (v: Assignment) => number;
  for (const { parameters } of play({ name: 'random' }, 20))
    expect(works({ ...parameters, batch: 3 })).toBeCloseTo(25 / 32, 12);
});

it.each([1, 4])('gp tries the best right beside what failed, once hardly anything fails: seed %d', (seed) => {
  // One step of the batch further and any model but the smallest fails; the largest at the largest batch that works is best.
  const steps = parseSearchSpace([
    { name: 'size', integer: { min: 1, max: 6 } },
    { name: 'batch', integer: { min: 1, max: 12 } },
  ]);
  const works = (v: Assignment) => (v['size'] as number) * 2 + (v['batch'] as number) <= 17;
  const lossAt = (v: Assignment) => (6 - (v['size'] as number)) * 0.5 + (12 - (v['batch'] as number)) * 0.05;
  const history: TrialRecord[] = [];
  for (let number = 0; number < 40; number++) {
    const parameters = suggest({ name: 'gp' }, steps, history, { seed, trialNumber: number });
    history.push(
      works(parameters)
        ? { number, parameters, state: 'succeeded', objective: lossAt(parameters) }
        : { number, parameters, state: 'failed', blames: 'parameters' },
    );
  }
  const best = history.reduce((a, b) => ((b.objective ?? 9) < (a.objective ?? 9) ? b : a));
  expect(best.parameters).toEqual({ size: 6, batch: 5 });
});

it.each(['tpe', 'gp'])('%s learns to stay where trials work, and still comes to the wall', (name) => {
  const history = play({ name }, 80);
  // At most a tenth; of random trials 43 % fail.
  expect(failedIn(history.slice(50))).toBeLessThanOrEqual(3);
  // The optimum is the large model at batch 8: 0.4. Half the batch costs 0.1 more.
  const best = Math.min(...history.flatMap(({ objective }) => objective ?? []));
  expect(best).toBeLessThan(0.5);
});

it.each(['random', 'sobol', 'grid', 'tpe', 'gp', 'cma-es', 'nsga2', 'pbt'])(
  '%s keeps from the first trial to what is known beforehand',
  (name) => {
    const prior = (v: Assignment) => (fits(v) ? 1 : 0);
    expect(failedIn(play({ name }, 25, prior))).toBe(0);
  },
);
