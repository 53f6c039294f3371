import { InvalidArgument } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import { parseSearchAlgorithm, suggest, suggestDefaults } from './samplers.js';
import { parseAssignment, parseSearchSpace } from './space.js';

function violations(run: () => unknown): string[] {
  try {
    run();
  } catch (error) {
    if (error instanceof InvalidArgument) return error.violations.map((v) => `${v.field}: ${v.description}`);
    throw error;
  }
  throw new Error('accepted');
}

const space = parseSearchSpace([
  { name: 'method', categorical: { values: ['full', 'lora'] } },
  {
    name: 'rank',
    integer: { min: 1, max: 64, log: true },
    condition: { parameter: 'method', values: ['lora'] },
  },
  { name: 'rate', double: { min: 1e-5, max: 1e-2, log: true } },
  { name: 'warmup', double: { min: 0, max: 0.2, step: 0.02 } },
  { name: 'fixed', integer: { min: 3, max: 3 } },
]);

describe('parseSearchSpace reports every violation with its path', () => {
  it('of ranges, logarithms, categories and names', () => {
    const found = violations(() =>
      parseSearchSpace([
        { name: 'a', double: { min: 2, max: 1 } },
        { name: 'b', double: { min: 0, max: 1, log: true } },
        { name: 'c', categorical: { values: [] } },
        { name: 'a', integer: { min: 0, max: 3 } },
        { name: 'd', double: { min: 0, mx: 1 } },
      ]),
    );
    for (const field of [
      'parameters[0]',
      'parameters[1]',
      'parameters[2]',
      'parameters[3]',
      'parameters[4]',
    ]) {
      expect(found.some((text) => text.startsWith(field))).toBe(true);
    }
    expect(found.join('\n')).toContain('did you mean "max"?');
  });

  it('of conditions: unknown parents and cycles', () => {
    const p = (name: string, parent: string) => ({
      name,
      categorical: { values: ['x', 'y'] },
      condition: { parameter: parent, values: ['x'] },
    });
    expect(violations(() => parseSearchSpace([p('alpha', 'beta'), p('beta', 'alpha')])).join('\n')).toContain(
      'expected no cycle',
    );
    expect(
      violations(() =>
        parseSearchSpace([p('alpha', 'metod'), { name: 'method', categorical: { values: ['x', 'y'] } }]),
      ).join('\n'),
    ).toContain('did you mean "method"?');
  });

  it('of size, quickly', () => {
    const many = Array.from({ length: 10_000 }, (_, i) => ({
      name: `p${i}`,
      integer: { min: 0, max: 1 },
    }));
    expect(violations(() => parseSearchSpace(many)).join('\n')).toContain('1000');
  });
});

it('parseAssignment names unknown, inactive, missing and impossible values', () => {
  const found = violations(() =>
    parseAssignment(space, { method: 'full', rank: 4, rate: 1, wamup: 0.1, fixed: 3 }),
  );
  expect(found.map((text) => text.slice(0, text.indexOf(':'))).sort()).toEqual([
    'parameters.rank',
    'parameters.rate',
    'parameters.wamup',
    'parameters.warmup',
  ]);
});

describe('random search', () => {
  const draw = (seed: number, trialNumber: number) =>
    suggest({ name: 'random' }, space, [], { seed, trialNumber });
  const draws = Array.from({ length: 2000 }, (_, n) => draw(1, n));

  it('stays in range and on the grid, with exactly the active parameters', () => {
    // parseAssignment refuses anything else.
    for (const values of draws) expect(parseAssignment(space, values)).toEqual(values);
  });

  it('is even on each scale', () => {
    const share = (of: (v: (typeof draws)[number]) => boolean) => draws.filter(of).length / draws.length;
    // Five standard errors of a share at n = 2000: 5·√(p(1−p)/n) ≤ 0.056.
    expect(Math.abs(share((v) => v['method'] === 'lora') - 0.5)).toBeLessThan(0.056);
    expect(Math.abs(share((v) => (v['rate'] as number) < 10 ** -3.5) - 0.5)).toBeLessThan(0.056);
    expect(Math.abs(share((v) => v['warmup'] === 0.2) - 1 / 11)).toBeLessThan(0.033);
  });

  it('depends on seed and trial alone', () => {
    expect(draw(1, 7)).toEqual(draws[7]);
    expect(draw(2, 7)).not.toEqual(draws[7]);
  });
});

describe('parseSearchAlgorithm', () => {
  it('fills in what is left out', () => {
    expect(parseSearchAlgorithm({})).toMatchObject({ name: 'auto', settings: { startUpTrials: 10 } });
    expect(parseSearchAlgorithm({ name: 'tpe', settings: { candidates: 50 } }).settings).toMatchObject({
      candidates: 50,
      startUpTrials: 10,
    });
  });

  it('names unknown samplers and wrong settings', () => {
    expect(violations(() => parseSearchAlgorithm({ name: 'tpee' }))).toEqual([
      'searchAlgorithm.name: no sampler is called "tpee", did you mean "tpe"?',
    ]);
    const found = violations(() =>
      parseSearchAlgorithm({ name: 'tpe', settings: { goodShare: 2, candidats: 3, startUpTrials: 1.5 } }),
    ).join('\n');
    for (const text of ['settings.goodShare', 'settings.startUpTrials', 'did you mean "candidates"?'])
      expect(found).toContain(text);
    expect(
      violations(() => parseSearchAlgorithm({ name: 'random', settings: { candidates: 3 } })),
    ).toHaveLength(1);
  });
});

it('suggestDefaults takes what is declared and draws the rest', () => {
  expect(suggestDefaults(space, { seed: 1, trialNumber: 0 })).toBeUndefined();
  const declared = parseSearchSpace([
    { name: 'method', categorical: { values: ['full', 'lora'] }, default: 'lora' },
    {
      name: 'rank',
      integer: { min: 1, max: 64 },
      condition: { parameter: 'method', values: ['lora'] },
      default: 8,
    },
    {
      name: 'decay',
      double: { min: 0, max: 1 },
      condition: { parameter: 'method', values: ['full'] },
      default: 0,
    },
    { name: 'rate', double: { min: 1e-5, max: 1e-2, log: true } },
  ]);
  const values = suggestDefaults(declared, { seed: 1, trialNumber: 0 })!;
  expect(values).toMatchObject({ method: 'lora', rank: 8 });
  expect(parseAssignment(declared, values)).toEqual(values);
  expect(suggestDefaults(declared, { seed: 2, trialNumber: 0 })).not.toEqual(values);
});
