import { expect, it } from 'vitest';
import type { TrialRecord } from '../history.js';
import { originOf, suggest } from '../samplers.js';
import { parseSearchSpace } from '../space.js';

const space = parseSearchSpace([
  { name: 'rate', double: { min: 1e-5, max: 1, log: true } },
  { name: 'depth', integer: { min: 1, max: 4 } },
  { name: 'kind', categorical: { values: ['a', 'b', 'c'] } },
]);
const pbt = { name: 'pbt', settings: { population: 8, truncation: 0.25, resample: 0 } };
const at = (history: readonly TrialRecord[], trialNumber: number) => {
  const context = { seed: 1, trialNumber };
  return {
    parameters: suggest(pbt, space, history, context),
    origin: originOf(pbt, space, history, context),
  };
};

/** A first generation in which trial k is the k-th best. */
const generation: TrialRecord[] = Array.from({ length: 8 }, (_, number) => ({
  number,
  state: 'succeeded',
  objective: number,
  parameters: suggest({ name: 'random' }, space, [], { seed: 1, trialNumber: number }),
}));

it('begins at random, without a checkpoint', () => {
  expect(at([], 0)).toEqual({ parameters: generation[0].parameters, origin: undefined });
  expect(at(generation.slice(0, 7), 7).origin).toBeUndefined();
});

it('goes on with the better three quarters as they are', () => {
  const history = [...generation];
  for (let number = 8; number < 14; number++) {
    const { parameters, origin } = at(history, number);
    expect(origin).toBe(number - 8);
    expect(parameters).toEqual(generation[number - 8].parameters);
    history.push({ number, parameters, state: 'running' });
  }
});

it('replaces the worst quarter by moved copies of the best, from their checkpoints', () => {
  const running = generation.slice(0, 6).map(
    (r): TrialRecord => ({
      number: r.number + 8,
      parameters: r.parameters,
      state: 'running',
    }),
  );
  for (const number of [14, 15]) {
    const history = [
      ...generation,
      ...running,
      ...generation.slice(0, number - 14).map((r) => ({ ...r, number: 14 })),
    ];
    const { parameters, origin } = at(history, number);
    expect([0, 1]).toContain(origin);
    const parent = generation[origin as number].parameters;
    const moved = Math.log(parameters['rate'] as number) - Math.log(parent['rate'] as number);
    // A tenth of the line from log 1e-5 to 0, but for its ends.
    expect(Math.abs(moved)).toBeLessThanOrEqual(0.1 * Math.log(1e5) + 1e-9);
    expect(moved).not.toBe(0);
    expect(Math.abs((parameters['depth'] as number) - (parent['depth'] as number))).toBeLessThanOrEqual(1);
    expect(parameters['kind']).toBe(parent['kind']);
  }
});

it('takes infeasible and running forerunners for the worst', () => {
  for (const state of ['infeasible', 'running'] as const) {
    const history = generation.map((r): TrialRecord => {
      const { objective: _, ...rest } = r;
      return r.number === 0 ? { ...rest, state } : r;
    });
    // 7 are measured, a quarter of which is one: trial 1.
    expect(at(history, 8).origin).toBe(1);
    expect(at(history, 8).parameters).not.toEqual(generation[0].parameters);
  }
});

it('gives the place of a trial that a machine lost to the next', () => {
  const lost: TrialRecord = {
    number: 8,
    state: 'failed',
    reason: 'LostLease: gone',
    parameters: generation[0].parameters,
  };
  expect(at([...generation, lost], 9).origin).toBe(0);
});

it('follows a rate that has to fall as training goes on', () => {
  // The best rate of generation g is 10^(−1 − g/5): no fixed rate does well, a lineage that is moved on does.
  const history: TrialRecord[] = [];
  for (let number = 0; number < 48; number++) {
    const { parameters } = at(history, number);
    const wanted = -1 - Math.floor(number / 8) / 5;
    const objective = (Math.log10(parameters['rate'] as number) - wanted) ** 2;
    history.push({ number, parameters, state: 'succeeded', objective });
  }
  const last = history.slice(40).map((r) => r.objective as number);
  expect(Math.min(...last)).toBeLessThan(0.1);
});

it('other samplers have every trial begin anew', () => {
  expect(originOf({ name: 'tpe' }, space, generation, { seed: 1, trialNumber: 8 })).toBeUndefined();
});
