import { Rng } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import { answered, calibrationOf, fewestRows, fitCalibrations, type HeldAnswer } from './calibration.js';
import { type Distribution, meanOf } from './distribution.js';

const scale = { low: -4, high: 4 };

/** What a model says that is too sure of numbers too near to the middle: gold = 0.5 + 2 (mean − 0.5) + noise. */
function numbersHeld(count: number, stream: string, noise = 0.05): HeldAnswer[] {
  const rng = Rng.of('numbers', stream);
  return Array.from({ length: count }, (_, i) => {
    const centre = 0.3 + 0.4 * rng.uniform();
    const weights = Array.from({ length: 41 }, (_, k) => Math.exp(-(((k / 40 - centre) / 0.03) ** 2) / 2));
    const sum = weights.reduce((a, b) => a + b, 0);
    const said: Distribution = weights.map((w, k) => ({
      answer: `${k}`,
      value: k / 40,
      labels: [],
      probability: w / sum,
    }));
    const gold = Math.min(1, Math.max(0, 0.5 + 2 * (centre - 0.5) + noise * rng.normal()));
    return {
      task: 'sentiment-regression',
      emotion: null,
      labelSet: [],
      multiLabel: false,
      scale: i % 4 === 0 ? { low: 1, high: 5 } : scale,
      said,
      gold: { value: gold, labels: [] },
      text: `${i}`,
    };
  });
}

/** Labels of a model whose log-probabilities are twice what they should be, and that says c far too often. */
function labelsHeld(count: number, stream: string): HeldAnswer[] {
  const rng = Rng.of('labels', stream);
  return Array.from({ length: count }, (_, i) => {
    const logits = [rng.normal(), rng.normal() - 1, rng.normal() + 1];
    const weights = logits.map(Math.exp);
    const sum = weights.reduce((a, b) => a + b, 0);
    const at = rng.uniform() * sum;
    const gold = at < weights[0] ? 'a' : at < weights[0] + weights[1] ? 'b' : 'c';
    const sharp = logits.map((l) => Math.exp(2 * l));
    const total = sharp.reduce((a, b) => a + b, 0);
    return {
      task: 'sentiment-classification',
      emotion: null,
      labelSet: i % 2 === 0 ? ['a', 'b', 'c'] : ['c', 'b', 'a'],
      multiLabel: false,
      scale: null,
      said: ['a', 'b', 'c'].map((label, k) => ({
        answer: label,
        value: null,
        labels: [label],
        probability: sharp[k] / total,
      })),
      gold: { value: null, labels: [gold] },
      text: `${i}`,
    };
  });
}

/** Four standard errors of a share of the test rows, and the spread of what 600 calibration rows promise (Vovk 2012: beta). */
const slack = (n: number) => 4 * Math.sqrt(0.16 / n + 0.16 / 600);

describe('numbers', () => {
  const [calibration] = fitCalibrations(numbersHeld(600, 'held'));
  const test = numbersHeld(1_000, 'test');
  const served = test.map((row) => answered({ ...row, calibration }, row.said));
  const raw = test.map((row) => answered(row, row.said));
  const mse = (answers: typeof raw) =>
    answers.reduce((sum, { value }, i) => sum + (value! - test[i].gold.value!) ** 2, 0) / test.length;

  it('are drawn to where golds are, and stay the means of what is served', () => {
    expect(calibration.numbers!.curve.method).toBe('linear');
    // The variance of the noise is 0.0025, and what is missing before that of half of the golds' spread, 0.0133.
    expect(mse(served)).toBeLessThan(0.003);
    expect(mse(raw)).toBeGreaterThan(0.012);
    for (const { value, distribution } of served) expect(value).toBeCloseTo(meanOf(distribution), 9);
  });

  it.each([
    ['all', () => true],
    ['a scale', (row: HeldAnswer) => row.scale!.low === 1],
    ['the other', (row: HeldAnswer) => row.scale!.low === -4],
  ])('have intervals that hold 80 %% of golds: %s', (_, of) => {
    const rows = test.flatMap((row, i) => (of(row) ? [{ row, answer: served[i] }] : []));
    const held = rows.filter(
      ({ row, answer }) => answer.low! <= row.gold.value! && row.gold.value! <= answer.high!,
    );
    expect(Math.abs(held.length / rows.length - 0.8)).toBeLessThan(slack(rows.length));
  });

  it('are sure of too much before', () => {
    const held = raw.filter(
      ({ low, high }, i) => low! <= test[i].gold.value! && test[i].gold.value! <= high!,
    );
    expect(held.length / test.length).toBeLessThan(0.4);
  });

  it('on a scale that none was held out of have the margin of all', () => {
    const [row] = test;
    const own = answered({ ...row, scale: { low: 0, high: 100 }, calibration }, row.said);
    const pooled = { ...calibration, numbers: { ...calibration.numbers!, margins: [] } };
    expect(own).toEqual(answered({ ...row, calibration: pooled }, row.said));
  });
});

describe('labels', () => {
  const [calibration] = fitCalibrations(labelsHeld(600, 'held'));
  const test = labelsHeld(1_500, 'test');
  const served = test.map((row) => answered({ ...row, calibration }, row.said));
  const raw = test.map((row) => answered(row, row.said));
  const isRight = (answer: (typeof raw)[number], i: number) => answer.labels[0] === test[i].gold.labels[0];

  it('have the temperature that they were made with', () => {
    expect(calibration.labels!.temperature).toBeGreaterThanOrEqual(1.75);
    expect(calibration.labels!.temperature).toBeLessThanOrEqual(2.5);
  });

  it('are as often right as they are confident', () => {
    const gap = (answers: typeof raw) => {
      const sure = answers.reduce((sum, { confidence }) => sum + confidence!, 0);
      return Math.abs(sure - answers.filter(isRight).length) / test.length;
    };
    expect(gap(served)).toBeLessThan(slack(test.length));
    expect(gap(raw)).toBeGreaterThan(0.08);
  });

  it('lie in sets that hold 80 % of golds', () => {
    const held = served.filter(({ within }, i) => within.includes(test[i].gold.labels[0]));
    expect(Math.abs(held.length / test.length - 0.8)).toBeLessThan(slack(test.length));
  });

  it('that are rare are answered more often than they were', () => {
    const answers = (of: typeof raw) => of.filter(({ labels }) => labels[0] === 'b').length;
    expect(answers(served)).toBeGreaterThan(answers(raw));
  });

  it('in any order are one kind of question, others are not', () => {
    const found = (labelSet: readonly string[], multiLabel = false) =>
      calibrationOf([calibration], { task: 'sentiment-classification', emotion: null, labelSet, multiLabel });
    expect(found(['c', 'a', 'b'])).toBe(calibration);
    expect(found(['a', 'b'])).toBeUndefined();
    expect(found(['a', 'b', 'c'], true)).toBeUndefined();
  });
});

it('of fewer rows nothing is fitted, and answers stay as they are', () => {
  const rows = labelsHeld(fewestRows - 1, 'few');
  const [calibration] = fitCalibrations(rows);
  expect(calibration).toMatchObject({ n: fewestRows - 1, numbers: null, labels: null });
  const [row] = rows;
  expect(answered({ ...row, calibration }, row.said)).toEqual(answered(row, row.said));
});

it('is the same of the same rows', () => {
  const rows = [...numbersHeld(60, 'same'), ...labelsHeld(60, 'same')];
  expect(fitCalibrations(rows)).toEqual(fitCalibrations(rows));
  expect(fitCalibrations([])).toEqual([]);
});

it('keeps intensities of one emotion from those of another', () => {
  const of = (emotion: string, stream: string) =>
    numbersHeld(200, stream).map((row) => ({ ...row, task: 'emotion-regression' as const, emotion }));
  const arousal = of('arousal', 'arousal');
  const [aroused, joyful] = fitCalibrations([...arousal, ...of('joy', 'joy').slice(0, fewestRows - 1)]);
  expect([aroused, joyful].map(({ emotion, n, numbers }) => [emotion, n, numbers !== null])).toEqual([
    ['arousal', 200, true],
    ['joy', fewestRows - 1, false],
  ]);
  expect(calibrationOf([aroused, joyful], { ...arousal[0], emotion: 'joy' })).toBe(joyful);
  expect(calibrationOf([aroused], { ...arousal[0], emotion: 'fear' })).toBeUndefined();
});
