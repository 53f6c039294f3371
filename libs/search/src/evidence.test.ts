import { expect, it } from 'vitest';
import { evidenceFor } from './evidence.js';
import type { TrialRecord } from './history.js';
import { parseSearchSpace } from './space.js';

const space = parseSearchSpace([
  { name: 'x', double: { min: 0, max: 1 } },
  { name: 'arch', categorical: { values: ['opt', 'llama'] } },
  { name: 'rank', integer: { min: 1, max: 8 }, condition: { parameter: 'arch', values: ['llama'] } },
  { name: 'only', categorical: { values: [1] } },
]);
const history = Array.from({ length: 40 }, (_, number): TrialRecord => {
  const x = (number + 0.5) / 40;
  return { number, state: 'succeeded', parameters: { x, arch: x < 0.5 ? 'opt' : 'llama' }, objective: x };
});

it('is for values where good trials lie, against those where they do not', () => {
  const [x, arch, ...others] = evidenceFor(space, history, { x: 0.02, arch: 'opt', only: 1 });
  expect(x.logRatio).toBeGreaterThan(1);
  // Categories, by counting: (4 · 1 + 1/5 · 5) / (5 · (1 + 2/5)) against the same of 16 among 36.
  const share = (hits: number, n: number) => {
    const smoothing = 1 / (n + 1);
    return (hits * (1 + smoothing) + (n - hits) * smoothing) / (1 + 2 * smoothing) / (n + 1) + 0.5 / (n + 1);
  };
  const ages = Array.from({ length: 36 }, (_, i) => (i < 11 ? 1 / 36 + ((35 / 36) * i) / 10 : 1));
  const ramped = (hit: (i: number) => boolean) => {
    const smoothing = 1 / 37;
    const total = ages.reduce((a, b) => a + b, 1);
    const sum = ages.reduce((a, w, i) => a + w * (hit(i) ? 1 + smoothing : smoothing), 0);
    return (sum / (1 + 2 * smoothing) + 0.5) / total;
  };
  expect(arch.logRatio).toBeCloseTo(Math.log(share(4, 4) / ramped((i) => i < 16)), 10);
  expect(others).toEqual([]);
  expect(evidenceFor(space, history, { x: 0.9, arch: 'llama', only: 1 })[0].logRatio).toBeLessThan(-1);
});

it('is none while few trials have the parameter', () => {
  expect(evidenceFor(space, history.slice(0, 9), { x: 0.5, arch: 'opt', only: 1 })).toEqual([
    { parameter: 'x', value: 0.5 },
    { parameter: 'arch', value: 'opt' },
  ]);
  expect(evidenceFor(space, history, { x: 0.5, arch: 'llama', rank: 3, only: 1 })[2]).toEqual({
    parameter: 'rank',
    value: 3,
  });
});
