import { Rng } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import {
  crpsOf,
  type Distribution,
  intervalOf,
  marginalsOf,
  meanOf,
  quantileOf,
  tempered,
  withMean,
} from './distribution.js';

function numbers(probabilities: readonly number[]): Distribution {
  return probabilities.map((probability, i) => ({
    answer: `${i}`,
    value: i / (probabilities.length - 1),
    labels: [],
    probability,
  }));
}

const skewed = numbers([0.1, 0.2, 0.4, 0.3]);
const even = numbers([0.1, 0.2, 0.4, 0.2, 0.1]);

it('has its interval where the tails end', () => {
  expect(intervalOf(skewed, 0.8)).toEqual([0, 1]);
  expect(intervalOf(skewed, 0.5)).toEqual([1 / 3, 1]);
  expect(intervalOf([{ ...skewed[2], probability: 1 }], 0.8)).toEqual([2 / 3, 2 / 3]);
});

it('has its median where the cumulative probability passes a half', () => {
  expect(quantileOf(skewed, 0.5)).toBe(2 / 3);
  // 0.1 + 0.2 is not 0.3 in doubles.
  expect(quantileOf(skewed, 0.3)).toBe(1 / 3);
});

it('of label sets gives each label its share', () => {
  const sets = [
    { labels: ['joy'], probability: 0.3 },
    { labels: ['joy', 'trust'], probability: 0.25 },
    { labels: ['fear'], probability: 0.45 },
  ].map((set) => ({ ...set, answer: set.labels.join(', '), value: null }));
  expect(marginalsOf(sets)).toEqual([
    { label: 'fear', probability: 0.45 },
    { label: 'joy', probability: 0.55 },
    { label: 'trust', probability: 0.25 },
  ]);
});

it('is flatter by a temperature above 1: powers of the probabilities', () => {
  const roots = [0.1, 0.2, 0.4, 0.3].map(Math.sqrt);
  const sum = roots.reduce((a, b) => a + b, 0);
  tempered(skewed, 2).forEach(({ probability }, i) => {
    expect(probability).toBeCloseTo(roots[i] / sum, 12);
  });
  expect(tempered(skewed, 1)).toBe(skewed);
});

describe('given another mean', () => {
  it.each([
    // scipy 1.17.1: brentq for λ of p exp(λ v) / Σ with this mean.
    [
      0.3,
      [
        0.30455951991435903, 0.3023375704313877, 0.3001318314399034, 0.07448554616859393,
        0.018485532045755888,
      ],
    ],
    [
      0.8,
      [0.00495889476654569, 0.03094249830635475, 0.19307491820515227, 0.3011870896044484, 0.4698365991174988],
    ],
  ])('%s, it is tilted as scipy solves it', (mean, expected) => {
    const tilted = withMean(even, mean);
    // brentq stops at 2e-12 of λ.
    tilted.forEach(({ probability }, i) => {
      expect(probability).toBeCloseTo(expected[i], 10);
    });
    expect(meanOf(tilted)).toBeCloseTo(mean, 10);
  });

  it('beyond its numbers, it stays a distribution, at their end', () => {
    for (const [mean, end] of [
      [0, 0],
      [1, 4],
    ]) {
      const tilted = withMean(even, mean);
      expect(tilted.reduce((sum, { probability }) => sum + probability, 0)).toBeCloseTo(1, 12);
      expect(tilted[end].probability).toBeGreaterThan(0.999);
    }
  });
});

describe('the continuous ranked probability score', () => {
  it.each([
    // Half the squared energy distance of scipy 1.17.1 (energy_distance(v, [gold], p)² / 2).
    [0.3, 0.13],
    [0.5, 0.05],
    [1, 0.35],
  ])('of gold %s is that of scipy', (gold, expected) => {
    expect(crpsOf(even, gold)).toBeCloseTo(expected, 12);
  });

  it('is the absolute error of one certain number, and E|X − y| − E|X − X′| / 2 of any', () => {
    const rng = Rng.of('crps');
    expect(crpsOf([{ ...skewed[1], probability: 1 }], 0.9)).toBeCloseTo(0.9 - 1 / 3, 12);
    for (let i = 0; i < 50; i++) {
      const weights = Array.from({ length: 7 }, () => rng.uniform());
      const sum = weights.reduce((a, b) => a + b, 0);
      const any = numbers(weights.map((w) => w / sum));
      const gold = rng.uniform();
      const mean = (f: (v: number) => number) =>
        any.reduce((total, { value, probability }) => total + probability * f(value!), 0);
      const energy = mean((v) => Math.abs(v - gold)) - mean((v) => mean((w) => Math.abs(v - w))) / 2;
      expect(crpsOf(any, gold)).toBeCloseTo(energy, 12);
    }
  });
});
