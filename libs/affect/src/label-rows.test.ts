import { expect, it } from 'vitest';
import { labelRows } from './label-rows.js';

// Precision, recall and F1 as scikit-learn's precision_recall_fscore_support defines them, counted by hand.
it('counts each label within its set, in whatever order the set was asked', () => {
  const row = (gold: string[], answer: string[], labelSet = ['fear', 'joy', 'anger']) => ({
    gold,
    answer,
    labelSet,
  });
  const rows = labelRows([
    row(['joy'], ['joy']),
    row(['joy', 'fear'], ['fear'], ['anger', 'joy', 'fear']),
    row(['fear'], ['joy']),
    row(['joy'], ['sadness'], ['joy', 'sadness']),
  ]);
  const labelSet = ['anger', 'fear', 'joy'];
  const other = ['joy', 'sadness'];
  expect(rows).toEqual([
    { labelSet, label: 'anger', gold: 0, answered: 0, right: 0 },
    { labelSet, label: 'fear', gold: 2, answered: 1, right: 1, precision: 1, recall: 0.5, f1: 2 / 3 },
    { labelSet, label: 'joy', gold: 2, answered: 2, right: 1, precision: 0.5, recall: 0.5, f1: 0.5 },
    { labelSet: other, label: 'joy', gold: 1, answered: 0, right: 0, recall: 0, f1: 0 },
    { labelSet: other, label: 'sadness', gold: 0, answered: 1, right: 0, precision: 0, f1: 0 },
  ]);
});

// scikit-learn 1.9.1, precision_recall_fscore_support(gold, answer, labels=…, zero_division=nan) on numpy 2.4.6; the rows
// follow from their number. Tolerance: the last bits of a quotient.
const labels = ['anger', 'fear', 'joy', 'neutral', 'sadness'];
it.each([
  [
    'one label a row',
    60,
    (i: number) => [labels[(7 * i + Math.floor(i / 3)) % 5]],
    (i: number) => [labels[(i * i + 3) % 5]],
    [
      [undefined, 0, 0, 12],
      [undefined, 0, 0, 12],
      [1 / 6, 1 / 3, 0.2222222222222222, 12],
      [1 / 3, 1 / 3, 1 / 3, 12],
      [1 / 3, 2 / 3, 0.4444444444444444, 12],
    ],
  ],
  [
    'several labels a row',
    40,
    (i: number) => [...new Set([labels[i % 5], labels[(i * i) % 5]])],
    (i: number) => [...new Set([labels[(3 * i + 1) % 5], labels[Math.floor(i / 2) % 5]])],
    [
      [0.25, 0.5, 1 / 3, 8],
      [0, 0, 0, 16],
      [0.5, 1, 2 / 3, 8],
      [0, 0, 0, 8],
      [0.5, 1 / 3, 0.4, 24],
    ],
  ],
])('has the precision, recall, F1 and support of scikit-learn: %s', (_, n, gold, answer, wanted) => {
  const rows = labelRows(
    Array.from({ length: n }, (_, i) => ({ gold: gold(i), answer: answer(i), labelSet: labels })),
  );
  const close = (value: number | undefined) => (value === undefined ? undefined : expect.closeTo(value, 12));
  expect(rows.map(({ precision, recall, f1, gold: support }) => [precision, recall, f1, support])).toEqual(
    wanted.map((row) => row.map(close)),
  );
});
