import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TrialRecord } from '../history.js';
import { lineageOf, parseSearchAlgorithm, suggest, suggestion } from '../samplers.js';
import { parseSearchSpace } from '../space.js';

const space = parseSearchSpace([
  { name: 'rate', double: { min: 1e-5, max: 1, log: true } },
  { name: 'depth', integer: { min: 1, max: 4 } },
  { name: 'kind', categorical: { values: ['a', 'b', 'c'] } },
]);
const pbt = { name: 'pbt', settings: { population: 8, truncation: 0.25, resample: 0 } };
const at = (history: readonly TrialRecord[], trialNumber: number) => {
  const { values, origin } = suggestion(pbt, space, history, { seed: 1, trialNumber });
  return { parameters: values, origin };
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
    blames: 'machine',
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
  const tpe = parseSearchAlgorithm({ name: 'tpe' });
  expect(suggestion(tpe, space, generation, { seed: 1, trialNumber: 8 }).origin).toBeUndefined();
  expect(lineageOf(tpe)).toBeUndefined();
});

it('goes on from no trial of another experiment, however good', () => {
  const foreign = generation.map((r) => ({ ...r, number: r.number - 8, objective: -1 }));
  expect(at(foreign, 0)).toEqual({ parameters: generation[0].parameters, origin: undefined });
  expect(at([...foreign, ...generation], 8).origin).toBe(0);
});

describe('lineages', () => {
  const two = parseSearchAlgorithm({ name: 'pbt', settings: { population: 2 } });
  const lineage = lineageOf(two)!;
  const { parameters } = generation[0];
  /** m: measured, r: running, i: infeasible, l: lost with its machine. */
  const historyOf = (states: string): TrialRecord[] =>
    [...states].map((letter, number): TrialRecord => {
      if (letter === 'm') return { number, parameters, state: 'succeeded', objective: number };
      if (letter === 'r') return { number, parameters, state: 'running' };
      if (letter === 'i') return { number, parameters, state: 'infeasible' };
      return { number, parameters, state: 'failed', blames: 'machine' };
    });

  it.each([
    ['', false],
    ['r', false],
    ['rm', true],
    ['mm', false],
    ['mmr', false],
    ['mmrm', true],
    ['mmrmm', true],
    ['mmil', false],
    ['mmilr', true],
  ])('after %s the next trial waits: %s', (states, waits) => {
    const history = historyOf(states);
    expect(lineage.waits(space, history, { seed: 1, trialNumber: history.length }, two.settings)).toBe(waits);
  });

  it('are as long as there are generations, the last one begun', () => {
    expect([1, 2, 3, 4, 5].map((trials) => lineage.longest(trials, two.settings))).toEqual([1, 1, 2, 2, 3]);
  });

  it('an origin is never older than was foretold, whatever becomes of those that ran', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...'mmril'), { minLength: 1, maxLength: 12 }),
        fc.array(fc.constantFrom(...'mil'), { minLength: 12, maxLength: 12 }),
        fc.array(fc.constantFrom(...'mmril'), { maxLength: 4 }),
        (now, ends, later) => {
          const oldest = lineage.oldestOrigin(space, historyOf(now.join('')), two.settings);
          const then = now.map((letter, i) => (letter === 'r' ? ends[i] : letter));
          const history = historyOf([...then, ...later].join(''));
          const { origin } = suggestion(two, space, history, { seed: 1, trialNumber: history.length });
          if (origin !== undefined) {
            expect(origin).toBeGreaterThanOrEqual(oldest);
            expect(history[origin].state).toBe('succeeded');
          }
        },
      ),
    );
  });

  it('let go of generations that nobody goes on from any more', () => {
    expect(lineage.oldestOrigin(space, historyOf('mmm'), two.settings)).toBe(0);
    expect(lineage.oldestOrigin(space, historyOf('mmmm'), two.settings)).toBe(2);
    // Nothing is known of the second.
    expect(lineage.oldestOrigin(space, historyOf('mmiim'), two.settings)).toBe(0);
  });
});
