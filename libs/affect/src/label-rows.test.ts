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
