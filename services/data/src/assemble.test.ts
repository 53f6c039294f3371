import { labelGold, numberGold, type SourceExample, type Split } from '@emotune/affect';
import { describe, expect, it } from 'vitest';
import { assemble } from './assemble.js';
import { chosenRows } from './limit.js';

function example(
  id: string,
  text: string,
  split: Split | null = null,
  label = 'positive',
  source = 'a',
): SourceExample {
  return {
    id,
    source,
    originalId: id,
    licence: 'MIT',
    language: 'en',
    task: 'sentiment-classification',
    text,
    emotion: null,
    gold: labelGold([label]),
    labelSet: ['negative', 'positive'],
    multiLabel: false,
    scale: null,
    split,
  };
}

const shares = { validation: 0.1, test: 0.2 };
const many = Array.from({ length: 400 }, (_, i) =>
  example(`r${i}`, `text number ${i}`, null, i % 4 ? 'positive' : 'negative'),
);

describe('assemble', () => {
  it('divides by the shares within each stratum, the same for the same seed', () => {
    const { splits } = assemble(many, shares, 1);
    const count = (split: Split, label: string) =>
      splits[split].filter((e) => e.gold.labels[0] === label).length;
    expect([count('test', 'negative'), count('validation', 'negative'), count('train', 'negative')]).toEqual([
      20, 10, 70,
    ]);
    expect([count('test', 'positive'), count('validation', 'positive'), count('train', 'positive')]).toEqual([
      60, 30, 210,
    ]);
    expect(assemble(many, shares, 1)).toEqual(assemble(many, shares, 1));
    expect(assemble(many, shares, 2).splits.test).not.toEqual(splits.test);
  });

  it('never puts one text on two sides, however it was copied', () => {
    const copied = many.map((e) => ({
      ...e,
      id: `${e.id}-copy`,
      source: 'b',
      text: `\ufeff${e.text.replace('text', 'Text').replaceAll(' ', '\u00a0')} .`,
    }));
    const { splits, duplicatesRemoved, conflicts } = assemble([...many, ...copied], shares, 3);
    expect([duplicatesRemoved, conflicts]).toEqual([400, []]);
    expect(splits.train.length + splits.validation.length + splits.test.length).toBe(400);
  });

  it('keeps texts that differ in emoticons, emoji, marks or emphasis only', () => {
    const ends = [':)', ':(', '🙂', '👍', '👍🏿', '!', '!!', '?', 'NOT', 'not'];
    const rows = many
      .slice(0, 20)
      .flatMap((e) =>
        ends.map((end, i) =>
          example(`${e.id}-${i}`, `${e.text} ${end}`, null, i % 2 ? 'positive' : 'negative'),
        ),
      );
    const { splits, duplicatesRemoved } = assemble(rows, shares, 0);
    expect(duplicatesRemoved).toBe(0);
    expect(splits.train.length + splits.validation.length + splits.test.length).toBe(200);
  });

  it('keeps official splits and drops from the earlier one what stands in a later one', () => {
    const { splits, leaksRemoved, duplicatesRemoved } = assemble(
      [
        example('1', 'same', 'train'),
        example('2', 'Same.', 'test'),
        example('3', 'other', 'train'),
        example('4', 'Other', 'validation'),
        // No official split: follows its text into test, where it repeats a question.
        example('5', 'same', null),
      ],
      shares,
      0,
    );
    expect(splits.test.map((e) => e.id)).toEqual(['2']);
    expect(splits.validation.map((e) => e.id)).toEqual(['4']);
    expect(splits.train).toEqual([]);
    expect([leaksRemoved, duplicatesRemoved]).toEqual([2, 1]);
  });
});

describe('near-duplicates', () => {
  const long =
    'they came back over the old bridge in the evening and sat down by the river to wait for the others';
  const other = long.replace('sat down', 'stood');
  const near = (examples: readonly SourceExample[], threshold = 0.8) =>
    assemble(examples, shares, 0, threshold);

  it('of one answer are dropped, and counted apart from equal texts', () => {
    const rows = [...many, example('n1', long), example('n2', other), example('n3', `${long}.`)];
    const { nearDuplicatesRemoved, duplicatesRemoved, near: told } = near(rows);
    expect([nearDuplicatesRemoved, duplicatesRemoved]).toEqual([1, 1]);
    expect(told.map(({ dropped, kept }) => [dropped.id, kept.id])).toEqual([['n2', 'n1']]);
    expect(assemble(rows, shares, 0).nearDuplicatesRemoved).toBe(0);
  });

  it('of different answers are kept, in one split', () => {
    for (let seed = 0; seed < 20; seed++) {
      const rows = [...many.slice(0, 30), example('n1', long), example('n2', other, null, 'negative')];
      const { splits, conflicts, nearDuplicatesRemoved } = assemble(rows, shares, seed, 0.8);
      expect([nearDuplicatesRemoved, conflicts]).toEqual([0, []]);
      const places = Object.values(splits).map((of) => of.filter(({ id }) => id.startsWith('n')).length);
      expect(places.sort()).toEqual([0, 0, 2]);
    }
  });

  it('across official splits are leaks, of which the earlier one goes, with what it repeats', () => {
    const { splits, leaksRemoved, nearLeaksRemoved, leaks } = near([
      example('1', long, 'train'),
      example('2', other, 'test'),
      example('3', 'all of it was said before', 'train'),
      example('4', 'All of it was said before.', 'test'),
      ...many,
    ]);
    expect([leaksRemoved, nearLeaksRemoved]).toEqual([1, 1]);
    expect(leaks).toEqual([
      {
        what: 'leak',
        dropped: { id: '1', text: long, split: 'train' },
        kept: { id: '2', text: other, split: 'test' },
      },
      {
        what: 'leak',
        dropped: { id: '3', text: 'all of it was said before', split: 'train' },
        kept: { id: '4', text: 'All of it was said before.', split: 'test' },
      },
    ]);
    expect(splits.train.some(({ id }) => id === '1' || id === '3')).toBe(false);
  });

  it.each([
    ['emoticons', `${long} :)`, `${long} :(`],
    ['negation', long.replace('they came', 'they never came'), long],
    ['words of affect', long.replace('old', 'lovely'), long.replace('old', 'horrible')],
    ['numbers', long.replace('others', '3 others'), long.replace('others', '4 others')],
  ])('are never texts that differ in %s', (_, one, two) => {
    const { nearDuplicatesRemoved, nearLeaksRemoved } = near(
      [example('1', one, 'train'), example('2', two, 'test'), example('3', two, 'train')],
      0.7,
    );
    expect([nearDuplicatesRemoved, nearLeaksRemoved]).toEqual([0, 0]);
  });
});

describe('answers that contradict each other', () => {
  it('are counted and all kept, in one split, as often as they were given', () => {
    for (let seed = 0; seed < 20; seed++) {
      const rows = [
        ...many.slice(0, 30),
        example('c1', 'tea again', null, 'positive'),
        example('c2', 'Tea again.', null, 'negative'),
        example('c3', 'tea  again', null, 'positive'),
        example('d1', 'tea at last', null, 'positive'),
        example('d2', 'Tea at last', null, 'positive'),
      ];
      const { splits, duplicatesRemoved, conflicts } = assemble(rows, shares, seed);
      expect(duplicatesRemoved).toBe(1);
      expect(conflicts).toEqual([
        {
          text: 'tea again',
          task: 'sentiment-classification',
          emotion: null,
          answers: { positive: 2, negative: 1 },
        },
      ]);
      const places = Object.values(splits).map((of) => of.filter(({ id }) => id.startsWith('c')).length);
      expect(places.sort()).toEqual([0, 0, 3]);
    }
  });

  it('are none where the question is another', () => {
    const [anger, joy] = ['anger', 'joy'].map((emotion, i) => ({
      ...example(emotion, 'tea', null),
      task: 'emotion-regression' as const,
      emotion,
      gold: numberGold(i),
      labelSet: [],
      scale: { low: 0, high: 1 },
    }));
    const elsewhere = { ...joy, id: 'other', scale: { low: 1, high: 5 }, gold: { ...joy.gold, value: 0.5 } };
    const { conflicts, duplicatesRemoved } = assemble([anger, joy, elsewhere], shares, 0);
    expect([conflicts, duplicatesRemoved]).toEqual([[], 0]);
    const again = assemble([joy, { ...joy, id: 'again', gold: { ...joy.gold, value: 0.5 } }], shares, 0);
    expect(again.conflicts.map(({ answers }) => answers)).toEqual([{ 1: 1, 0.5: 1 }]);
  });
});

describe('small strata', () => {
  const labels = Array.from({ length: 28 }, (_, i) => `label-${i}`);
  const counted = (of: readonly SourceExample[]) =>
    labels.map((label) => of.filter(({ gold }) => gold.labels.includes(label)).length);

  it.each([
    [4, [90, 11, 11]],
    [5, [112, 14, 14]],
    [1, [22, 3, 3]],
    [33, [740, 92, 92]],
  ])('of %i rows: the shares are met over the whole and within one row for each label', (rows, totals) => {
    for (let seed = 0; seed < 10; seed++) {
      const all = labels.flatMap((label) =>
        Array.from({ length: rows }, (_, i) => example(`${label}-${i}`, `${label} number ${i}`, null, label)),
      );
      const { splits } = assemble(all, { validation: 0.1, test: 0.1 }, seed);
      expect([splits.train, splits.validation, splits.test].map((of) => of.length)).toEqual(totals);
      for (const split of ['validation', 'test'] as const)
        for (const n of counted(splits[split])) expect(Math.abs(n - rows * 0.1)).toBeLessThanOrEqual(1);
    }
  });

  it('of several labels: each label is within two rows of its share, by its rarest first', () => {
    const all = Array.from({ length: 600 }, (_, i) => ({
      ...example(`m${i}`, `text number ${i}`),
      multiLabel: true,
      gold: labelGold(labels.filter((_, k) => (i + 7 * k) % (3 * k + 2) === 0).slice(0, 3)),
    })).filter(({ gold }) => gold.labels.length > 0);
    const { splits } = assemble(all, { validation: 0.2, test: 0.2 }, 5);
    expect(splits.test).toHaveLength(Math.round(all.length * 0.2));
    const totals = counted(all);
    const rare = labels.flatMap((_, k) => (totals[k] > 0 && totals[k] < 30 ? [k] : []));
    expect(rare.length).toBeGreaterThan(5);
    for (const k of rare) expect(Math.abs(counted(splits.test)[k] - totals[k] * 0.2)).toBeLessThanOrEqual(2);
  });

  it('of numbers: each fifth of them, of each emotion, has its share', () => {
    const all = ['anger', 'joy'].flatMap((emotion) =>
      Array.from({ length: 50 }, (_, i) => ({
        ...example(`${emotion}${i}`, `${emotion} number ${i}`, null),
        task: 'emotion-regression' as const,
        emotion,
        labelSet: [],
        scale: { low: 0, high: 1 },
        // All within one third of the scale.
        gold: numberGold(0.4 + i / 1000),
      })),
    );
    const { splits } = assemble(all, { validation: 0.1, test: 0.2 }, 9);
    for (const emotion of ['anger', 'joy']) {
      const fifths = [0, 1, 2, 3, 4].map(
        (fifth) =>
          splits.test.filter(
            (e) => e.emotion === emotion && Math.floor((e.gold.value! - 0.4 + 1e-9) / 0.01) === fifth,
          ).length,
      );
      expect(fifths).toEqual([2, 2, 2, 2, 2]);
    }
  });
});

it('a limit keeps the asked number, the same ones for the same seed, and of equal texts those with the first ids', async () => {
  const chosen = async (rows: readonly SourceExample[], limit: number) => {
    const all = await chosenRows(
      async function* () {
        yield* rows;
      },
      limit,
      1,
    );
    return rows.filter((_, i) => all === undefined || all[i] === 1).map(({ id }) => id);
  };
  const fifty = await chosen(many, 50);
  expect(fifty).toHaveLength(50);
  expect((await chosen([...many].reverse(), 50)).reverse()).toEqual(fifty);
  expect(await chosen(many, 0)).toHaveLength(400);
  expect(await chosen(many, 400)).toHaveLength(400);
  const same = ['d', 'b', 'c', 'a'].map((id) => ({ ...many[0], id }));
  expect(await chosen(same, 2)).toEqual(['b', 'a']);
});
