import { Rng } from '@emotune/base';
import { expect, it } from 'vitest';
import { intensityBins } from './intensity.js';

const rng = Rng.of('intensity');

it('tells by fifths of the gold whether answers are too high or too low', () => {
  const outcome = (gold: number, answer: number) => ({ gold, answer });
  const found = intensityBins(
    [
      outcome(0, 0.25),
      outcome(0.19, 0.31),
      outcome(0.2, 0.2),
      outcome(1, 0.5),
      outcome(0.8, 0.7),
      outcome(0.9, 0.6),
    ],
    rng,
  );
  expect(found.map(({ low, high, n, bias }) => [low, high, n, bias])).toEqual([
    [0, 0.2, 2, expect.closeTo(0.185, 12)],
    [0.2, 0.4, 1, 0],
    [0.8, 1, 3, expect.closeTo(-0.3, 12)],
  ]);
  expect(found[1].interval).toBeUndefined();
  expect(found[2].interval!.high).toBeLessThan(0);
  expect(intensityBins([], rng)).toEqual([]);
});

it('has the interval of the percentile bootstrap', () => {
  const errors = Array.from({ length: 40 }, (_, i) => ((13 * i * i + 5 * i) % 17) / 34 - 0.2);
  const [{ n, bias, interval }] = intensityBins(
    errors.map((error) => ({ gold: 0.5, answer: 0.5 + error })),
    rng,
  );
  // scipy 1.17.1: bootstrap((errors,), mean, method='percentile', n_resamples=400000). Ends of 1,000 resamples of a mean with a
  // standard error of 0.020 have one of 0.0017 themselves; four of these.
  expect([n, bias]).toEqual([40, expect.closeTo(0.005882352941176459, 12)]);
  expect(Math.abs(interval!.low + 0.03455882352941177)).toBeLessThan(0.007);
  expect(Math.abs(interval!.high - 0.044852941176470575)).toBeLessThan(0.007);
});
