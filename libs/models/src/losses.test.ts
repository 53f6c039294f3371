import { build as b, evaluate, gradients, type Value } from '@emotune/graph';
import { describe, expect, it } from 'vitest';
import { expectedError, logSoftmaxOver, negativeLogLikelihood, symmetricKl, tokenScores } from './losses.js';

const logits = [1, -0.5, 0.25, 2, 0.1, 0.2, -1.5, 0.7];
const others = [0.3, 0.1, -0.2, 1, 1.1, -0.2, 0.5, 0];
const x = b.input('x', 'float32', [2, 4]);
const y = b.input('y', 'float32', [2, 4]);
const run = (value: Value, feeds: Record<string, number[]> = { x: logits, y: others }) => [
  ...evaluate([value], feeds)[0].data,
];

// Figures in this file: torch 2.15.0, float64.
describe('losses', () => {
  it('smooth labels as cross_entropy(label_smoothing=0.1)', () => {
    const nll = negativeLogLikelihood(b.logSoftmax(x), b.integers([2, 0]), 0.1);
    [2.190981134701968, 1.440580350382008].forEach((want, i) => {
      // 0.1 is stored as float32.
      expect(run(nll)[i]).toBeCloseTo(want, 6);
    });
  });

  it('compare distributions as kl_div both ways, each side with its own gradient', () => {
    const [p, q] = [b.logSoftmax(x), b.logSoftmax(y)];
    [0.23012077929759894, 0.8909465430525471].forEach((want, i) => {
      expect(run(symmetricKl(p, q))[i]).toBeCloseTo(want, 12);
    });
    const sum = (value: Value) => b.reshape(b.reduceSum(value, [0]), []);
    const whole = gradients(sum(symmetricKl(p, q)), [x])[0];
    const side = gradients(sum(symmetricKl(p, b.detach(q))), [x])[0];
    run(whole).forEach((want, i) => {
      expect(run(side)[i]).toBeCloseTo(want, 12);
    });
  });

  it('weigh digits by distance, as ntloss does over its number tokens', () => {
    const logProbabilities = b.logSoftmax(b.input('z', 'float32', [3, 4]));
    const z = [...logits, 0.3, 0.4, 0.5, -0.6];
    // Tokens 1, 2, 3 mean 0, 4, 9; the answers 0 and 2 are tokens 2 and 3.
    const choices = [0, 2].flatMap((answer) => [1, 2, 3].map((token) => answer * 4 + token));
    const p = logSoftmaxOver(
      tokenScores(logProbabilities, b.integers(choices), [2, 3]),
      b.constant(new Uint8Array(6).fill(1), [2, 3]),
    );
    const errors = (values: number[]) => b.constant(Float32Array.from(values), [2, 3]);
    const absolute = run(expectedError(p, errors([4, 0, 5, 9, 5, 0])), { z });
    [4.242785408442925, 5.873659036527091].forEach((want, i) => {
      expect(absolute[i]).toBeCloseTo(want, 12);
    });
    const signed = run(expectedError(p, errors([-4, 0, 5, -9, -5, 0])), { z });
    [13.83759870580287, 34.49987047737635].forEach((want, i) => {
      expect(signed[i] ** 2).toBeCloseTo(want, 11);
    });
  });

  it('leave out choices that are not there', () => {
    const p = logSoftmaxOver(x, b.constant(Uint8Array.of(1, 0, 1, 0, 0, 0, 0, 1), [2, 4]));
    const got = run(p);
    expect(got[0]).toBeCloseTo(-Math.log(1 + Math.exp(0.25 - 1)), 12);
    expect(Math.exp(got[1])).toBe(0);
    expect(got[7]).toBe(0);
  });
});
