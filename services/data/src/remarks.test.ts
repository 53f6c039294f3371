import { labelGold, numberGold, type SourceExample, type Split } from '@emotune/affect';
import { expect, it } from 'vitest';
import { Remarks } from './remarks.js';

const base: SourceExample = {
  id: 'mine/1',
  source: 'mine',
  originalId: '1',
  licence: 'MIT',
  language: 'en',
  task: 'sentiment-regression',
  text: 'tea',
  emotion: null,
  gold: numberGold(0.5),
  labelSet: [],
  multiLabel: false,
  scale: { low: 0, high: 100 },
  split: null,
};
const classes = (label: string, labelSet = ['joy', 'sadness']): SourceExample => ({
  ...base,
  task: 'emotion-classification',
  scale: null,
  labelSet,
  gold: labelGold([label]),
});

function remarksOn(examples: readonly SourceExample[], split: Split = 'train'): string[] {
  const remarks = new Remarks();
  for (const example of examples) remarks.add(example, split);
  return remarks.list;
}

const times = (n: number, one: (i: number) => SourceExample) => Array.from({ length: n }, (_, i) => one(i));

it('a scale whose values all lie on one end', () => {
  expect(remarksOn(times(20, (i) => ({ ...base, gold: numberGold(i / 2000) })))).toEqual([
    'mine: all 20 numbers of sentiment-regression lie at one end of 0..100, from 0 to 0.95: is that the scale that they were given on?',
  ]);
  expect(remarksOn(times(20, (i) => ({ ...base, gold: numberGold(i / 40) })))).toEqual([]);
  expect(remarksOn(times(3, () => ({ ...base, gold: numberGold(0) })))).toEqual([]);
  expect(remarksOn(times(12, () => base)).join()).toContain(
    'all 12 numbers of sentiment-regression are 50 on 0..100',
  );
});

it('an empty class, and one that no train row has', () => {
  const rows = [
    ...times(9, () => classes('joy', ['fear', 'joy', 'sadness'])),
    classes('sadness', ['fear', 'joy', 'sadness']),
  ];
  expect(remarksOn(rows)).toEqual([
    'emotion-classification among fear, joy, sadness (mine): none of 10 rows has the label fear',
  ]);
  const remarks = new Remarks();
  for (const row of rows.slice(0, 9)) remarks.add(row, 'train');
  remarks.add(rows[9], 'test');
  expect(remarks.list.join()).toContain('no train row has the label sadness (0 train, 0 validation, 1 test)');
  expect(remarksOn(times(11, () => classes('joy', ['joy', 'sadness']))).join()).toContain(
    'all 11 rows have the label joy',
  );
});

it('label sets that differ by case or spacing only', () => {
  const rows = [
    classes('joy', ['joy', 'no emotion']),
    classes('no emotion', ['joy', 'no emotion']),
    { ...classes('Joy', ['Joy', 'no-emotion']), source: 'other' },
    { ...classes('no-emotion', ['Joy', 'no-emotion']), source: 'other' },
  ];
  expect(remarksOn(rows)).toEqual([
    'label sets of emotion-classification differ in case or spacing alone, and are asked as different questions: joy, no emotion (2 rows of mine); Joy, no-emotion (2 rows of other); write them alike',
  ]);
  // The order says nothing.
  expect(remarksOn([classes('joy', ['joy', 'sadness']), classes('sadness', ['sadness', 'joy'])])).toEqual([]);
});

it('raters who all agree', () => {
  const number = times(10, (i) => ({ ...base, gold: numberGold(i / 10, 0, 5) }));
  expect(remarksOn(number).join()).toContain(
    'the raters of all 10 rows of sentiment-regression agree entirely',
  );
  expect(remarksOn([...number, { ...base, gold: numberGold(0.5, 0.1, 5) }])).toEqual([]);
  const votes = times(10, (i) => ({
    ...classes(i % 2 ? 'joy' : 'sadness'),
    gold: labelGold([i % 2 ? 'joy' : 'sadness'], 3, { [i % 2 ? 'joy' : 'sadness']: 3 }),
  }));
  expect(remarksOn(votes).join()).toContain('agree entirely');
});

it('one row is no ground for a remark but on its empty classes', () => {
  expect(remarksOn([base])).toEqual([]);
  expect(remarksOn([classes('joy')])).toEqual([
    'emotion-classification among joy, sadness (mine): none of 1 row has the label sadness',
  ]);
});
