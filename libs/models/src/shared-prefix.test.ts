import fc from 'fast-check';
import { expect, it } from 'vitest';
import { prefixGroups } from './shared-prefix.js';

const cost = { granule: 4, copies: 1, worthwhile: 8 };
const row = (...tokens: number[]) => Int32Array.from(tokens);
/** 1, 2, … n and then `end`. */
const after = (n: number, ...end: number[]) => row(...Array.from({ length: n }, (_, i) => i + 1), ...end);

it('shares the longest beginning in whole granules', () => {
  const rows = [after(9, 0), after(9, 50, 51), after(8, 60)];
  expect(prefixGroups(rows, cost)).toEqual([{ members: [0, 1, 2], length: 8 }]);
});

it('shares nothing where too little would be saved', () => {
  expect(prefixGroups([after(8, 0), after(8, 1)], cost)).toEqual([{ members: [0, 1], length: 8 }]);
  expect(prefixGroups([after(8, 0), after(8, 1)], { ...cost, copies: 2 })).toEqual([
    { members: [0, 1], length: 0 },
  ]);
  expect(prefixGroups([after(4, 0), after(4, 1)], cost)).toEqual([{ members: [0, 1], length: 0 }]);
});

it('leaves every row a token of its own', () => {
  expect(prefixGroups([after(8), after(8), after(8)], cost)).toEqual([{ members: [0, 1, 2], length: 4 }]);
});

it('divides where parts save more than the whole', () => {
  const rows = [after(4, 9, 9, 9, 9, 0), after(12, 0), after(4, 9, 9, 9, 9, 1), after(12, 1), row(7)];
  expect(prefixGroups(rows, cost)).toEqual([
    { members: [0, 2], length: 8 },
    { members: [1, 3], length: 12 },
    { members: [4], length: 0 },
  ]);
});

it('always divides all rows, by beginnings that they have', () => {
  const rows = fc.array(
    fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 1, maxLength: 20 }).map((r) => row(...r)),
    { maxLength: 30 },
  );
  fc.assert(
    fc.property(
      rows,
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 30 }),
      (all, granule, worthwhile) => {
        const groups = prefixGroups(all, { granule, copies: 1, worthwhile });
        expect(groups.flatMap(({ members }) => members).sort((p, q) => p - q)).toEqual([...all.keys()]);
        for (const { members, length } of groups) {
          expect(length % granule).toBe(0);
          for (const i of members) {
            if (length > 0) expect(all[i].length).toBeGreaterThan(length);
            expect(all[i].subarray(0, length)).toEqual(all[members[0]].subarray(0, length));
          }
          if (length > 0) expect((members.length - 1) * length).toBeGreaterThanOrEqual(worthwhile);
        }
      },
    ),
  );
});
