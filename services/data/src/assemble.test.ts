import type { SourceExample, Split } from '@emotune/affect';
import { describe, expect, it } from 'vitest';
import { assemble, limitRows } from './assemble.js';

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
    gold: { value: null, spread: null, labels: [label] },
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

  it('never puts one text on two sides, however it is written', () => {
    const shouted = many.map((e) => ({
      ...e,
      id: `${e.id}!`,
      source: 'b',
      text: `${e.text.toUpperCase()} !!`,
    }));
    const { splits, duplicatesRemoved } = assemble([...many, ...shouted], shares, 3);
    expect(duplicatesRemoved).toBe(400);
    expect(splits.train.length + splits.validation.length + splits.test.length).toBe(400);
  });

  it('keeps official splits and drops from the earlier one what stands in a later one', () => {
    const { splits, leaksRemoved, duplicatesRemoved } = assemble(
      [
        example('1', 'same', 'train'),
        example('2', 'Same.', 'test'),
        example('3', 'other', 'train'),
        example('4', 'OTHER', 'validation'),
        // No official split: follows its text into test, where it repeats a question.
        example('5', 'same!', null),
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

it('limitRows keeps the asked number, the same ones for the same seed', () => {
  expect(limitRows(many, 50, 1)).toHaveLength(50);
  expect(limitRows(many, 50, 1)).toEqual(limitRows([...many], 50, 1));
  expect(limitRows(many, 0, 1)).toHaveLength(400);
});
