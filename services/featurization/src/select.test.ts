import { labelGold } from '@emotune/affect';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allot, selectRows } from './select.js';
import { examplesOf } from './testing.js';

const rows = examplesOf('train', 400);

describe('allot', () => {
  it('shares all of the limit, in proportion, with one at least for each group', () => {
    const sizes = fc.array(fc.nat(200), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 500 }), (of, limit) => {
        const shares = allot(of, limit);
        const total = of.reduce((a, b) => a + b, 0);
        const groups = of.filter((size) => size > 0).length;
        expect(shares.reduce((a, b) => a + b, 0)).toBe(Math.min(limit, total));
        shares.forEach((share, i) => {
          expect(share).toBeLessThanOrEqual(of[i]);
          if (groups <= limit && of[i] > 0) expect(share).toBeGreaterThan(0);
          if (total > limit)
            expect(share).toBeLessThanOrEqual(Math.max(1, Math.ceil((of[i] * limit) / total)));
        });
      }),
    );
  });
});

describe('selectRows', () => {
  it('keeps at most the limit of each task, in order, with every source and label', () => {
    const kept = selectRows(rows, 30, 1);
    for (const task of new Set(rows.map((row) => row.task))) {
      const of = kept.filter((row) => row.task === task);
      expect(of).toHaveLength(30);
      expect(new Set(of.map((row) => row.source))).toEqual(new Set(['demo', 'small']));
      const all = rows.filter((row) => row.task === task).flatMap((row) => row.gold.labels);
      expect(new Set(of.flatMap((row) => row.gold.labels))).toEqual(new Set(all));
    }
    expect(kept).toEqual(rows.filter((row) => kept.includes(row)));
  });

  it('keeps a label that one row has', () => {
    const rare = {
      ...rows[1],
      id: 'rare',
      gold: labelGold(['joy', 'trust']),
      labelSet: [...rows[1].labelSet, 'trust'],
    };
    const kept = selectRows([...rows.slice(0, 200), rare, ...rows.slice(200)], 20, 1);
    expect(kept.map((row) => row.id)).toContain('rare');
  });

  it('depends on the seed and nothing else', () => {
    const ids = (seed: number, of = rows) => selectRows(of, 20, seed).map((row) => row.id);
    expect(ids(1)).toEqual(ids(1));
    expect(ids(1)).not.toEqual(ids(2));
    expect(ids(1, rows.toReversed()).toReversed()).toEqual(ids(1));
    expect(selectRows(rows, 0, 1)).toEqual(rows);
  });
});
