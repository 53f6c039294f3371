import { Rng } from '@emotune/base';
import { expect, it } from 'vitest';
import { OwenScrambling, sobol, sobolDimensions } from './sobol.js';

it('the first points are the published ones', () => {
  // Joe and Kuo's program on new-joe-kuo-6, three dimensions.
  const published = [
    [0, 0, 0],
    [0.5, 0.5, 0.5],
    [0.75, 0.25, 0.25],
    [0.25, 0.75, 0.75],
    [0.375, 0.375, 0.625],
    [0.875, 0.875, 0.125],
    [0.625, 0.125, 0.875],
    [0.125, 0.625, 0.375],
    [0.1875, 0.3125, 0.9375],
    [0.6875, 0.8125, 0.4375],
  ];
  expect(published.map((_, i) => [0, 1, 2].map((d) => sobol(i, d) / 2 ** 32))).toEqual(published);
});

it('every dimension has one of 1,024 points in each of 1,024 intervals, scrambled or not', () => {
  const scrambling = new OwenScrambling(Rng.of(1));
  for (let d = 0; d < sobolDimensions; d++) {
    const plain = new Set<number>();
    const scrambled = new Set<number>();
    for (let i = 0; i < 1024; i++) {
      plain.add(Math.floor(sobol(i, d) / 2 ** 22));
      scrambled.add(Math.floor(scrambling.apply(sobol(i, d), d) * 1024));
    }
    expect([plain.size, scrambled.size]).toEqual([1024, 1024]);
  }
});

it('the first two dimensions are a net: every box of area 1/256 holds one of 256 points', () => {
  const scrambling = new OwenScrambling(Rng.of(2));
  const points = Array.from({ length: 256 }, (_, i) => [0, 1].map((d) => scrambling.apply(sobol(i, d), d)));
  for (let k = 0; k <= 8; k++) {
    const boxes = points.map(
      ([x, y]) => Math.floor(x * 2 ** k) * 2 ** (8 - k) + Math.floor(y * 2 ** (8 - k)),
    );
    expect(new Set(boxes).size).toBe(256);
  }
});

it('integrates a smooth function far better than random points', () => {
  // ∫ Π (1 + (x_d − ½)) over six dimensions is 1; n = 1,024.
  const f = (x: readonly number[]) => x.reduce((product, xd) => product * (0.5 + xd), 1);
  const mean = (coordinate: (i: number, d: number) => number) => {
    let sum = 0;
    for (let i = 0; i < 1024; i++) sum += f(Array.from({ length: 6 }, (_, d) => coordinate(i, d)));
    return sum / 1024;
  };
  const rms = (errors: readonly number[]) => Math.hypot(...errors) / Math.sqrt(errors.length);
  const seeds = Array.from({ length: 10 }, (_, seed) => seed);
  const quasi = rms(
    seeds.map((seed) => {
      const scrambling = new OwenScrambling(Rng.of(seed));
      return mean((i, d) => scrambling.apply(sobol(i, d), d)) - 1;
    }),
  );
  const random = rms(
    seeds.map((seed) => {
      const rng = Rng.of(seed);
      return mean(() => rng.uniform()) - 1;
    }),
  );
  expect(quasi).toBeLessThan(random / 10);
});
