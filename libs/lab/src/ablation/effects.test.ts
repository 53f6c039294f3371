import { Rng } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import type { KeptAnswer } from './answers.js';
import { effectsOf, helps, levels, neverFound } from './effects.js';
import type { AblationRun, Workload } from './runs-file.js';

const labelSet = ['bad', 'good'];
const workload: Workload = {
  model: 'm',
  rows: 'r',
  tokens: 1,
  trainRows: 1,
  method: 'full',
  learningRate: 1,
  batchTokens: 16,
};

/** Label by label in turn, of which a share is right. */
function answers(share: number, seed: number, rows: number, id = (i: number) => `${i}`): KeptAnswer[] {
  const rng = Rng.of('effects', seed);
  return Array.from({ length: rows }, (_, i) => {
    const gold = [labelSet[i % 2]];
    const right = rng.uniform() < share;
    return {
      task: 'sentiment-classification',
      id: id(i),
      gold,
      answer: right ? gold : [labelSet[1 - (i % 2)]],
      labelSet,
    };
  });
}

interface Told {
  readonly usual: number;
  readonly otherwise?: number;
  readonly seconds?: number;
}

function run(
  variant: string,
  seed: number,
  { usual, otherwise = 1, seconds = 1 }: Told,
  rows = 200,
): AblationRun {
  const part = { usual: answers(usual, seed, rows), otherwise: answers(otherwise, seed, rows) };
  return {
    ...{ workload, variant, seed, seconds, tokensPerSecond: 1, objective: null },
    answers: { validation: part, test: part },
  };
}

describe('effects', () => {
  it('are those of the feature, also where the reference has it, seed by seed', () => {
    const runs = [1, 2, 3].flatMap((seed) => [
      run('reference', seed, { usual: 0.9, seconds: 2 }),
      run('lexicon cues', seed, { usual: 0.6, seconds: 1 }),
      run('mixout', seed, { usual: 0.9, seconds: 3 }),
      run('replay', seed, { usual: 0.99 }),
    ]);
    const [cues, replay, mixout] = effectsOf(runs, 'test');
    expect([cues, replay, mixout].map(({ feature, seeds }) => [feature, seeds])).toEqual([
      ['lexicon cues', [1, 2, 3]],
      ['replay', [1, 2, 3]],
      ['mixout', [1, 2, 3]],
    ]);
    expect(cues.difference.usual).toBeCloseTo(0.3, 1);
    expect(cues.difference['sentiment-classification']).toBe(cues.difference.usual);
    expect(cues.interval.usual!.low).toBeGreaterThan(0.2);
    expect(cues.interval.usual!.high).toBeLessThan(0.4);
    expect(cues.time).toBe(2);
    expect(replay.interval.usual!.high).toBeLessThan(0);
    expect(mixout).toMatchObject({
      time: 1.5,
      difference: { usual: 0 },
      interval: { usual: { low: 0, high: 0 } },
    });
    expect([cues, replay, mixout].map(helps)).toEqual([true, false, false]);
    expect(
      levels(
        runs.filter(({ variant }) => variant === 'reference'),
        'test',
      ).usual,
    ).toBeCloseTo(0.9, 1);
  });

  it('spread as the seeds do: two of three are drawn, so that their mean has the variance that it has', () => {
    // All right or all wrong, so that rows say nothing: differences of 0, 1 and 1.
    const runs = [0, 1, 1].flatMap((difference, i) => [
      run('reference', i, { usual: 0 }, 20),
      run('mixout', i, { usual: difference }, 20),
    ]);
    const [{ difference, interval }] = effectsOf(runs, 'test');
    expect(difference.usual).toBeCloseTo(2 / 3, 12);
    // Both of the two are the first with a probability of 1/9, neither with 4/9.
    expect(interval.usual).toEqual({ low: 0, high: 1 });
    // One seed has the spread of the rows alone.
    const [one] = effectsOf(runs.slice(2, 4), 'test');
    expect(one.interval.usual).toEqual({ low: 1, high: 1 });
  });

  it('a text that is asked in several ways goes in as one', () => {
    const rows = 400;
    const of = (id: (i: number) => string) => {
      const one = (variant: string, share: number): AblationRun => {
        const usual = answers(share, 5, rows, id);
        const part = { usual, otherwise: usual };
        return { ...run(variant, 1, { usual: 1 }), answers: { validation: part, test: part } };
      };
      const [{ interval }] = effectsOf([one('reference', 0.9), one('mixout', 0.5)], 'test');
      return interval.usual!.high - interval.usual!.low;
    };
    // Ten rows for each of 40 texts leave less to be sure of than 400 texts do, unless rows of one text were drawn apart.
    expect(of((i) => `${i}`)).toBeLessThan(0.12);
    expect(of((i) => `${i % 2}`)).toBeGreaterThan(0.12);
  });

  it('of numbers that never vary is none', () => {
    const part = (answer: (i: number) => number) => {
      const usual = Array.from({ length: 30 }, (_, i): KeptAnswer => {
        return { task: 'sentiment-regression', id: `${i}`, gold: i / 30, answer: answer(i) };
      });
      return { usual, otherwise: usual };
    };
    const one = (variant: string, answer: (i: number) => number): AblationRun => ({
      ...run(variant, 1, { usual: 1 }),
      answers: { validation: part(answer), test: part(answer) },
    });
    const [{ difference }] = effectsOf([one('reference', () => 0.5), one('mixout', (i) => i / 60)], 'test');
    expect(difference.usual).toBeCloseTo(1, 12);
  });
});

it('a feature helps where one way of asking shows it and the other does not speak against it', () => {
  const effect = (usual: readonly [number, number], otherwise: readonly [number, number]) => {
    const interval = ([low, high]: readonly [number, number]) => ({ low, high });
    return {
      ...{ feature: 'f', seeds: [1], difference: {}, time: 1 },
      interval: { usual: interval(usual), otherwise: interval(otherwise) },
    };
  };
  expect(helps(effect([0.01, 0.02], [-0.1, 0.1]))).toBe(true);
  expect(helps(effect([-0.01, 0.02], [0.1, 0.2]))).toBe(true);
  expect(helps(effect([-0.01, 0.02], [-0.1, 0.1]))).toBe(false);
  expect(helps(effect([-0.02, -0.01], [0.1, 0.2]))).toBe(false);
});

it('names labels of 30 test rows that a run never found', () => {
  const blind = (rows: number): AblationRun => {
    const usual = answers(1, 1, rows).map((answer) => ({ ...answer, answer: ['good'] }));
    return {
      ...run('reference', 1, { usual: 1 }),
      answers: { validation: { usual, otherwise: [] }, test: { usual, otherwise: [] } },
    };
  };
  expect(neverFound([blind(60), run('mixout', 1, { usual: 1 })])).toEqual([
    { variant: 'reference', seed: 1, label: 'bad', gold: 30 },
  ]);
  expect(neverFound([blind(58)])).toEqual([]);
});
