/** That samplers with a model of the objective find optima which random search does not. */
import { describe, expect, it } from 'vitest';
import type { TrialRecord } from '../history.js';
import { suggest } from '../samplers.js';
import { type Assignment, parseSearchSpace, type SearchSpace } from '../space.js';

type Measure = (values: Assignment) => Pick<TrialRecord, 'objective' | 'objectives' | 'constraints'>;

function play(
  algorithm: Parameters<typeof suggest>[0],
  space: SearchSpace,
  trials: number,
  seed: number,
  measure: Measure,
): TrialRecord[] {
  const history: TrialRecord[] = [];
  for (let number = 0; number < trials; number++) {
    const parameters = suggest(algorithm, space, history, { seed, trialNumber: number });
    history.push({ number, parameters, state: 'succeeded', ...measure(parameters) });
  }
  return history;
}

const best = (history: readonly TrialRecord[]) => Math.min(...history.map((r) => r.objective as number));
const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1];
const plane = parseSearchSpace([
  { name: 'x', double: { min: -5, max: 10 } },
  { name: 'y', double: { min: 0, max: 15 } },
]);

describe('gp', () => {
  it('with expected improvement and with a confidence bound finds the bottom of a bowl', () => {
    const bowl: Measure = (v) => ({
      objective: ((v['x'] as number) - 3) ** 2 + ((v['y'] as number) - 4) ** 2,
    });
    // 24 random points of the plane leave about 2.
    for (const settings of [{}, { beta: 4 }])
      expect(best(play({ name: 'gp', settings }, plane, 24, 1, bowl))).toBeLessThan(0.1);
  });

  it('finds the best category with its number', () => {
    const mixed = parseSearchSpace([
      { name: 'c', categorical: { values: ['a', 'b', 'c', 'd'] } },
      { name: 'x', double: { min: 0, max: 1 } },
      { name: 'n', integer: { min: 1, max: 9 } },
    ]);
    const measure: Measure = (v) => ({
      objective:
        (v['c'] === 'c' ? 0 : 0.3) +
        ((v['x'] as number) - (v['c'] === 'c' ? 0.8 : 0.2)) ** 2 +
        0.02 * Math.abs((v['n'] as number) - 7),
    });
    expect(best(play({ name: 'gp' }, mixed, 40, 1, measure))).toBeLessThan(0.01);
  });

  it('tries nothing twice while there is something else, not even the best', () => {
    const few = parseSearchSpace([
      { name: 'c', categorical: { values: ['a', 'b', 'c'] } },
      { name: 'n', integer: { min: 1, max: 9 } },
    ]);
    // Two of three categories are worse by far, so expected improvement alone comes back to the best.
    const measure: Measure = (v) => ({ objective: (v['c'] === 'b' ? 0 : 5) + ((v['n'] as number) - 7) ** 2 });
    const trials = play({ name: 'gp' }, few, 27, 1, measure).slice(10);
    expect(new Set(trials.map(({ parameters }) => JSON.stringify(parameters))).size).toBe(trials.length);
  });
});

describe('cma-es', () => {
  const valley = parseSearchSpace(
    Array.from({ length: 4 }, (_, i) => ({ name: `x${i}`, double: { min: -2, max: 2 } })),
  );

  it('follows a long valley at an angle', () => {
    // A rotated ellipsoid of condition 100, centre (0.7, …).
    const measure: Measure = (v) => {
      const x = Object.values(v).map((value) => (value as number) - 0.7);
      const along = x.reduce((sum, xi) => sum + xi, 0) / 2;
      const across = x.reduce((sum, xi) => sum + (xi - along / 2) ** 2, 0);
      return { objective: along ** 2 + 100 * across };
    };
    const medianOf = (name: string) =>
      median([1, 2, 3, 4, 5].map((seed) => best(play({ name }, valley, 300, seed, measure))));
    expect(medianOf('cma-es')).toBeLessThan(0.01 * medianOf('random'));
  });

  it('does not freeze on the grid', () => {
    const grid = parseSearchSpace([
      { name: 'a', integer: { min: 0, max: 20 } },
      { name: 'b', double: { min: 0, max: 2, step: 0.25 } },
      { name: 'x', double: { min: -1, max: 1 } },
    ]);
    const measure: Measure = (v) => ({
      objective:
        ((v['a'] as number) - 17) ** 2 + 4 * ((v['b'] as number) - 1.75) ** 2 + (v['x'] as number) ** 2,
    });
    for (const seed of [1, 2, 3]) {
      const history = play({ name: 'cma-es' }, grid, 250, seed, measure);
      expect(best(history)).toBeLessThan(0.01);
      expect(new Set(history.slice(-60).map(({ parameters }) => parameters['a'])).size).toBeGreaterThan(1);
    }
  });
});

describe('several objectives', () => {
  // Schaffer 1985, in two dimensions: the front is x ∈ [0, 2], y = 7.
  const schaffer: Measure = (v) => {
    const [x, y] = [v['x'] as number, v['y'] as number];
    return { objectives: [x ** 2 + (y - 7) ** 2, (x - 2) ** 2 + (y - 7) ** 2] };
  };
  const near = (history: readonly TrialRecord[]) =>
    history.filter(({ parameters: p }) => {
      const [x, y] = [p['x'] as number, p['y'] as number];
      return x > -0.2 && x < 2.2 && Math.abs(y - 7) < 0.5;
    });

  it.each(['nsga2', 'tpe'])('%s gathers along the whole front', (name) => {
    const found = near(play({ name }, plane, 240, 1, schaffer));
    // Random search: 240 · 2.4 · 1 / 225 = 2.6 expected.
    expect(found.length).toBeGreaterThan(20);
    const xs = found.map(({ parameters }) => parameters['x'] as number);
    expect(Math.min(...xs)).toBeLessThan(0.5);
    expect(Math.max(...xs)).toBeGreaterThan(1.5);
  });

  it.each(['nsga2', 'tpe'])('%s keeps to constraints', (name) => {
    // The bottom of the bowl, x = 0, is forbidden: best is x = 4.
    const measure: Measure = (v) => ({
      objective: (v['x'] as number) ** 2 + (v['y'] as number),
      constraints: [4 - (v['x'] as number)],
    });
    const history = play({ name }, plane, 200, 1, measure);
    // Random: 0.4.
    const feasible = history.slice(100).filter(({ parameters }) => (parameters['x'] as number) >= 4);
    expect(feasible.length).toBeGreaterThan(55);
  });
});
