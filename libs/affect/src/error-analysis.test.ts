import { describe, expect, it } from 'vitest';
import { ConstantBaseline, vaderAnswer } from './baselines.js';
import { confusionsOf, hardest, labelCalibration, numberCalibration, slicesOf } from './error-analysis.js';
import { type Gold, type Inquiry, labelGold, numberGold } from './tasks.js';

type TrainRow = Inquiry & { readonly gold: Gold };

describe('the constant', () => {
  const row = (labels: string[], more: Partial<TrainRow> = {}): TrainRow => ({
    task: 'emotion-classification',
    emotion: null,
    scale: null,
    gold: labelGold(labels),
    labelSet: ['anger', 'fear', 'joy'],
    multiLabel: false,
    ...more,
  });

  it('is the train mean, or the most frequent label of the same label set in any order', () => {
    const constant = new ConstantBaseline();
    for (const value of [0.2, 0.4, 0.9])
      constant.add(row([], { task: 'sentiment-regression', gold: numberGold(value), labelSet: [] }));
    for (const label of ['joy', 'fear', 'joy']) constant.add(row([label]));
    for (let i = 0; i < 9; i++) constant.add(row(['trust'], { labelSet: ['joy', 'trust'] }));
    expect(constant.answer(row([], { task: 'sentiment-regression', labelSet: [] }))?.value).toBeCloseTo(0.5);
    expect(constant.answer(row([], { labelSet: ['joy', 'fear', 'anger'] }))).toEqual({
      value: null,
      labels: ['joy'],
    });
    expect(constant.answer(row([], { task: 'emotion-regression', labelSet: [] }))).toBeUndefined();
    expect(constant.answer(row([], { labelSet: ['x', 'y'] }))).toBeUndefined();
  });

  it('knows all of a question but its text', () => {
    const asked = (emotion: string, high: number, value = 0) =>
      row([], {
        task: 'emotion-regression',
        labelSet: [],
        emotion,
        scale: { low: 0, high },
        gold: numberGold(value),
      });
    const constant = new ConstantBaseline();
    for (const value of [0.2, 0.4]) constant.add(asked('joy', 1, value));
    constant.add(asked('joy', 10, 0.9));
    constant.add(asked('fear', 1, 0.5));
    const answer = (emotion: string, high: number) => constant.answer(asked(emotion, high))?.value;
    expect(answer('joy', 1)).toBeCloseTo(0.3);
    expect(answer('joy', 10)).toBeCloseTo(0.9);
    // No row asked on that scale, or of that emotion.
    expect(answer('joy', 5)).toBeCloseTo(0.5);
    expect(answer('pride', 1)).toBeCloseTo(0.5);
  });

  it('of several labels is all that half of the rows have, or else the most frequent', () => {
    const answerOf = (...rows: string[][]) => {
      const constant = new ConstantBaseline();
      for (const labels of rows) constant.add(row(labels, { multiLabel: true }));
      return constant.answer(row([], { multiLabel: true }))?.labels;
    };
    expect(answerOf(['joy', 'fear'], ['joy', 'fear'], ['anger', 'joy'])).toEqual(['fear', 'joy']);
    expect(answerOf(['joy'], ['fear'], ['anger'])).toEqual(['anger']);
  });
});

it('VADER answers sentiment by its authors’ thresholds, and nothing else', () => {
  const three = { task: 'sentiment-classification' as const, labelSet: ['negative', 'neutral', 'positive'] };
  const answers = [-0.05, -0.049, 0.049, 0.05].map((c) => vaderAnswer(three, c)?.labels[0]);
  expect(answers).toEqual(['negative', 'neutral', 'neutral', 'positive']);
  const two = { ...three, labelSet: ['positive', 'negative'] };
  expect([-0.01, 0, 0.01].map((c) => vaderAnswer(two, c)?.labels[0])).toEqual([
    'negative',
    'positive',
    'positive',
  ]);
  expect(vaderAnswer({ task: 'sentiment-regression', labelSet: [] }, -0.5)?.value).toBe(0.25);
  expect(vaderAnswer({ task: 'emotion-regression', labelSet: [] }, 1)).toBeUndefined();
  expect(vaderAnswer({ ...three, labelSet: ['negative', 'mixed', 'positive'] }, 1)).toBeUndefined();
});

describe('confusion', () => {
  const labelSet = ['joy', 'fear', 'anger'];

  it('counts gold rows against answer columns, each set by itself, over all of its labels', () => {
    expect(
      confusionsOf([
        { gold: ['joy'], answer: ['joy'], labelSet },
        { gold: ['joy'], answer: ['fear'], labelSet: ['fear', 'joy', 'anger'] },
        { gold: ['yes'], answer: ['no'], labelSet: ['no', 'yes', 'maybe'] },
        { gold: ['anger', 'fear'], answer: ['fear', 'joy'], labelSet },
        { gold: ['anger', 'fear'], answer: ['fear'], labelSet },
      ]),
    ).toEqual([
      { labels: ['anger', 'fear', 'joy'], counts: [0, 0, 1, 0, 2, 0, 0, 1, 1] },
      { labels: ['maybe', 'no', 'yes'], counts: [0, 0, 0, 0, 0, 0, 0, 1, 0] },
    ]);
    expect(confusionsOf([])).toEqual([]);
  });

  it('is that of scikit-learn', () => {
    const labels = ['anger', 'fear', 'joy', 'neutral', 'sadness'];
    const outcomes = Array.from({ length: 60 }, (_, i) => ({
      gold: [labels[(7 * i + Math.floor(i / 3)) % 5]],
      answer: [labels[(i * i + 3) % 5]],
      labelSet: labels,
    }));
    // scikit-learn 1.9.1: confusion_matrix(gold, answer, labels=labels).ravel()
    const counts = [0, 0, 4, 4, 4, 0, 0, 4, 4, 4, 0, 0, 4, 0, 8, 0, 0, 8, 4, 0, 0, 0, 4, 0, 8];
    expect(confusionsOf(outcomes)).toEqual([{ labels, counts }]);
  });
});

it('calibration bins hold the means of what fell into them', () => {
  expect(
    labelCalibration([
      { gold: ['a'], answer: ['a'], confidence: 0.92 },
      { gold: ['a'], answer: ['b'], confidence: 0.98 },
      { gold: ['a', 'b'], answer: ['b', 'a'], confidence: 0.1 },
      { gold: ['a'], answer: ['a'] },
    ]),
  ).toEqual([
    { predicted: 0.1, observed: 1, n: 1 },
    { predicted: expect.closeTo(0.95), observed: 0.5, n: 2 },
  ]);
  expect(numberCalibration([{ gold: 0.5, answer: 0 }])).toEqual([{ predicted: 0, observed: 0.5, n: 1 }]);
  expect(numberCalibration([])).toEqual([]);
});

describe('slices', () => {
  const slices = (text: string, language = 'en') =>
    slicesOf({ text, source: 's', language, covered: false }).slice(3);
  it.each([
    ["It isn't what one would call a film worth the money", 'negation'],
    ['I don’t think that this will ever work out for them', 'negation'],
    ['We cannot say much about what happened over there', 'negation'],
    ['what a lovely day to be out with all of you ☀️', 'emoji'],
    ['so happy to see all of you here this morning 😀', 'emoji'],
    ['back home after a long way with friends #tired', 'hashtag'],
    ['what a day to be out with all of you today!', 'exclamation'],
    ['six words are still a few', 'short (at most 6 words)'],
    ['w '.repeat(26), 'long (over 25 words)'],
  ])('%j: %s', (text, slice) => {
    expect(slices(text)).toEqual([slice]);
  });

  it('a knot, a number sign and digits are none of them', () => {
    expect(slices('A knot in a note about item # 1 or 2 at © Northern')).toEqual([]);
    expect(slices('no no no no no no no', 'fi')).toEqual([]);
    expect(slicesOf({ text: 'a', source: 's', language: 'fi', covered: true }).slice(0, 3)).toEqual([
      'source s',
      'language fi',
      'lexicon words',
    ]);
  });
});

it('hardest are the largest errors, then the surest ones, then the least likely golds', () => {
  const example = (id: string, error: number, nll?: number, confidence?: number) => ({
    ...{ id, error, nll, confidence },
  });
  const examples = [
    example('a', 0),
    example('b', 1, 2),
    example('c', 1, 5),
    example('d', 0.5, 9, 1),
    example('e', 1, 2),
    example('f', 1, 1, 0.9),
  ];
  expect(hardest(examples, 5).map((e) => e.id)).toEqual(['f', 'c', 'b', 'e', 'd']);
});
