import { labelGold, numberGold } from '@emotune/affect';
import { expect, it } from 'vitest';
import { decodeShard, encodeShard, type FeatureRow } from './features.js';

const row = (
  id: string,
  tokens: number[],
  answerStart: number,
  more: Partial<FeatureRow> = {},
): FeatureRow => ({
  id,
  task: 'sentiment-regression',
  source: 'demo',
  language: 'en',
  text: 'a fine day ☀️',
  emotion: null,
  prompt: 'Human: \n…',
  answer: '0.7',
  tokens: Int32Array.from(tokens),
  answerStart,
  gold: numberGold(0.7),
  labelSet: [],
  multiLabel: false,
  scale: { low: 0, high: 1 },
  decimals: 2,
  derived: null,
  ...more,
});

it('a shard gives back the rows that went in, byte for byte the same each time', () => {
  const rows = [
    row('a', [5, 6, 7, 8, 2], 3),
    row('b', [1, 2], 1, {
      task: 'emotion-classification',
      emotion: 'joy',
      gold: labelGold(['joy', 'trust']),
      labelSet: ['joy', 'trust'],
      multiLabel: true,
      scale: null,
    }),
    row(
      'c',
      Array.from({ length: 17 }, (_, i) => i),
      9,
      { gold: numberGold(0.7, 0.1), derived: { from: 'a', by: 'inverted' } },
    ),
  ];
  const bytes = encodeShard(rows);
  expect(decodeShard(bytes)).toEqual(rows);
  expect(encodeShard(rows)).toEqual(bytes);
});
