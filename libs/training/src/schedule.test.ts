import { expect, it } from 'vitest';
import { rateAt } from './schedule.js';

it.each([
  // Closed forms: linear rise to 1 at the end of warm-up; cosine half-way is (1 + final)/2.
  ['cosine', 0.05, 0.5],
  ['cosine', 0.1, 1],
  ['cosine', 0.55, 0.6],
  ['cosine', 1, 0.2],
  ['linear', 0.55, 0.6],
  ['linear', 1, 0.2],
  ['constant', 0.9, 1],
] as const)('%s at %d is %d of the peak', (name, progress, want) => {
  expect(rateAt({ name, warmupRatio: 0.1, finalRatio: 0.2 }, progress)).toBeCloseTo(want, 12);
});
