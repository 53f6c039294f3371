import { Rng } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import { ascendBySample, ascendByToken, noise, projectBySample } from './perturbation.js';
import { Stream, symmetricBeta } from './stream.js';

/** Two samples of two and one tokens of width 2, and one token of padding. */
const extent = {
  tokens: 4,
  width: 2,
  spans: [
    { start: 0, length: 2 },
    { start: 3, length: 1 },
  ],
};
const list = (x: Float32Array) => [...x].map((v) => Math.round(v * 1e6) / 1e6);

describe('perturbations', () => {
  it('climb by the gradient over its norm within each sample, padding left alone', () => {
    const gradient = Float32Array.of(3, 0, 0, 4, 7, 7, 0, 2);
    const next = ascendBySample(new Float32Array(8), gradient, extent, 0.5);
    expect(list(next)).toEqual([0.3, 0, 0, 0.4, 0, 0, 0, 0.5]);
    // No gradient, no direction.
    expect(ascendBySample(next, new Float32Array(8), extent, 0.5)).toEqual(next);
    const overflown = Float32Array.of(Number.POSITIVE_INFINITY, 0, 0, 1, 0, 0, Number.NaN, 1);
    expect(ascendBySample(next, overflown, extent, 0.5)).toEqual(next);
    const byToken = ascendByToken(next, overflown, extent, { stepSize: 0.05, maxNorm: 1 });
    expect(list(byToken)).toEqual([0.3, 0, 0, 0.45, 0, 0, 0, 0.5]);
  });

  it('are scaled down to the ball of each sample, those within it left alone', () => {
    const delta = Float32Array.of(3, 0, 0, 4, 0, 0, 0.5, 0);
    expect(list(projectBySample(delta, extent, 1))).toEqual([0.6, 0, 0, 0.8, 0, 0, 0.5, 0]);
  });

  it('climb by each token’s largest element, clipped by element', () => {
    const gradient = Float32Array.of(2, -1, 0, 0, 5, 5, -4, 1);
    const next = ascendByToken(new Float32Array(8), gradient, extent, { stepSize: 0.8, maxNorm: 0.5 });
    expect(list(next)).toEqual([0.5, -0.4, 0, 0, 0, 0, -0.5, 0.2]);
  });

  it('begin with draws scaled by the length of each sample', () => {
    expect(
      list(
        noise(
          extent,
          () => 1,
          (length) => 1 / length,
        ),
      ),
    ).toEqual([0.5, 0.5, 0.5, 0.5, 0, 0, 1, 1]);
  });
});

describe('streams', () => {
  it('are those of the reference implementation', () => {
    const stream = new Stream(1, 2, 3, 4);
    // First outputs of Blackman and Vigna's xoshiro128starstar.c (1.1) from this state.
    const first = [11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849];
    expect(first.map(() => stream.uint32())).toEqual(first);
  });

  it('are repeated by their name, and differ by it', () => {
    const draw = (...path: (string | number)[]) =>
      Stream.of(Rng.of(1, ...path)).kept(new Uint8Array(101), 0.5);
    expect(draw('mask', 3)).toEqual(draw('mask', 3));
    expect(draw('mask', 3)).not.toEqual(draw('mask', 4));
  });

  it.each([0, 0.1, 0.7])('keep what is not dropped at rate %d', (rate) => {
    const kept = Stream.of(Rng.of(1)).kept(new Uint8Array(100_001), rate);
    const share = kept.reduce((a, x) => a + x, 0) / kept.length;
    // Six standard deviations.
    expect(Math.abs(share - (1 - rate))).toBeLessThan(
      6 * Math.sqrt((rate * (1 - rate)) / kept.length) + 1e-12,
    );
  });

  it('are uniform and normal', () => {
    const stream = Stream.of(Rng.of(2));
    const count = 20_000;
    const moments = (draw: () => number) => {
      const x = Array.from({ length: count }, draw);
      const mean = x.reduce((a, v) => a + v, 0) / count;
      return [mean, x.reduce((a, v) => a + (v - mean) ** 2, 0) / count];
    };
    const [uniformMean, uniformVariance] = moments(() => stream.uniform());
    expect(uniformMean).toBeCloseTo(1 / 2, 1);
    expect(uniformVariance).toBeCloseTo(1 / 12, 2);
    const [normalMean, normalVariance] = moments(() => stream.normal());
    expect(Math.abs(normalMean)).toBeLessThan(6 / Math.sqrt(count));
    expect(Math.abs(normalVariance - 1)).toBeLessThan(6 * Math.sqrt(2 / count));
  });

  it.each([0.2, 1, 4])('give Beta(%d, α) its mean and variance', (alpha) => {
    const rng = Rng.of('beta', alpha);
    const x = Array.from({ length: 4000 }, () => symmetricBeta(rng, alpha));
    expect(x.every((v) => v >= 0 && v <= 1)).toBe(true);
    const mean = x.reduce((a, v) => a + v, 0) / x.length;
    const variance = x.reduce((a, v) => a + (v - mean) ** 2, 0) / x.length;
    const want = 1 / (4 * (2 * alpha + 1));
    expect(Math.abs(mean - 0.5)).toBeLessThan(6 * Math.sqrt(want / x.length));
    expect(Math.abs(variance / want - 1)).toBeLessThan(0.1);
  });
});
