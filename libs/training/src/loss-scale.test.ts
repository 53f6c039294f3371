import { expect, it } from 'vitest';
import { initialLossScale, nextLossScale } from './loss-scale.js';

it('halves at each gradient that is not finite, and doubles after 2,000 that are', () => {
  let state = nextLossScale(initialLossScale, false);
  expect(state).toEqual({ scale: 32_768, goodSteps: 0 });
  for (let i = 0; i < 1999; i++) state = nextLossScale(state, true);
  expect(state).toEqual({ scale: 32_768, goodSteps: 1999 });
  expect(nextLossScale(state, false)).toEqual({ scale: 16_384, goodSteps: 0 });
  expect(nextLossScale(state, true)).toEqual({ scale: 65_536, goodSteps: 0 });
});
