import { suggest } from '@emotune/search';
import { describe, expect, it } from 'vitest';
import { type GeneratedProblem, problemOf } from './generated-problems.js';
import { generatedProblem } from './random-problems.js';

const seeds = Array.from({ length: 60 }, (_, i) => i);
const problems = seeds.map(generatedProblem);
const draws = ({ seed, ...generated }: GeneratedProblem, count: number) => {
  const problem = problemOf({ seed, ...generated });
  return Array.from({ length: count }, (_, trialNumber) =>
    suggest({ name: 'random' }, problem.space, [], { seed: `test ${seed}`, trialNumber }),
  );
};

describe('generated problems', () => {
  it('follow from their seed, also as JSON', () => {
    for (const seed of seeds)
      expect(JSON.parse(JSON.stringify(generatedProblem(seed)))).toEqual(problems[seed]);
  });

  it('are 0 at their optimum, where nothing fails, and nowhere below', () => {
    for (const generated of problems) {
      const problem = problemOf(generated);
      expect(problem.fails?.(generated.optimum) ?? false).toBe(false);
      expect(problem.valueOf(generated.optimum)).toBeCloseTo(0, 12);
      for (const values of draws(generated, 100))
        if (!problem.fails?.(values)) expect(problem.valueOf(values)).toBeGreaterThanOrEqual(-1e-8);
    }
  });

  it('have all that search spaces have: 2 to 12 parameters, logs, integers, categories, conditions two deep', () => {
    const spaces = problems.map((generated) => problemOf(generated).space);
    const sizes = spaces.map(({ parameters }) => parameters.length);
    expect([Math.min(...sizes), Math.max(...sizes)]).toEqual([2, 12]);
    const all = spaces.flatMap(({ parameters }) => parameters);
    for (const kind of ['double', 'integer'])
      expect(all.some((p) => p.kind === kind && p.kind !== 'categorical' && p.log)).toBe(true);
    expect(all.some(({ kind }) => kind === 'categorical')).toBe(true);
    const deep = spaces.filter(({ parameters, byName }) =>
      parameters.some((p) => p.condition && byName.get(p.condition.parameter)?.condition),
    );
    expect(deep.length).toBeGreaterThan(6);
    expect(problems.filter(({ noise }) => noise).length).toBeGreaterThan(6);
    expect(problems.filter(({ limits }) => limits.length > 0).length).toBeGreaterThan(6);
    const kinds = new Set(problems.flatMap(({ terms }) => terms.map(({ kind }) => kind)));
    expect([...kinds].sort()).toEqual([
      'basin',
      'curve',
      'funnel',
      'offset',
      'power',
      'product',
      'slope',
      'table',
      'terraces',
      'waves',
      'wells',
    ]);
  });

  it('have numbers that act together alone, in a half of them', () => {
    const acting = problems.filter(({ terms }) =>
      terms.some(({ kind }) => ['funnel', 'product', 'wells', 'table'].includes(kind)),
    );
    expect(acting.length).toBeGreaterThan(15);
    expect(acting.length).toBeLessThan(45);
  });

  it('measure what the peer measures', () => {
    // By value_of, fails and noise_of of test/peers/optuna_search.py.
    const oracle: readonly [seed: number, value: number, fails: boolean, noise: number][] = [
      [7, 2.518919186648312, false, 0.0],
      [8, 0.7045743892494942, false, -0.01175643689121254],
      [10, 0.2421473079220364, true, -0.0023626180714501318],
      [14, 0.024296700603126747, true, 0.009365737812651397],
      [24, 0.9726477371259783, false, 0.0],
      [28, 0.5016719081173414, false, 0.0],
      [33, 1.6111224618350255, false, 0.0],
      [43, 0.4023548195618787, false, 0.0],
      [46, 1.5640595641867336, false, 0.0],
    ];
    for (const [seed, value, fails, noise] of oracle) {
      const generated = problems[seed];
      const problem = problemOf(generated);
      const [values] = draws(generated, 1);
      expect(problem.valueOf(values) / value).toBeCloseTo(1, 12);
      expect(problem.fails?.(values) ?? false).toBe(fails);
      if (noise !== 0)
        expect(problem.measuredAt!(values, 3, 7) - problem.valueOf(values)).toBeCloseTo(noise, 12);
    }
  });
});
