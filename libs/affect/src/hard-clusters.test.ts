import { describe, expect, it } from 'vitest';
import { atLeast, type HardRow, hardClusters } from './hard-clusters.js';

// scipy 1.17.1: hypergeom.sf(k - 1, all, marked, drawn). Sums of logarithms keep ten digits.
it.each([
  [5, 50, 10, 12, 0.0460249264258388],
  [3, 1200, 40, 25, 0.04747467471382606],
  [1, 20, 4, 3, 0.5087719298245614],
  [12, 30, 12, 20, 0.001456414649817948],
  [0, 30, 12, 20, 1],
])('that %i or more of %i rows have it, %i of them marked, %i drawn', (k, all, marked, drawn, p) => {
  expect(atLeast(k, all, marked, drawn)).toBeCloseTo(p, 10);
});

describe('mistakes that have something in common', () => {
  const row = (id: number, cues: readonly string[], direction?: string, confidence?: number): HardRow => ({
    ...{ id: `${id}`, cues, direction, confidence },
  });
  /** 60 rows that are answered rightly, a third of them with an exclamation. */
  const right = Array.from({ length: 60 }, (_, i) => row(i, i % 3 === 0 ? ['exclamation'] : []));

  it('are found by their cue, with what else they share, the surest first', () => {
    const rows = [
      ...right,
      ...[0.5, 0.9, 0.7, 0.6].map((sure, i) =>
        row(100 + i, ['sick', 'emoji', ...(i < 3 ? ['exclamation'] : [])], 'joy → disgust', sure),
      ),
      ...[0.95, 0.85, 0.99].map((sure, i) => row(200 + i, ['negation'], 'fear → joy', sure)),
      // One more with the cue that is right, and mistakes that have nothing in common.
      row(300, ['sick']),
      row(301, [], 'joy → disgust', 1),
      row(302, ['lone'], 'joy → fear', 1),
    ];
    const clusters = hardClusters(rows);
    expect(clusters.map(({ direction, cues, rows: members, of }) => [direction, cues, members, of])).toEqual([
      ['fear → joy', ['negation'], [66, 64, 65], 3],
      ['joy → disgust', ['emoji', 'sick', 'exclamation'], [61, 62, 63, 60], 4],
    ]);
    expect(clusters[1].confidence).toBeCloseTo(0.675, 12);
    expect(clusters[1].pValue).toBeCloseTo(atLeast(4, rows.length, 4, 5), 12);
  });

  it('need three, and more than chance gives', () => {
    expect(hardClusters([...right, row(1, ['x'], 'a → b'), row(2, ['x'], 'a → b')])).toEqual([]);
    // As usual among mistakes as elsewhere.
    const chance = Array.from({ length: 30 }, (_, i) =>
      row(400 + i, i % 3 === 0 ? ['exclamation'] : [], 'a → b'),
    );
    expect(hardClusters([...right, ...chance])).toEqual([]);
    expect(hardClusters([])).toEqual([]);
  });

  it('tell no confidence where none is known', () => {
    const rows = [...right, ...[1, 2, 3].map((i) => row(500 + i, ['x'], 'too high'))];
    expect(hardClusters(rows)).toMatchObject([{ confidence: undefined, rows: [60, 61, 62] }]);
  });
});
