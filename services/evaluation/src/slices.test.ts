import { ConstantBaseline, numberGold, ratedGold } from '@emotune/affect';
import { Rng } from '@emotune/base';
import type { Prediction } from '@emotune/records';
import { expect, it } from 'vitest';
import { sliceResults } from './slices.js';
import { rated } from './test-predictions.js';

const sliced = (predictions: readonly Prediction[], words: (text: string) => string[] = () => []) => ({
  ...{ predictions, raw: [], constant: new ConstantBaseline(), rng: Rng.of('slices') },
  views: predictions.map(({ text }) => ({ vader: 0, words: words(text) })),
});

it('holds each slice against the rest, and corrects for all of them', () => {
  const rows = Array.from({ length: 40 }, (_, i): Prediction => {
    const hard = i % 4 === 0;
    return {
      ...rated,
      id: `${i}`,
      source: i % 2 ? 'letters' : 'notes',
      text: `${hard ? 'this is not at all' : 'this is much of'} what they had to say about it then`,
      value: hard ? 0.9 : 0.5 + (i % 3) / 50,
    };
  });
  const found = new Map(
    sliceResults('sentiment-regression', sliced(rows)).map((slice) => [slice.slice, slice]),
  );
  const negation = found.get('negation')!;
  expect(negation).toMatchObject({ n: 10, error: expect.closeTo(0.16, 12) });
  expect(negation.rest).toBeLessThan(0.002);
  expect(negation.pAdjusted).toBeLessThan(0.01);
  const letters = found.get('source letters')!;
  // Both sources are tested, and the negation.
  expect(letters.pAdjusted).toBeCloseTo(Math.min(1, 2 * letters.pValue!), 12);
  expect(negation.pAdjusted).toBeCloseTo(3 * negation.pValue!, 12);
  for (const all of ['language en', 'no lexicon words'])
    expect(found.get(all)).toMatchObject({ n: 40, rest: undefined, pValue: undefined, pAdjusted: undefined });
});

it('tells rows whose raters agree from others, where the raters are known', () => {
  const rows = [0.1, 0.2, 0.3, 0.4].map(
    (apart, i): Prediction => ({ ...rated, id: `${i}`, gold: ratedGold(0.5, [0.5 - apart, 0.5 + apart]) }),
  );
  const unknown: Prediction = { ...rated, id: 'u', gold: numberGold(0), value: 1 };
  const of = (all: readonly Prediction[]) =>
    sliceResults('sentiment-regression', sliced(all)).filter(({ slice }) => slice.startsWith('raters'));
  const [agree, disagree] = of([...rows, unknown]);
  expect([agree.slice, agree.n, agree.rest]).toEqual(['raters agree (spread at most 0.25)', 2, 0]);
  expect([disagree.slice, disagree.n]).toEqual(['raters disagree (spread above 0.25)', 2]);
  expect(of([unknown])).toEqual([]);
  expect(of([rows[0], { ...rows[0], id: 'again' }])).toEqual([]);
});
