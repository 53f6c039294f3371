import { Rng } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import { correlationPermutation, holm, membersPermutation, pairedPermutation } from './permutation.js';

const rng = Rng.of(1, 'permutation');
const zeros = (n: number) => new Array<number>(n).fill(0);

describe('on mean losses', () => {
  // Darwin's maize, crossed less self-fertilised, in eighths of an inch: Fisher 1935, section 21, counts 863 of the 2^15
  // sums that are as large as the one seen.
  const maize = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48];

  it('finds what Fisher counted for Darwin', () => {
    const test = pairedPermutation(zeros(15), maize, rng)!;
    expect(test.notBetter).toBeCloseTo(863 / 32_768, 12);
    expect(test.twoSided).toBeCloseTo(1726 / 32_768, 12);
    // The other way round the tail holds all that are not below.
    expect(pairedPermutation(maize, zeros(15), rng)!.notBetter).toBeGreaterThan(0.97);
  });

  it('is the sign test where all differences are as large: the binomial tail', () => {
    // 8 of 10 wins: P(X ≥ 8) = (45 + 10 + 1) / 1024.
    const losses = [1, 1, 1, 1, 1, 1, 1, 1, -1, -1];
    expect(pairedPermutation(zeros(10), losses, rng)!.notBetter).toBeCloseTo(56 / 1024, 12);
  });

  it('draws where there are too many ways, as exactly as its draws allow', () => {
    // 27 of 40 wins: P(X ≥ 27) = 0.019239 (the binomial tail).
    const losses = Array.from({ length: 40 }, (_, i) => (i < 27 ? 1 : -1));
    const { notBetter } = pairedPermutation(zeros(40), losses, rng.child('drawn'))!;
    // Four standard errors of a share of 9,999 draws.
    expect(Math.abs(notBetter - 0.019239)).toBeLessThan(4 * Math.sqrt((0.019239 * 0.980761) / 9_999));
  });

  it('never gives 0, nor a difference of the same answers', () => {
    const sure = pairedPermutation(zeros(100), new Array(100).fill(1), rng)!;
    expect(sure).toEqual({ notBetter: 1e-4, twoSided: 2e-4 });
    expect(pairedPermutation([0.1, 0.2], [0.1, 0.2], rng)).toEqual({ notBetter: 1, twoSided: 1 });
    expect(pairedPermutation([], [], rng)).toBeUndefined();
  });
});

it('is fair: of pure noise about one in twenty is significant', () => {
  const draw = Rng.of('null');
  const noise = () => Array.from({ length: 60 }, () => draw.normal());
  const significant = Array.from(
    { length: 300 },
    (_, k) => pairedPermutation(noise(), noise(), Rng.of('null', k), 199)!.notBetter <= 0.05,
  ).filter(Boolean).length;
  // Binomial(300, 0.05): 15 ± 3.8.
  expect(significant).toBeGreaterThan(3);
  expect(significant).toBeLessThan(30);
});

describe('on correlations', () => {
  const gold = [0.1, 0.9, 0.4, 0.7, 0.3, 0.8];
  const first = [0.2, 0.8, 0.5, 0.6, 0.1, 0.9];
  const second = [0.3, 0.2, 0.9, 0.4, 0.6, 0.7];

  function pearson(x: readonly number[], y: readonly number[]): number {
    const mean = (v: readonly number[]) => v.reduce((s, e) => s + e, 0) / v.length;
    const [mx, my] = [mean(x), mean(y)];
    const sum = (f: (i: number) => number) => x.reduce((s, _, i) => s + f(i), 0);
    const xy = sum((i) => (x[i] - mx) * (y[i] - my));
    return xy / Math.sqrt(sum((i) => (x[i] - mx) ** 2) * sum((i) => (y[i] - my) ** 2));
  }

  it('counts the swaps of standardised answers that are as far apart', () => {
    const standard = (v: readonly number[]) => {
      const mean = v.reduce((s, e) => s + e, 0) / v.length;
      const deviation = Math.sqrt(v.reduce((s, e) => s + (e - mean) ** 2, 0) / v.length);
      return v.map((e) => (e - mean) / deviation);
    };
    const [a, b] = [standard(first), standard(second)];
    const seen = pearson(first, gold) - pearson(second, gold);
    let count = 0;
    for (let code = 0; code < 64; code++) {
      const pick = (x: number[], y: number[]) => x.map((v, i) => ((code >> i) & 1 ? y[i] : v));
      if (pearson(pick(a, b), gold) - pearson(pick(b, a), gold) >= seen - 1e-9) count++;
    }
    expect(correlationPermutation(first, second, gold, rng)!.notBetter).toBeCloseTo(count / 64, 12);
  });

  it('does not care for the scale of either', () => {
    const there = correlationPermutation(first, second, gold, rng);
    const scaled = second.map((v) => 100 * v - 7);
    expect(correlationPermutation(first, scaled, gold, rng)).toEqual(there);
    const same = correlationPermutation(
      first,
      first.map((v) => 3 * v),
      gold,
      rng,
    );
    expect(same).toEqual({ notBetter: 1, twoSided: 1 });
  });

  it('is undefined where a correlation is', () => {
    expect(correlationPermutation(first, zeros(6), gold, rng)).toBeUndefined();
    expect(correlationPermutation(first, second, zeros(6), rng)).toBeUndefined();
    expect(correlationPermutation([], [], [], rng)).toBeUndefined();
  });
});

// R 4.3: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm"); and one whose product exceeds 1.
it('corrects p-values as Holm does', () => {
  expect(holm([0.01, 0.04, 0.03, 0.005])).toEqual([0.03, 0.06, 0.06, 0.02].map((p) => expect.closeTo(p, 12)));
  expect(holm([0.9, 0.6])).toEqual([1, 1]);
  expect(holm([])).toEqual([]);
});

describe('members against all others', () => {
  // scipy 1.17.1, permutation_test of the difference of means, permutation_type='independent', alternative='two-sided'.
  it('looks at every choice where there are few', () => {
    const values = [0.9, 0.4, 0.75, 0.3, 0.1, 0.2, 0.35, 0.5, 0.05, 0.15, 0.25];
    const members = values.map((_, i) => Number(i < 4));
    const p = membersPermutation(values, members, rng);
    expect(p).toBeCloseTo(0.04242424242424243, 12);
    const others = members.map((member) => 1 - member);
    expect(membersPermutation(values, others, rng)).toBeCloseTo(0.04242424242424243, 12);
  });

  it('draws where there are many', () => {
    const members = Array.from({ length: 120 }, (_, i) => Number(i % 4 === 1));
    const values = members.map((member, i) => ((37 * i * i + 11 * i) % 101) / 101 + 0.12 * member);
    const others = members.map((member) => 1 - member);
    // scipy's of 400,000 draws. Of 9,999 a p-value of 0.023 has a standard error of 0.0021 (twice that of a tail of 0.0115).
    for (const of of [members, others])
      expect(Math.abs(membersPermutation(values, of, rng.child('drawn'))! - 0.02294)).toBeLessThan(0.0085);
  });

  it('is 1 where nothing differs, and is none without others', () => {
    expect(membersPermutation(zeros(40), [1, ...zeros(39)], rng)).toBe(1);
    expect(membersPermutation([1, 2], [1, 1], rng)).toBeUndefined();
    expect(membersPermutation([1, 2], [0, 0], rng)).toBeUndefined();
  });
});
