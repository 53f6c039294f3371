import { describe, expect, it } from 'vitest';
import { competence, difficultyRanks, forgettingOf, mixingQuotas } from './curriculum.js';

const row = (id: string, length: number, spread: number | null = null) => ({
  id,
  task: 'a',
  tokens: new Int32Array(length),
  answerStart: 1,
  spread,
});

it('competence grows by the square root from its start to 1', () => {
  // √(t(1 − c₀²) + c₀²) at c₀ = 0.6: √0.36, √(0.5·0.64 + 0.36) = √0.68.
  expect([0, 0.5, 1, 2].map((t) => competence(t, 0.6))).toEqual(
    [0.6, Math.sqrt(0.68), 1, 1].map((want) => expect.closeTo(want, 12)),
  );
});

describe('difficultyRanks', () => {
  it('ranks by length', () => {
    expect(difficultyRanks([row('a', 9), row('b', 3), row('d', 5), row('c', 5)], 'length')).toEqual([
      1, 0.25, 0.75, 0.5,
    ]);
  });

  it('ranks by spread where it is known, the rest among themselves by length', () => {
    const rows = [row('a', 9, 0.4), row('b', 3), row('c', 1, 0.1), row('d', 2)];
    expect(difficultyRanks(rows, 'spread')).toEqual([1, 1, 0.5, 0.5]);
  });
});

it('mixes tasks in proportion to nᵢ^(1/T)', () => {
  expect(mixingQuotas([800, 100, 0], 1)).toEqual([800, 100, 0]);
  // √900 : √100 = 3 : 1.
  expect(mixingQuotas([900, 100], 2)).toEqual([750, 250]);
  expect(mixingQuotas([900, 100], 1e9)).toEqual([500, 500]);
});

it('tells what later stages left of earlier ones', () => {
  const stages = ['a', 'b', 'c'].map((task) => ({ tasks: [task] }));
  const ends = [
    { a: 1, b: 5, c: 7 },
    { a: 0.5, b: 2, c: 6 },
    { a: 1.5, b: 1.75, c: 3 },
  ];
  expect(forgettingOf(ends.slice(0, 1), stages)).toBeUndefined();
  expect(forgettingOf(ends.slice(0, 2), stages)).toEqual({
    average: 1.25,
    backwardTransfer: 0.5,
    maximum: -0.5,
    tasks: { a: -0.5 },
  });
  expect(forgettingOf(ends, stages)).toEqual({
    average: (1.5 + 1.75 + 3) / 3,
    // (1 − 1.5 + 2 − 1.75)/2; a was at its best, 0.5, after the second stage.
    backwardTransfer: -0.125,
    maximum: 1,
    tasks: { a: 1, b: -0.25 },
  });
});
