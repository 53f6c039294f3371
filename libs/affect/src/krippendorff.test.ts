import { Rng } from '@emotune/base';
import { expect, it } from 'vitest';
import { alphaInterval, type Difference, krippendorffAlpha } from './krippendorff.js';

/** Krippendorff 2011, section C: four observers, twelve units, 0 for what is missing. */
const observers = [
  [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
  [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
  [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
  [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
];
const published = observers[0].map((_, unit) => observers.map((o) => o[unit]).filter((value) => value > 0));

it.each<[Difference, number]>([
  ['nominal', 0.743],
  ['ordinal', 0.815],
  ['interval', 0.849],
  ['ratio', 0.797],
])('gives the %s alpha of the published example', (difference, alpha) => {
  // It is published with three digits.
  expect(krippendorffAlpha(published, difference)).toBeCloseTo(alpha, 3);
});

it('is 1 where all agree, 0 on average where all is chance, and below where raters contradict each other', () => {
  expect(krippendorffAlpha([[1, 1], [2, 2, 2], [3]], 'interval')).toBe(1);
  const rng = Rng.of('chance');
  const drawn = Array.from({ length: 4000 }, () => [rng.int(5), rng.int(5), rng.int(5)]);
  // The standard error of 12,000 ratings is .007.
  expect(Math.abs(krippendorffAlpha(drawn, 'nominal')!)).toBeLessThan(0.03);
  expect(
    krippendorffAlpha(
      [
        [1, 2],
        [2, 1],
      ],
      'nominal',
    ),
  ).toBeCloseTo(-0.5, 12);
});

it('has no alpha where nothing can be paired or nothing varies', () => {
  expect(krippendorffAlpha([], 'nominal')).toBeUndefined();
  expect(krippendorffAlpha([[1], [2]], 'interval')).toBeUndefined();
  expect(
    krippendorffAlpha(
      [
        [3, 3],
        [3, 3, 3],
      ],
      'ordinal',
    ),
  ).toBeUndefined();
  expect(alphaInterval([[3, 3]], 'interval', Rng.of(1))).toBeUndefined();
  expect(alphaInterval([[3]], 'interval', Rng.of(1))).toBeUndefined();
});

it('gives an interval that holds alpha, narrows with more units, and is the same of the same seed', () => {
  const many = Array.from({ length: 20 }, () => published).flat();
  const few = alphaInterval(published, 'interval', Rng.of(1))!;
  const more = alphaInterval(many, 'interval', Rng.of(1))!;
  const alpha = krippendorffAlpha(published, 'interval')!;
  expect(few.low).toBeLessThan(alpha);
  expect(few.high).toBeGreaterThan(alpha);
  expect(more.high - more.low).toBeLessThan((few.high - few.low) / 2);
  expect(alphaInterval(published, 'interval', Rng.of(1))).toEqual(few);
});
