import { Rng } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import { conformalQuantile, labelsWithin, massToHold, overshoot, widened } from './conformal.js';

describe('the quantile', () => {
  it('is the ⌈(n + 1) 0.8⌉-th smallest score', () => {
    // numpy 2.4.6: quantile(s, ceil(20 · 0.8) / 19, method='inverted_cdf').
    const scores = [
      0.637, 0.27, 0.041, 0.017, 0.813, 0.913, 0.607, 0.729, 0.544, 0.935, 0.816, 0.003, 0.857, 0.034, 0.73,
      0.176, 0.863, 0.541, 0.3,
    ];
    expect(conformalQuantile(scores, 1)).toBe(0.857);
    expect(conformalQuantile([0.1, 0.2, 0.3, 0.4], 1)).toBe(0.4);
  });

  it('is the most there is where too few scores can promise anything', () => {
    expect(conformalQuantile([0.1, 0.2, 0.3], 1)).toBe(1);
    expect(conformalQuantile([], 7)).toBe(7);
  });
});

it('holds the next gold with the probability that it promises, whatever the scores', () => {
  const rng = Rng.of('exchangeable');
  // 0.8 exactly: (n + 1) · 0.8 is whole.
  const [draws, n] = [4_000, 24];
  let held = 0;
  for (let i = 0; i < draws; i++) {
    const scores = Array.from({ length: n + 1 }, () => Math.exp(rng.normal()));
    if (scores[n] <= conformalQuantile(scores.slice(0, n), Number.POSITIVE_INFINITY)) held++;
  }
  // Four standard errors of a share of 4,000.
  expect(Math.abs(held / draws - 0.8)).toBeLessThan(4 * Math.sqrt((0.8 * 0.2) / draws));
});

it('an interval grows or shrinks by the margin, within 0..1 and about its value', () => {
  expect(overshoot([0.4, 0.6], 0.3)).toBeCloseTo(0.1, 12);
  expect(overshoot([0.4, 0.6], 0.45)).toBeCloseTo(-0.05, 12);
  expect(widened([0.4, 0.6], 0.1, 0.5)).toEqual([expect.closeTo(0.3, 12), expect.closeTo(0.7, 12)]);
  expect(widened([0.05, 0.98], 0.1, 0.5)).toEqual([0, 1]);
  expect(widened([0.4, 0.6], -0.3, 0.5)).toEqual([0.5, 0.5]);
});

describe('a set of labels', () => {
  const marginals = [
    { label: 'anger', probability: 0.2 },
    { label: 'fear', probability: 0.2 },
    { label: 'joy', probability: 0.5 },
    { label: 'trust', probability: 0.1 },
  ];

  it('reaches down to the least probable gold', () => {
    expect(massToHold(marginals, ['joy'])).toBeCloseTo(0.5, 12);
    expect(massToHold(marginals, ['anger', 'joy'])).toBeCloseTo(0.7, 12);
    expect(massToHold(marginals, ['fear'])).toBeCloseTo(0.9, 12);
    expect(massToHold(marginals, ['pride'])).toBe(1);
  });

  it('is what the mass reaches, and the most probable label at least', () => {
    expect(labelsWithin(marginals, 0.9)).toEqual(['anger', 'fear', 'joy']);
    expect(labelsWithin(marginals, 0.89)).toEqual(['anger', 'joy']);
    expect(labelsWithin(marginals, 0.1)).toEqual(['joy']);
    expect(labelsWithin(marginals, 1)).toEqual(['anger', 'fear', 'joy', 'trust']);
  });
});
