import { expect, it } from 'vitest';
import type { TrialRecord } from '../history.js';
import { suggest } from '../samplers.js';
import { parseSearchSpace } from '../space.js';

const space = parseSearchSpace([
  { name: 'method', categorical: { values: ['full', 'lora'] } },
  {
    name: 'rank',
    integer: { min: 1, max: 64, log: true },
    condition: { parameter: 'method', values: ['lora'] },
  },
  { name: 'warmup', double: { min: 0, max: 0.2, step: 0.1 } },
]);
const grid = { name: 'grid', settings: { points: 4 } };

function play(count: number, history: TrialRecord[] = []): TrialRecord[] {
  while (history.length < count)
    history.push({
      number: history.length,
      state: 'running',
      parameters: suggest(grid, space, history, { seed: 1, trialNumber: history.length }),
    });
  return history;
}

it('tries every combination once, then each again', () => {
  // (full + lora × 4 ranks) × 3 warm-ups.
  const keys = play(30).map(({ parameters }) => JSON.stringify(parameters));
  expect(new Set(keys.slice(0, 15)).size).toBe(15);
  expect(new Set(keys.slice(15)).size).toBe(15);
});

it('takes numbers evenly on their scale, ends included', () => {
  const ranks = new Set(play(15).map(({ parameters }) => parameters['rank']));
  expect(ranks).toEqual(new Set([undefined, 1, 4, 16, 64]));
});

it('tries again what a machine lost, and nothing else', () => {
  const history = play(15);
  const lost: TrialRecord = { ...history[6], state: 'failed', blames: 'machine' };
  const next = suggest(grid, space, history.with(6, lost), { seed: 1, trialNumber: 15 });
  expect(next).toEqual(lost.parameters);
});

it('answers at once from a grid of 10^300 points', () => {
  const wide = parseSearchSpace(
    Array.from({ length: 300 }, (_, i) => ({ name: `x${i}`, double: { min: 0, max: 1 } })),
  );
  const first = suggest({ name: 'grid' }, wide, [], { seed: 1, trialNumber: 0 });
  expect(Object.keys(first)).toHaveLength(300);
});
