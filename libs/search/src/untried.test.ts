import { describe, expect, it } from 'vitest';
import type { TrialRecord } from './history.js';
import { parseSearchAlgorithm, samplerNames } from './samplers.js';
import { parseSearchSpace, type SearchSpace } from './space.js';
import { untried, untriedSuggestion } from './untried.js';

const rank = { name: 'rank', integer: { min: 1, max: 64, log: true } };
const method = { name: 'method', categorical: { values: ['full', 'lora', 'ia3'] } };
const warmup = { name: 'warmup', double: { min: 0, max: 0.2, step: 0.1 } };
const rate = { name: 'rate', double: { min: 0.1, max: 1 } };
const withLora = { condition: { parameter: 'method', values: ['lora'] } };
const random = parseSearchAlgorithm({ name: 'random' });

/** Goes on until nothing is left; each trial ends as `end` says. */
function play(
  name: string,
  space: SearchSpace,
  most: number,
  end: (number: number) => Partial<TrialRecord> = (number) => ({ state: 'succeeded', objective: number % 3 }),
): TrialRecord[] {
  const history: TrialRecord[] = [];
  const algorithm = parseSearchAlgorithm({ name });
  for (let trialNumber = 0; trialNumber < most; trialNumber++) {
    const next = untriedSuggestion(algorithm, space, history, { seed: 1, trialNumber });
    if (!next) break;
    history.push({ number: trialNumber, state: 'running', parameters: next.values, ...end(trialNumber) });
  }
  return history;
}

const distinct = (history: readonly TrialRecord[]) =>
  new Set(history.map(({ parameters }) => JSON.stringify(parameters))).size;

describe('combinations', () => {
  const of = (...parameters: object[]) => untried(random, parseSearchSpace(parameters), []).of;

  it('are counted under their conditions, on whole numbers, logs and steps; a double has no end of them', () => {
    expect(of(method, warmup)).toBe(3 * 3);
    // full and ia3 alone, lora with each rank.
    expect(of(method, { ...rank, ...withLora }, warmup)).toBe((2 + 64) * 3);
    expect(of({ name: 'layers', integer: { min: 2, max: 12, step: 5 } })).toBe(3);
    const deep = {
      name: 'bias',
      categorical: { values: [true, false] },
      condition: { parameter: 'rank', values: [1, 2] },
    };
    expect(of(method, { ...rank, ...withLora }, deep)).toBe(2 + 62 + 2 * 2);
    expect(of(method, rate)).toBe(Infinity);
    expect(of(method, { name: 'rate', double: { min: 0.5, max: 0.5 } })).toBe(3);
  });
});

describe.each(samplerNames.filter((name) => name !== 'pbt'))('%s', (name) => {
  const space = parseSearchSpace([
    method,
    { name: 'bias', categorical: { values: [true, false] }, ...withLora },
  ]);

  it('tries all of a finite space once, whether trials ended or run, and no more', () => {
    for (const end of [undefined, () => ({})]) {
      const history = play(name, space, 20, end);
      expect(history).toHaveLength(4);
      expect(distinct(history)).toBe(4);
    }
  });

  it('leaves what its values failed, and takes again what a machine lost', () => {
    const failing = play(name, space, 20, (number) => ({ state: number === 0 ? 'infeasible' : 'failed' }));
    expect(failing).toHaveLength(4);
    const lost = play(name, space, 9, () => ({ state: 'failed', blames: 'machine' }));
    expect(lost).toHaveLength(9);
  });

  it('goes on where one category ends and another does not', { skip: name === 'grid' }, () => {
    const half = parseSearchSpace([method, { ...rate, ...withLora }]);
    const history = play(name, half, 25, (number) => ({ state: 'succeeded', objective: number }));
    expect(distinct(history)).toBe(25);
  });
});

it('a grid ends with its points', () => {
  const space = parseSearchSpace([rate, method]);
  const history = play('grid', space, 100);
  expect([history.length, distinct(history)]).toEqual([30, 30]);
  expect(untried(parseSearchAlgorithm({ name: 'grid' }), space, history)).toEqual({ of: 30, left: 0 });
});

it('what others were taught is not tried: their seeds were others', () => {
  const space = parseSearchSpace([method]);
  const taught = ['full', 'lora', 'ia3'].map(
    (value, i): TrialRecord => ({
      number: i - 3,
      state: 'succeeded',
      objective: i,
      parameters: { method: value },
    }),
  );
  expect(untried(random, space, taught)).toEqual({ of: 3, left: 3 });
});
