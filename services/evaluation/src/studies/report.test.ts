/** What judgements tell, by hand. */
import { krippendorffAlpha } from '@emotune/affect';
import { expect, it } from 'vitest';
import type { Answer } from './answers.js';
import type { Item } from './items.js';
import type { RatingQuestion, StudyQuestion } from './question.js';
import { type ReportInput, reportOf } from './report.js';
import { rowsOf } from './rows.js';

const item = (number: number, more: Partial<Item> = {}): [number, Item] => [
  number,
  {
    ...{ right: null, example: `e/${number}`, text: `text ${number}`, language: 'en', emotion: null },
    ...{ asked: '', answers: null, model: null, source: 'notes', licence: '' },
    ...more,
  },
];

const numbers: RatingQuestion = {
  ...{ kind: 'rating', question: '', task: 'sentiment-regression', scale: { low: 0, high: 4 } },
  ...{ values: [0, 1, 2, 3, 4], labels: [], multiLabel: false },
};
const labels: RatingQuestion = {
  ...{ kind: 'rating', question: '', task: 'sentiment-classification', scale: null, values: [] },
  ...{ labels: ['bad', 'good'], multiLabel: false },
};

const value = (n: number): Answer => ({ kind: 'value', value: n });
const label = (...of: string[]): Answer => ({ kind: 'labels', labels: of });

/** Answers of each rater, item by item; undefined where there is none. */
function input(
  question: StudyQuestion,
  items: readonly [number, Item][],
  answers: readonly (readonly (Answer | undefined)[])[],
  more: Partial<ReportInput> = {},
): ReportInput {
  return {
    ...{ name: 'by-hand', question, pass: 0.75, seed: 0, items: new Map(items), models: undefined },
    raters: answers.map((_, i) => ({ number: i + 1, name: `r${i + 1}` })),
    judgements: answers.flatMap((of, i) =>
      of.flatMap((answer, k) =>
        answer ? [{ item: items[k][0], rater: i + 1, answer, seconds: k + 1 }] : [],
      ),
    ),
    ...more,
  };
}

it('leaves each rater out in turn, and compares model and rater with the same others', () => {
  const model = (unit: number) => ({ model: { value: unit, labels: [] } });
  const items = [0.1, 0.4, 0.5, 0.9].map((unit, i) => item(i + 1, model(unit)));
  const ratings = [
    [0, 1, 2, 4],
    [1, 1, 3, 4],
    [0, 2, 1, 3],
  ];
  const report = reportOf(
    input(
      numbers,
      items,
      ratings.map((of) => of.map(value)),
    ),
    false,
  );
  const r = (x: readonly number[], y: readonly number[]) => {
    const [mx, my] = [x, y].map((v) => v.reduce((sum, e) => sum + e, 0) / v.length);
    const dot = (a: readonly number[], ma: number, b: readonly number[], mb: number) =>
      a.reduce((sum, e, i) => sum + (e - ma) * (b[i] - mb), 0);
    return dot(x, mx, y, my) / Math.sqrt(dot(x, mx, x, mx) * dot(y, my, y, my));
  };
  const others = (rater: number) =>
    items.map((_, i) => ratings.filter((__, k) => k !== rater).reduce((sum, of) => sum + of[i] / 2, 0));
  const beside = [0, 1, 2].map((rater) => ({
    rater: r(ratings[rater], others(rater)),
    model: r([0.1, 0.4, 0.5, 0.9], others(rater)),
  }));
  const mean = (of: 'rater' | 'model') => beside.reduce((sum, one) => sum + one[of] / 3, 0);
  expect(report.model!.raters).toBeCloseTo(mean('rater'), 12);
  expect(report.model!.model).toBeCloseTo(mean('model'), 12);
  expect(report.model!.n).toBe(3);
  expect(report.raters.map(({ agreement }) => agreement)).toEqual(
    beside.map(({ rater }) => expect.closeTo(rater, 12)),
  );
  expect(report.agreement[0].interval).toBeCloseTo(
    krippendorffAlpha(
      items.map((_, i) => ratings.map((of) => of[i])),
      'interval',
    )!,
    12,
  );
  expect(report.raters[0].medianSeconds).toBe(2.5);
});

it('tells nothing of the model where there is one rater, and no alpha', () => {
  const report = reportOf(
    input(labels, [item(1, { model: { value: null, labels: ['bad'] } })], [[label('bad')]]),
    false,
  );
  expect(report.model).toBeUndefined();
  expect(report.agreement[0].nominal).toBeUndefined();
  expect(report.raters[0]).toMatchObject({ agreement: undefined, agreementItems: 0 });
});

it('counts an answer among equally frequent ones as theirs', () => {
  const model = { model: { value: null, labels: ['good'] } };
  const items = [item(1, model), item(2, model)];
  const report = reportOf(
    input(labels, items, [
      [label('bad'), label('good')],
      [label('good'), label('good')],
      [label('bad'), label('bad')],
    ]),
    false,
  );
  // Of the first rater the others say good or bad, both times.
  expect(report.raters.map(({ agreement }) => agreement)).toEqual([1, 0.5, 0.5]);
  expect(report.model).toMatchObject({ metric: 'accuracy', panel: 0.5, panelItems: 2 });
});

it('compares who failed the checks with those who did not, and leaves them out where that is asked', () => {
  const check = item(3, { right: { kind: 'labels', labels: ['good'] } });
  const given = input(
    labels,
    [item(1), item(2), check],
    [
      [label('bad'), label('good'), label('good')],
      [label('bad'), label('good'), label('good')],
      [label('good'), label('bad'), label('bad')],
    ],
  );
  const all = reportOf(given, false);
  const without = reportOf(given, true);
  expect(all.raters.map(({ failed }) => failed)).toEqual([false, false, true]);
  expect([all.agreement[0].nominal! < 0.1, without.agreement[0].nominal]).toEqual([true, 1]);
  expect(without).toMatchObject({ judgements: 4, excludedRaters: 1, excludedJudgements: 2 });
  expect(without.raters.map(({ agreement }) => agreement)).toEqual([1, 1, 0]);
});

it('tells of several labels label by label', () => {
  const several = { ...labels, labels: ['anger', 'fear', 'joy'], multiLabel: true };
  const report = reportOf(
    input(
      several,
      [item(1), item(2)],
      [
        [label('anger', 'fear'), label('joy')],
        [label('anger'), label('joy')],
      ],
    ),
    false,
  );
  expect(
    report.agreement.map((one) => [one.label, one.nominal !== undefined && Number(one.nominal.toFixed(3))]),
  ).toEqual([
    // Four answers of three kinds: 1 − 3 · 2 / 10, and so on.
    ['', 0.4],
    ['anger', 1],
    ['fear', 0],
    ['joy', 1],
  ]);
});

it('makes a row of what half of the raters gave at least, and of none where they are divided', () => {
  const several = { ...labels, labels: ['anger', 'fear', 'joy'], multiLabel: true };
  const { judgements, items } = input(
    several,
    [item(1), item(2)],
    [
      [label('anger', 'fear'), label('joy')],
      [label('anger'), label('fear')],
      [label('joy'), label('anger')],
    ],
  );
  const rows = rowsOf({
    name: 'x',
    licence: 'CC0-1.0',
    question: several,
    items,
    judgements,
    leastRaters: 1,
  });
  expect(rows).toMatchObject({ divided: 1, tooFew: 0 });
  expect(rows.rows).toMatchObject([
    { answer: ['anger'], votes: { anger: 2, fear: 1, joy: 1 }, raters: 3, licence: 'unknown AND CC0-1.0' },
  ]);
});
