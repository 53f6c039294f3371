import { numberGold } from '@emotune/affect';
import type { Prediction } from '@emotune/records';
import { expect, it } from 'vitest';
import { mistakesOf } from './mistakes.js';
import { blank, rated } from './test-predictions.js';

const view = (predictions: readonly Prediction[]) =>
  predictions.map(({ text }) => ({ vader: 0, words: text.includes('sick') ? ['sick'] : [] }));

it('gathers mistakes of one kind by what their texts share, the surest first', () => {
  const rows = Array.from({ length: 40 }, (_, i): Prediction => {
    const wrong = i < 4;
    return {
      ...blank,
      id: `${i}`,
      text: `${wrong ? 'this is so sick 🤘' : 'a plain text of some words'}, number ${i} of them all`,
      labels: [wrong ? 'anger' : 'joy'],
      confidence: 0.5 + i / 100,
    };
  });
  const { clusters, hardest } = mistakesOf('emotion-classification', rows, {
    views: view(rows),
    hardestShown: 3,
  });
  expect(clusters).toHaveLength(1);
  expect(clusters[0]).toMatchObject({
    direction: 'joy → anger',
    n: 4,
    of: 4,
    confidence: expect.closeTo(0.515, 12),
  });
  expect([...clusters[0].cues].sort()).toEqual(['emoji', 'sick']);
  expect(clusters[0].examples.map(({ id }) => id)).toEqual(['3', '2', '1']);
  expect(hardest.map(({ id }) => id)).toEqual(['3', '2', '1']);
  expect(hardest[0]).toMatchObject({
    gold: 'joy',
    answer: 'anger',
    confidence: 0.53,
    cues: ['sick', 'source s', 'emoji'],
  });
});

it('of numbers the farthest fifth is hard, too high or too low, as sure as its interval is narrow', () => {
  const rows = Array.from({ length: 40 }, (_, i): Prediction => {
    const far = i < 4;
    const text = far
      ? 'it is not what they said it would be that day'
      : 'it is what they said it would be that day';
    return {
      ...rated,
      id: `${i}`,
      text,
      gold: numberGold(0.5),
      value: far ? 0.9 : 0.5 + i / 1000,
      low: 0.4,
      high: 0.6,
    };
  });
  const { clusters, hardest } = mistakesOf('sentiment-regression', rows, {
    views: view(rows),
    hardestShown: 1,
  });
  expect(clusters).toMatchObject([
    { direction: 'too high', cues: ['negation'], n: 4, of: 4, confidence: expect.closeTo(0.8, 12) },
  ]);
  expect(hardest[0]).toMatchObject({ confidence: expect.closeTo(0.8, 12), error: expect.closeTo(0.4, 12) });
});

it('has none where every answer is right', () => {
  const rows = [rated, blank];
  expect(mistakesOf('sentiment-regression', [rows[0]], { views: view([rows[0]]), hardestShown: 5 })).toEqual({
    hardest: [],
    clusters: [],
  });
});
