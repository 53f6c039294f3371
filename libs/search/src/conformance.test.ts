/** What every sampler keeps to, whatever the space and whatever happened. */
import { Rng } from '@emotune/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TrialRecord } from './history.js';
import { samplerNames, suggest } from './samplers.js';
import { type Assignment, parseAssignment, parseSearchSpace } from './space.js';

const mixed = parseSearchSpace([
  { name: 'method', categorical: { values: ['full', 'lora'] } },
  {
    name: 'rank',
    integer: { min: 1, max: 64, log: true },
    condition: { parameter: 'method', values: ['lora'] },
  },
  {
    name: 'scaled',
    categorical: { values: [true, false] },
    condition: { parameter: 'method', values: ['lora'] },
  },
  { name: 'alpha', double: { min: 1, max: 64 }, condition: { parameter: 'scaled', values: [true] } },
  { name: 'rate', double: { min: 1e-5, max: 1e-2, log: true } },
  { name: 'warmup', double: { min: 0, max: 0.2, step: 0.02 } },
  { name: 'epochs', integer: { min: 1, max: 9, step: 2 } },
  { name: 'fixed', integer: { min: 3, max: 3 } },
  { name: 'only', categorical: { values: ['one'] } },
]);
const square = parseSearchSpace([
  { name: 'x', double: { min: -1, max: 3 } },
  { name: 'y', double: { min: 1e-4, max: 1, log: true } },
]);
const categories = parseSearchSpace([
  { name: 'a', categorical: { values: ['p', 'q', 'r'] } },
  { name: 'b', categorical: { values: [false, true] }, condition: { parameter: 'a', values: ['q', 'r'] } },
]);
const single = parseSearchSpace([
  { name: 'fixed', double: { min: 0.5, max: 0.5 } },
  { name: 'only', categorical: { values: [true] } },
]);
const spaces = { mixed, square, categories, single };

const outcome = fc.oneof(
  fc.record({
    state: fc.constantFrom('succeeded' as const, 'stopped' as const),
    objective: fc.oneof(fc.double(), fc.constantFrom(Number.NaN, Infinity, -Infinity, 0, -0, 1e300, 5e-324)),
    step: fc.nat(100),
  }),
  fc.record({ state: fc.constantFrom('succeeded' as const, 'stopped' as const, 'running' as const) }),
  fc.record({
    state: fc.constantFrom('failed' as const, 'infeasible' as const),
    blames: fc.constantFrom('parameters', 'machine', 'unknown'),
  }),
);

type End = Omit<TrialRecord, 'number' | 'parameters'>;

function bowl(values: Assignment): number {
  const { x, y, rate, warmup, method } = values as Record<string, number & string>;
  if (x !== undefined) return (x - 1) ** 2 + (Math.log10(y) + 2) ** 2;
  if (rate === undefined) return values['a'] === 'q' && values['b'] === true ? 0 : 1;
  return (Math.log10(rate) + 3) ** 2 + 25 * (warmup - 0.1) ** 2 + (method === 'lora' ? 0 : 0.5);
}

/** Trials with values from random search; `end` says how each ends. */
function drawn(space: typeof mixed, count: number, end: (values: Assignment, number: number) => End) {
  return Array.from({ length: count }, (_, number): TrialRecord => {
    const parameters = suggest({ name: 'random' }, space, [], { seed: 'history', trialNumber: number });
    return { number, parameters, ...end(parameters, number) };
  });
}
const measured = (values: Assignment): End => ({ state: 'succeeded', objective: bowl(values) });

describe.each(samplerNames)('%s', (name) => {
  const at = (space: typeof mixed, history: readonly TrialRecord[], trialNumber: number, seed = 1) =>
    suggest({ name }, space, history, { seed, trialNumber });
  /** parseAssignment refuses values off range or grid, inactive and missing ones, and rounds nothing that is right. */
  const expectValid = (space: typeof mixed, values: Assignment) =>
    expect(parseAssignment(space, values)).toEqual(values);

  it('stays in range and on the grid with exactly the active parameters, whatever happened', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.values(spaces)),
        fc.integer(),
        fc.array(outcome, { maxLength: 20 }),
        (space, seed, ends) => {
          const history: TrialRecord[] = [];
          ends.forEach((end, number) => {
            const parameters = at(space, history, number, seed);
            expectValid(space, parameters);
            history.push({ number, parameters, ...end });
          });
        },
      ),
      { numRuns: 25 },
    );
  });

  it.each(Object.keys(spaces))('answers from none, one, many and failed trials: %s', (key) => {
    const space = spaces[key as keyof typeof spaces];
    expectValid(space, at(space, [], 0));
    for (const count of [1, 2, 40])
      for (const end of [
        measured,
        () => ({ state: 'running' }) as const,
        () => ({ state: 'infeasible', blames: 'parameters' }) as const,
        () => ({ state: 'failed', blames: 'machine' }) as const,
        () => ({ state: 'succeeded', objective: 0 }) as const,
      ])
        expectValid(space, at(space, drawn(space, count, end), count));
  });

  it('answers from 10,000 trials', () => {
    expectValid(mixed, at(mixed, drawn(mixed, 10_000, measured), 10_000));
  });

  it('answers from one point tried again and again', () => {
    const [{ parameters }] = drawn(mixed, 1, measured);
    const rng = Rng.of(1, 'noise');
    const history = Array.from({ length: 60 }, (_, number): TrialRecord => {
      return { number, parameters, state: 'succeeded', objective: rng.normal() };
    });
    for (let i = 0; i < 5; i++) expectValid(mixed, at(mixed, history, 60 + i));
  });

  it('depends on space, seed, trial number and history alone', () => {
    for (const space of [mixed, square]) {
      const history = drawn(space, 40, measured);
      const before = at(space, history, 40);
      expect(at(space, structuredClone(history), 40)).toEqual(before);
      // Asking is no event.
      at(space, history.slice(0, 30), 7);
      at(space, history, 41, 2);
      expect(at(space, history, 40)).toEqual(before);
    }
  });

  it('answers the same after a restart in the middle', () => {
    const play = (restart: boolean) => {
      let history: TrialRecord[] = [];
      for (let number = 0; number < 30; number++) {
        if (restart) history = JSON.parse(JSON.stringify(history));
        const parameters = at(mixed, history, number);
        history.push({ number, parameters, ...measured(parameters) });
      }
      return history;
    };
    expect(play(true)).toEqual(play(false));
  });

  it('gives parallel trials values of their own', () => {
    const history = drawn(square, 24, measured);
    for (let number = 24; number < 34; number++)
      history.push({ number, state: 'running', parameters: at(square, history, number) });
    const points = history.slice(24).map(({ parameters }) => JSON.stringify(parameters));
    expect(new Set(points).size).toBe(10);
  });

  it('learns nothing from trials that a machine lost, and none from values that the space does not allow', () => {
    const history = drawn(mixed, 30, measured);
    const lost: TrialRecord[] = drawn(mixed, 35, () => ({ state: 'failed', blames: 'machine' }));
    const odd: TrialRecord = {
      number: 35,
      state: 'succeeded',
      objective: -5,
      parameters: { method: 'other', rate: 7 },
    };
    expect(at(mixed, [...history, ...lost.slice(30)], 36)).toEqual(at(mixed, history, 36));
    expectValid(mixed, at(mixed, [...history, odd], 36));
  });
});
