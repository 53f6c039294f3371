import { type Example, labelGold } from '@emotune/affect';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allot, type Selected, Selection, type SelectionOptions, tempered } from './select.js';
import { examplesOf } from './testing.js';

const rows = examplesOf('train', 400);

function select(of: readonly Example[], options: Partial<SelectionOptions>): Selected {
  const selection = new Selection({ limit: 0, seed: 1, balance: 0, ...options });
  for (const row of of) selection.add(row);
  return selection.selected();
}

function selectRows(of: readonly Example[], limit: number, seed: number): Example[] {
  const { copies } = select(of, { limit, seed });
  return of.filter((_, i) => copies[i] > 0);
}

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

describe('a selection', () => {
  it('keeps at most the limit of each task, in order, with every source and label', () => {
    const kept = selectRows(rows, 30, 1);
    for (const task of new Set(rows.map((row) => row.task))) {
      const of = kept.filter((row) => row.task === task);
      expect(of).toHaveLength(30);
      expect(new Set(of.map((row) => row.source))).toEqual(new Set(['demo', 'small']));
      const all = rows.filter((row) => row.task === task).flatMap((row) => row.gold.labels);
      expect(new Set(of.flatMap((row) => row.gold.labels))).toEqual(new Set(all));
    }
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

describe('balanced labels', () => {
  /** 3,000 rows of which few are not neutral. */
  const skewed = examplesOf('train', 3000)
    .filter(({ task }) => task === 'emotion-classification')
    .map((row, i) => {
      const label = i % 100 < 2 ? 'fear' : i % 100 < 12 ? 'joy' : 'neutral';
      return { ...row, source: 'demo', labelSet: ['fear', 'joy', 'neutral'], gold: labelGold([label]) };
    });
  const countsOf = (options: Partial<SelectionOptions>) => {
    const { copies, labels } = select(skewed, options);
    const rows = Object.fromEntries(['fear', 'joy', 'neutral'].map((label) => [label, 0]));
    skewed.forEach(({ gold }, i) => {
      rows[gold.labels[0]] += copies[i];
    });
    // What is told is what was done.
    expect(Object.fromEntries(labels.map(({ label, chosen }) => [label, chosen]))).toEqual(rows);
    expect(Object.fromEntries(labels.map(({ label, available }) => [label, available]))).toEqual({
      fear: 20,
      joy: 100,
      neutral: 880,
    });
    return rows;
  };

  it('leave rows alone at 0, bring rare ones up by the power, and four times at most', () => {
    expect(countsOf({ balance: 0 })).toEqual({ fear: 20, joy: 100, neutral: 880 });
    expect(countsOf({ balance: 0.5 })).toEqual({ fear: 80, joy: 297, neutral: 880 });
    expect(countsOf({ balance: 1 })).toEqual({ fear: 80, joy: 400, neutral: 880 });
  });

  it('share a limit alike', () => {
    expect(countsOf({ balance: 1, limit: 150 })).toEqual({ fear: 50, joy: 50, neutral: 50 });
    const all = Object.values(countsOf({ balance: 0.5, limit: 200 }));
    expect(all.reduce((a, b) => a + b, 0)).toBe(200);
  });

  it('are between their own sizes and the largest, in their order', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(sizes, fc.double({ min: 0, max: 1, noNaN: true }), (of, balance) => {
        const weights = tempered(of, balance);
        of.forEach((size, i) => {
          expect(weights[i]).toBeGreaterThanOrEqual(size * (1 - 1e-9));
          expect(weights[i]).toBeLessThanOrEqual(Math.max(...of) * (1 + 1e-9));
          of.forEach((other, j) => {
            if (size < other) expect(weights[i]).toBeLessThanOrEqual(weights[j] * (1 + 1e-9));
          });
        });
      }),
    );
  });
});
