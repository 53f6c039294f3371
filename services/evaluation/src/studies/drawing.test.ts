/** What is judged, in which order, and which answers there are. */
import { Rng } from '@emotune/base';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Drawing, drawStratified, uncertaintyOf } from './draw.js';
import { type ItemState, isSwapped, nextItem } from './serving.js';
import { labelPrediction, numberPrediction } from './test-service.js';

it('draws each stratum of uncertainty alike, the same of rows in any order', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 300 }),
      fc.integer({ min: 1, max: 60 }),
      fc.integer(),
      (n, items, seed) => {
        const rows = Array.from({ length: n }, (_, i) => numberPrediction(i));
        const { drawn, duplicates } = drawStratified(rows, items, seed);
        const again = drawStratified(Rng.of(seed).shuffle(rows), items, seed);
        expect(again.drawn.map(({ id }) => id)).toEqual(drawn.map(({ id }) => id));
        expect([drawn.length, duplicates]).toEqual([Math.min(n, items), 0]);
        const strata = [0, 0, 0, 0, 0];
        for (const row of drawn) {
          const place = rows.findIndex(({ id }) => id === row.id);
          strata[[1, 2, 3, 4, 5].findIndex((s) => place < Math.floor((s * n) / 5))]++;
        }
        if (n > items) expect(Math.max(...strata) - Math.min(...strata)).toBeLessThanOrEqual(1);
      },
    ),
  );
});

it('knows how unsure an answer is', () => {
  expect(uncertaintyOf(numberPrediction(100))).toBeCloseTo(0.2, 12);
  expect(uncertaintyOf(labelPrediction(4, 'neutral'))).toBeCloseTo(0.3, 12);
  expect(uncertaintyOf(labelPrediction(4, 'neutral', { confidence: null }))).toBe(1);
});

it('draws of however many rows those that it would draw of all at once', () => {
  const draw = (n: number, most: number) => {
    const drawing = new Drawing(7, most);
    for (let i = 0; i < n; i++) drawing.add(numberPrediction(i));
    for (let i = 0; i < n; i++) drawing.add(numberPrediction(i));
    return drawing.end().map(({ id }) => id);
  };
  const some = draw(5000, 10);
  expect(some.length).toBe(10);
  expect(some).toEqual(draw(5000, 5000).slice(0, 10));
});

/** What raters judge who take turns until there is nothing left. */
function sitting({
  rows,
  checks,
  raters,
  wanted,
  seed,
}: Record<'rows' | 'checks' | 'raters' | 'wanted' | 'seed', number>) {
  const judged = Array.from({ length: raters }, () => new Map<number, boolean>());
  const counts = new Map<number, number>();
  for (let going = true; going; ) {
    going = false;
    for (const [rater, given] of judged.entries()) {
      const items: ItemState[] = Array.from({ length: rows + checks }, (_, i) => ({
        number: i + 1,
        check: i >= rows,
        judgements: counts.get(i + 1) ?? 0,
      }));
      const number = nextItem({ seed, wanted, raters, rater, given, items });
      if (number === undefined) continue;
      going = true;
      expect(given.has(number)).toBe(false);
      given.set(number, true);
      counts.set(number, (counts.get(number) ?? 0) + 1);
    }
  }
  return { judged, counts };
}

it('gives every item as many raters as are wanted, each rater all checks, nothing first but an item', () => {
  const some = fc.record({
    rows: fc.integer({ min: 1, max: 15 }),
    checks: fc.integer({ min: 0, max: 3 }),
    raters: fc.integer({ min: 1, max: 5 }),
    wanted: fc.integer({ min: 0, max: 5 }),
    seed: fc.integer(),
  });
  fc.assert(
    fc.property(some, (study) => {
      const { rows, checks, raters, wanted } = study;
      const { judged, counts } = sitting(study);
      const each = wanted === 0 ? raters : Math.min(wanted, raters);
      for (let number = 1; number <= rows; number++) expect(counts.get(number)).toBe(each);
      for (const given of judged) {
        const numbers = [...given.keys()];
        if (numbers.length === 0) continue;
        expect(numbers.filter((number) => number > rows).length).toBe(checks);
        expect(numbers[0]).toBeLessThanOrEqual(rows);
      }
    }),
    { numRuns: 60 },
  );
});

it('gives an item again that was left, before anything else', () => {
  const items = [1, 2, 3].map((number) => ({ number, check: false, judgements: 0 }));
  const turn = { seed: 1, wanted: 0, raters: 1, rater: 1, items };
  expect(nextItem({ ...turn, given: new Map([[2, false]]) })).toBe(2);
});

it('shows either answer first about as often', () => {
  const swapped = Array.from({ length: 2000 }, (_, i) => isSwapped(1, 1 + (i % 20), i)).filter(
    Boolean,
  ).length;
  // Four standard deviations of 2,000 throws of a coin.
  expect(Math.abs(swapped - 1000)).toBeLessThan(4 * Math.sqrt(2000 / 4));
});
