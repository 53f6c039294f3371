import { Rng } from '@emotune/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bootstrapIntervals } from './bootstrap.js';
import {
  classificationMeasure,
  type LabelOutcome,
  metricNames,
  type NumberOutcome,
  regressionMeasure,
} from './metrics.js';

/** Rows whose constant answers `constant`. */
function beside<T extends object>(rows: readonly T[], constant: number): (T & { constant: number })[] {
  return rows.map((row) => ({ ...row, constant }));
}

function numbers(golds: readonly number[], answers: readonly number[]): NumberOutcome[] {
  return golds.map((gold, i) => ({ gold, answer: answers[i] }));
}

function labels(golds: readonly string[], answers: readonly string[]): LabelOutcome[] {
  const list = (joined: string) => (joined === '' ? [] : joined.split('|'));
  return golds.map((gold, i) => ({ gold: list(gold), answer: list(answers[i]) }));
}

describe('regression metrics', () => {
  it('agree with published examples', () => {
    // scipy.stats.pearsonr([1, 2, 3, 4, 5], [10, 9, 2.5, 6, 4]) in the SciPy reference: -0.7426106572325057
    expect(regressionMeasure(numbers([1, 2, 3, 4, 5], [10, 9, 2.5, 6, 4])).of().pearson).toBeCloseTo(
      -0.7426106572325057,
      14,
    );
    // scipy.stats.spearmanr([1, 2, 3, 4, 5], [5, 6, 7, 8, 7]) in the SciPy reference: 0.82078268166812329
    expect(regressionMeasure(numbers([1, 2, 3, 4, 5], [5, 6, 7, 8, 7])).of().spearman).toBeCloseTo(
      0.8207826816681233,
      14,
    );
    // scikit-learn reference, y_true = [3, -0.5, 2, 7], y_pred = [2.5, 0.0, 2, 8]: mean_squared_error 0.375,
    // mean_absolute_error 0.5, r2_score 0.948… (skill over the mean of y_true, 2.875: 1 − 1.5 / 29.1875)
    const metrics = regressionMeasure(beside(numbers([3, -0.5, 2, 7], [2.5, 0, 2, 8]), 2.875)).of();
    expect(metrics.rmse).toBeCloseTo(Math.sqrt(0.375), 14);
    expect(metrics.mae).toBeCloseTo(0.5, 14);
    expect(metrics.skill).toBeCloseTo(1 - 1.5 / 29.1875, 14);
    // By hand: cov = vx = vy = 2/3, mean difference 1, so 2·cov / (vx + vy + 1) = 4/7.
    expect(regressionMeasure(numbers([2, 3, 4], [1, 2, 3])).of().ccc).toBeCloseTo(4 / 7, 14);
  });

  it('leave out what is not defined', () => {
    expect(regressionMeasure([]).of()).toEqual({});
    expect(regressionMeasure(numbers([0.4], [0.7])).of()).toEqual({
      ccc: 0,
      rmse: expect.closeTo(0.3),
      mae: expect.closeTo(0.3),
      ece: expect.closeTo(0.3),
    });
    // 0.1 is not a binary fraction: sums of it are not exact, the variance must still be 0.
    const constant = regressionMeasure(numbers([0.2, 0.5, 0.9], [0.1, 0.1, 0.1])).of();
    expect(Object.keys(constant)).toEqual(['ccc', 'rmse', 'mae', 'ece']);
    expect(constant.ccc).toBe(0);
    expect(regressionMeasure(beside(numbers([0.3, 0.3], [0.3, 0.3]), 0.3)).of()).toEqual({
      rmse: 0,
      mae: 0,
      ece: 0,
    });
    expect(regressionMeasure(numbers([0, 1], [0, 1])).of([0, 0])).toEqual({});
  });

  it('ece is the gap between the means of answers and golds, weighted by bin of the answer', () => {
    const measure = regressionMeasure(numbers([0, 0.2, 1, 0.8], [0.05, 0.1, 0.95, 0.95]));
    // By hand: of the lowest bin 0.05 too low in sum, of the highest 0.1 too high.
    expect(measure.of().ece).toBeCloseTo(0.15 / 4, 14);
    expect(measure.of([1, 0, 0, 3]).ece).toBeCloseTo((0.05 + 3 * 0.15) / 4, 14);
    expect(measure.of().ece).toBeCloseTo(0.15 / 4, 14);
  });

  it('nll is the mean over the rows that have one', () => {
    const outcomes = [
      { gold: 0, answer: 0, nll: 1 },
      { gold: 1, answer: 1, nll: 4 },
      { gold: 1, answer: 0 },
    ];
    expect(regressionMeasure(outcomes).of().nll).toBe(2.5);
    expect(regressionMeasure(outcomes).of([2, 1, 5]).nll).toBe(2);
  });
});

describe('classification metrics', () => {
  it('agree with published examples', () => {
    // scikit-learn reference of f1_score, y_true = [0, 1, 2, 0, 1, 2], y_pred = [0, 2, 1, 0, 0, 1]: macro 0.26…, micro 0.33…
    // (label 0: precision 2/3, recall 1, F1 0.8; the others 0)
    const metrics = classificationMeasure(labels([...'012012'], [...'021001'])).of();
    expect(metrics.macroF1).toBeCloseTo(0.8 / 3, 14);
    expect(metrics.microF1).toBeCloseTo(1 / 3, 14);
    expect(metrics.accuracy).toBeCloseTo(1 / 3, 14);
    expect(metrics).not.toHaveProperty('jaccard');
    // scikit-learn reference of jaccard_score(average='samples'), y_true = [[0, 1, 1], [1, 1, 0]],
    // y_pred = [[1, 1, 1], [1, 0, 0]]: 0.5833 (2/3 and 1/2)
    const several = classificationMeasure(labels(['b|c', 'a|b'], ['a|b|c', 'a'])).of();
    expect(several.jaccard).toBeCloseTo(7 / 12, 14);
    // By hand: tp a 1, b 1, c 1; fp a 1; fn b 1: F1 2/3, 2/3, 1; micro 6 / (6 + 2).
    expect(several.macroF1).toBeCloseTo(7 / 9, 14);
    expect(several.microF1).toBeCloseTo(0.75, 14);
    expect(several.accuracy).toBe(0);
  });

  it('ece is the gap between confidence and accuracy, weighted by bin', () => {
    const outcome = (confidence: number, right: boolean) => ({
      gold: ['a'],
      answer: [right ? 'a' : 'b'],
      confidence,
    });
    // Bin (0.8, 0.9]: three rows, mean confidence 0.85, accuracy 2/3; bin (0.3, 0.4]: one row, 0.4, accuracy 1.
    const outcomes = [outcome(0.82, true), outcome(0.88, true), outcome(0.85, false), outcome(0.4, true)];
    expect(classificationMeasure(outcomes).of().ece).toBeCloseTo(
      (3 / 4) * (0.85 - 2 / 3) + (1 / 4) * 0.6,
      12,
    );
    expect(classificationMeasure([outcome(1, true), outcome(0, false)]).of().ece).toBe(0);
  });

  it('leave out what is not defined', () => {
    expect(classificationMeasure([]).of()).toEqual({});
    // Two empty sets are equal; there is no label to take an F1 of.
    expect(classificationMeasure(labels([''], [''])).of()).toEqual({ accuracy: 1, jaccard: 1 });
  });
});

it('weights count rows: the same as writing a row several times', () => {
  const value = fc.integer({ min: 0, max: 5 }).map((v) => v / 5);
  const set = fc.subarray(['a', 'b', 'c', 'd']);
  const row = fc.record({ gold: value, answer: value, golds: set, answers: set, p: value, nll: value });
  fc.assert(
    fc.property(fc.array(fc.tuple(row, fc.nat(3)), { maxLength: 12 }), (rows) => {
      const repeated = rows.flatMap(([r, times]) => Array.from({ length: times }, () => r));
      const weights = rows.map(([, times]) => times);
      const measures = (list: (typeof repeated)[number][]) => [
        regressionMeasure(beside(list, 0.5)),
        classificationMeasure(
          list.map((r) => ({ gold: r.golds, answer: r.answers, confidence: r.p, nll: r.nll })),
        ),
      ];
      const once = measures(repeated).map((m) => m.of());
      const weighted = measures(rows.map(([r]) => r)).map((m) => m.of(weights));
      for (const [m, want] of once.entries()) {
        // Whether any set is not single is a property of all rows, not of those drawn.
        const { jaccard: _, ...got } = weighted[m];
        const { jaccard: __, ...expected } = want;
        expect(Object.keys(got)).toEqual(Object.keys(expected));
        for (const name of metricNames)
          if (name in expected)
            expect(got[name as 'rmse']).toBeCloseTo(expected[name as 'rmse'] as number, 9);
      }
    }),
  );
});

describe('bootstrap', () => {
  const rng = () => Rng.of('bootstrap');
  const noisy = (n: number) => {
    const draw = Rng.of('rows');
    return Array.from({ length: n }, () => {
      const gold = draw.uniform();
      return { gold, answer: gold + 0.2 * draw.normal(), nll: 1 + draw.normal() };
    });
  };

  it('the interval of a mean is the mean ± 1.96 standard errors', () => {
    const rows = noisy(2000);
    const { nll } = bootstrapIntervals(regressionMeasure(rows), rng(), 2000);
    const mean = regressionMeasure(rows).of().nll!;
    // The standard deviation of nll is 1; the quantiles of 2000 resamples are good to a few percent.
    expect((nll!.high - nll!.low) / 2).toBeCloseTo(1.96 / Math.sqrt(2000), 2);
    expect((nll!.high + nll!.low) / 2).toBeCloseTo(mean, 2);
  });

  it('the interval of Pearson r is that of Fisher’s transformation', () => {
    const rows = noisy(1000);
    const r = regressionMeasure(rows).of().pearson!;
    const { pearson } = bootstrapIntervals(regressionMeasure(rows), rng(), 2000);
    expect(pearson!.low).toBeCloseTo(Math.tanh(Math.atanh(r) - 1.96 / Math.sqrt(997)), 2);
    expect(pearson!.high).toBeCloseTo(Math.tanh(Math.atanh(r) + 1.96 / Math.sqrt(997)), 2);
    expect(pearson!.low).toBeLessThan(r);
    expect(pearson!.high).toBeGreaterThan(r);
  });

  it('the same stream gives the same intervals, and no rows give none', () => {
    const measure = regressionMeasure(beside(noisy(50), 0.5));
    expect(bootstrapIntervals(measure, rng(), 100)).toEqual(bootstrapIntervals(measure, rng(), 100));
    expect(bootstrapIntervals(regressionMeasure([]), rng())).toEqual({});
    expect(bootstrapIntervals(regressionMeasure([{ gold: 0, answer: 0.5 }]), rng()).rmse).toEqual({
      low: 0.5,
      high: 0.5,
    });
  });
});

describe('of calibration', () => {
  it('intervals have a coverage and a width, and distributions a score', () => {
    const interval = (low: number, high: number) => [low, high] as const;
    const { of } = regressionMeasure([
      { gold: 0.5, answer: 0.5, interval: interval(0.4, 0.6), crps: 0.1 },
      { gold: 0.9, answer: 0.5, interval: interval(0.2, 0.8), crps: 0.3 },
      // An end that is the gold holds it.
      { gold: 0.1 + 0.2, answer: 0.2, interval: interval(0.1, 0.3), crps: 0.2 },
    ]);
    expect(of().coverage).toBeCloseTo(2 / 3, 12);
    expect(of().width).toBeCloseTo(1 / 3, 12);
    expect(of().crps).toBeCloseTo(0.2, 12);
    expect(of([0, 2, 0]).coverage).toBe(0);
  });

  it('sets hold all gold labels or miss, and confidences have a Brier score', () => {
    const { of } = classificationMeasure([
      { gold: ['a'], answer: ['a'], confidence: 0.8, within: ['a', 'b'] },
      { gold: ['a', 'c'], answer: ['a'], confidence: 0.4, within: ['a', 'b'] },
    ]);
    expect(of().coverage).toBe(0.5);
    expect(of().width).toBe(2);
    // scikit-learn 1.9.1: brier_score_loss([1, 0], [0.8, 0.4]).
    expect(of().brier).toBeCloseTo(0.1, 12);
  });

  it('is not told of answers that tell nothing', () => {
    const told = regressionMeasure([{ gold: 0.5, answer: 0.4 }]).of();
    for (const name of ['coverage', 'width', 'crps']) expect(told).not.toHaveProperty(name);
  });
});
