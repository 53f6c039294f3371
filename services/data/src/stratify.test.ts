import { splits } from '@emotune/affect';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { apportion, rankOf, stratify, totalsOf } from './stratify.js';

describe('totals', () => {
  // [train, validation, test]
  it.each([
    [112, 0.1, 0.1, [90, 11, 11]],
    [140, 0.1, 0.1, [112, 14, 14]],
    [10, 0.5, 0.45, [1, 4, 5]],
    [4, 0.1, 0.1, [2, 1, 1]],
    [3, 0.1, 0.1, [1, 1, 1]],
    [3, 0, 0.1, [2, 0, 1]],
    [2, 0.1, 0.1, [2, 0, 0]],
    [2, 0.1, 0, [1, 1, 0]],
    [0, 0.1, 0.1, [0, 0, 0]],
  ])('of %i texts at %f and %f', (units, validation, test, totals) => {
    expect(totalsOf(units, { validation, test })).toEqual(totals);
  });
});

it('apportions whole counts: rows and columns sum up, each is its share rounded down or up', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(sizes, fc.nat(1000), fc.nat(1000), (rows, a, b) => {
      const sum = rows.reduce((x, y) => x + y, 0);
      const [validation, test] = [a % (sum + 1), b % (sum - (a % (sum + 1)) + 1)];
      const totals = [sum - validation - test, validation, test];
      const counts = apportion(rows, totals);
      expect(counts.map((row) => row.reduce((x, y) => x + y, 0))).toEqual(rows);
      expect(totals.map((_, k) => counts.reduce((x, row) => x + row[k], 0))).toEqual(totals);
      counts.forEach((row, i) => {
        row.forEach((n, k) => {
          expect(Math.abs(n - (rows[i] * totals[k]) / sum)).toBeLessThan(1);
        });
      });
    }),
    { numRuns: 2000 },
  );
});

it('spreads what is left over strata by the seed, and substrata within them', () => {
  const units = Array.from({ length: 112 }, (_, i) => ({
    key: `text ${i}`,
    stratum: `label ${i % 28}`,
    substratum: i < 56 ? 'first' : 'second',
  }));
  const tested = (seed: number) => {
    const splitOf = stratify(
      {
        count: units.length,
        rank: (i) => rankOf(units[i].key, seed),
        stratum: (i) => units[i].stratum,
        substratum: (i) => units[i].substratum,
      },
      { validation: 0.1, test: 0.1 },
      seed,
    );
    return units.filter((_, i) => splits[splitOf[i]] === 'test').map(({ stratum }) => stratum);
  };
  expect(new Set(tested(1)).size).toBe(11);
  expect(tested(1)).toEqual(tested(1));
  expect(tested(1)).not.toEqual(tested(2));
});
