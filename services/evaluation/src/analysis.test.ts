import { ConstantBaseline, labelGold, numberGold, ratedGold } from '@emotune/affect';
import type { Prediction } from '@emotune/records';
import { describe, expect, it } from 'vitest';
import { type AnalysisOptions, analyseTask } from './analysis.js';
import { isValid } from './outcomes.js';
import { blank, rated } from './test-predictions.js';

function options(rows: readonly Prediction[]): AnalysisOptions {
  const constant = new ConstantBaseline();
  for (const row of rows) constant.add(row);
  return { constant, lexicon: () => ({ vader: 0.5, words: ['fine'] }), seed: 1 };
}

describe('valid', () => {
  it.each([
    ['a number on the scale', rated, true],
    ['a number below it', { ...rated, value: -0.01 }, false],
    ['a number above it', { ...rated, value: 1.01 }, false],
    ['no number', { ...rated, value: null }, false],
    ['a label of the set', blank, true],
    ['a label of another set', { ...blank, labels: ['trust'] }, false],
    ['two labels where one is asked', { ...blank, labels: ['fear', 'joy'] }, false],
    ['two labels where several are asked', { ...blank, labels: ['fear', 'joy'], multiLabel: true }, true],
    ['no label', { ...blank, labels: [], multiLabel: true }, false],
  ] as const)('%s: %#', (_, prediction, want) => {
    expect(isValid(prediction)).toBe(want);
  });

  it('is the share of the answers, and what is not valid still counts as wrong', () => {
    const rows = [rated, { ...rated, gold: numberGold(1), value: null }];
    const { result } = analyseTask('sentiment-regression', rows, options(rows));
    expect(result.valid).toBe(0.5);
    expect(result.metrics['mae']).toBeCloseTo(0.25);
  });
});

describe('analyseTask', () => {
  it('leaves VADER out where a text is not in English, and tells of each language by itself', () => {
    const rows = [rated, { ...rated, id: 'b', gold: numberGold(1) }, { ...rated, id: 'c', language: 'ro' }];
    const lexicon: AnalysisOptions['lexicon'] = (_, language) =>
      language === 'en' ? { vader: 0.5, words: ['fine'] } : undefined;
    const of = (some: readonly Prediction[]) =>
      analyseTask('sentiment-regression', some, { ...options(some), lexicon });
    expect(of(rows.slice(0, 2)).result.vader).toHaveProperty('rmse');
    const { result, slices } = of(rows);
    expect([result.vader, result.pVader]).toEqual([{}, undefined]);
    expect(slices.map(({ slice, n }) => [slice, n])).toEqual(
      expect.arrayContaining([
        ['language en', 2],
        ['language ro', 1],
        ['lexicon words', 2],
      ]),
    );
    expect(slices.map(({ slice }) => slice)).not.toContain('no lexicon words');
  });

  it('takes label sets of several sources together, and shows each as a slice', () => {
    const rows = [
      { ...blank, id: '1' },
      { ...blank, id: '2', gold: labelGold(['fear']) },
      {
        ...blank,
        id: '3',
        source: 't',
        labelSet: ['joy', 'trust'],
        gold: labelGold(['trust']),
        labels: ['trust'],
      },
    ];
    const { result, slices, hardest } = analyseTask('emotion-classification', rows, options(rows));
    expect(result.confusions).toEqual([
      { labels: ['anger', 'fear', 'joy'], counts: [0, 0, 0, 0, 0, 1, 0, 0, 1] },
      { labels: ['joy', 'trust'], counts: [0, 0, 0, 1] },
    ]);
    expect(result.metrics['accuracy']).toBeCloseTo(2 / 3);
    // F1 of fear 0, joy 2/3, trust 1.
    expect(result.metrics['macroF1']).toBeCloseTo(5 / 9);
    // The majority of {anger, fear, joy} is fear, the first of two that are as frequent; of {joy, trust} it is trust.
    expect(result.constant['accuracy']).toBeCloseTo(2 / 3);
    expect(slices.map((s) => [s.slice, s.n, s.metrics['accuracy']])).toEqual(
      expect.arrayContaining([
        ['source s', 2, 0.5],
        ['source t', 1, 1],
      ]),
    );
    expect(hardest).toEqual([
      {
        task: 'TASK_EMOTION_CLASSIFICATION',
        id: '2',
        text: 'a text',
        gold: 'fear',
        answer: 'joy',
        error: 1,
        confidence: 0.9,
        cues: ['fine', 'source s', 'short (at most 6 words)'],
      },
    ]);
  });

  it('tells a model that beats the constant from one that does not', () => {
    const rows = Array.from({ length: 60 }, (_, i) => ({
      ...rated,
      id: `${i}`,
      gold: numberGold((i % 10) / 9),
    }));
    const p = (answer: (gold: number) => number) =>
      analyseTask(
        'sentiment-regression',
        rows.map((row) => ({ ...row, value: answer(row.gold.value!) })),
        options(rows),
      ).result.pConstant!;
    expect(p((gold) => 0.9 * gold)).toBeLessThan(0.01);
    expect(p((gold) => 1 - gold)).toBeGreaterThan(0.99);
  });

  it('tells one that beats VADER from one that does not, whatever VADER’s scale', () => {
    const rows = Array.from({ length: 60 }, (_, i) => ({
      ...rated,
      id: `${i}`,
      text: `${i}`,
      gold: numberGold((i % 10) / 9),
      value: ((i % 10) + (i % 3)) / 12,
    }));
    const p = (vader: (i: number) => number) => {
      const lexicon = (text: string) => ({ vader: vader(Number(text)), words: [] });
      return analyseTask('sentiment-regression', rows, { ...options(rows), lexicon }).result.pVader!;
    };
    // Nearly constant but in the order of the golds; then in no order.
    expect(p((i) => (i % 10) / 100)).toBeGreaterThan(0.99);
    expect(p((i) => Math.cos(7 * i))).toBeLessThan(0.01);
    const labels = [{ ...blank, task: 'sentiment-classification' as const }];
    expect(analyseTask('sentiment-classification', labels, options(labels)).result.pVader).toBeUndefined();
  });

  it('takes the ceiling from what each rater answered, where half of the rows tell it', () => {
    const rows = [0.1, 0.5, 0.9].map((value, i) => ({
      ...rated,
      id: `${i}`,
      gold: ratedGold(value, [value, value]),
    }));
    const ceiling = (all: Prediction[]) =>
      analyseTask('sentiment-regression', all, options(all)).result.humanCeiling;
    expect(ceiling(rows)).toBeCloseTo(1, 12);
    expect(ceiling([...rows, rated])).toBeCloseTo(1, 12);
    expect(ceiling([...rows, rated, rated, rated, rated])).toBeUndefined();
  });

  it('shows golds and answers on the declared scale', () => {
    const rows = [
      { ...rated, task: 'emotion-regression' as const, emotion: 'joy', gold: numberGold(0.25), value: 1 },
    ];
    const [example] = analyseTask('emotion-regression', rows, options(rows)).hardest;
    expect(example).toMatchObject({ gold: 'joy -2.0', answer: 'joy 4.0', error: 0.75 });
  });

  it('leaves baselines out where no train row asked the like', () => {
    const { result } = analyseTask('emotion-classification', [blank], options([rated]));
    expect([result.constant, result.vader, result.pConstant]).toEqual([{}, {}, undefined]);
  });
});
