import { parse } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import { rateAt, rateOf } from './schedule.js';
import { trainSpec } from './spec.js';

const { schedule } = trainSpec.shape;
const at = (given: object, progress: number) =>
  rateAt(parse(schedule, { warmupRatio: 0.1, ...given }), progress);

describe('rateAt', () => {
  it.each([
    // Closed forms: linear rise to 1 at the end of warm-up; cosine half-way is (1 + final)/2.
    [{ name: 'cosine', finalRatio: 0.2 }, 0.05, 0.5],
    [{ name: 'cosine', finalRatio: 0.2 }, 0.1, 1],
    [{ name: 'cosine', finalRatio: 0.2 }, 0.55, 0.6],
    [{ name: 'cosine' }, 1, 0.1],
    [{ name: 'linear', finalRatio: 0.2 }, 0.55, 0.6],
    [{ name: 'linear', finalRatio: 0 }, 1, 0],
    [{ name: 'constant' }, 0.05, 0.5],
    [{ name: 'constant' }, 0.9, 1],
    // √(0.1/0.4), √(0.1/0.9).
    [{ name: 'inverse_sqrt' }, 0.4, 0.5],
    [{ name: 'inverse_sqrt' }, 0.9, 1 / 3],
    [{ name: 'warmup_stable_decay', finalRatio: 0.2 }, 0.8, 1],
    [{ name: 'warmup_stable_decay', finalRatio: 0.2 }, 0.9, 0.6],
    [{ name: 'warmup_stable_decay', decayRatio: 0.4, finalRatio: 0, decayType: '1-sqrt' }, 0.7, 0.5],
    [{ name: 'warmup_stable_decay', decayRatio: 0.4, finalRatio: 0, decayType: 'cosine' }, 0.8, 0.5],
    [{ name: 'warmup_stable_decay' }, 1, 0.1],
  ] as const)('%j at %d is %d of the peak', (given, progress, want) => {
    expect(at(given, progress)).toBeCloseTo(want, 12);
  });

  // transformers 5.23.0: get_scheduler(name, …) over 100 steps with 10 of warm-up, at these steps. (Its
  // warmup_stable_decay begins at the final rate, ours at 0 as all others do.)
  const scheduled = [5, 30, 85, 95];
  const wsd = { name: 'warmup_stable_decay', decayRatio: 0.2, finalRatio: 0.1 } as const;
  it.each([
    [{ name: 'constant' }, [0.5, 1, 1, 1]],
    [{ name: 'linear', finalRatio: 0 }, [0.5, 0.77777778, 0.16666667, 0.05555556]],
    [{ name: 'cosine', finalRatio: 0 }, [0.5, 0.88302222, 0.0669873, 0.00759612]],
    [{ name: 'inverse_sqrt' }, [0.5, 0.57735027, 0.34299717, 0.32444284]],
    [{ ...wsd, decayType: 'linear' }, [0.5, 1, 0.775, 0.325]],
    [{ ...wsd, decayType: 'cosine' }, [0.5, 1, 0.86819805, 0.23180195]],
    [{ ...wsd, decayType: '1-sqrt' }, [0.5, 1, 0.55, 0.22057714]],
  ])('%j is what transformers has', (given, want) => {
    scheduled.forEach((step, i) => {
      expect(at(given, step / 100)).toBeCloseTo(want[i], 7);
    });
  });
});

describe('rateOf', () => {
  const stages = parse(trainSpec.shape.stages, [
    { tasks: ['a'], tokens: 100 },
    { tasks: ['b'], tokens: 300 },
  ]);
  const place = { stage: 1, stageTokens: 15, tokens: 115 };

  it('goes over all tokens, or warms up anew in each stage', () => {
    expect(rateOf(parse(schedule, { name: 'linear', warmupRatio: 0.5, finalRatio: 0 }), stages, place)).toBe(
      115 / 200,
    );
    expect(rateOf(parse(schedule, { name: 'linear', warmupRatio: 0.1, rewarm: true }), stages, place)).toBe(
      0.5,
    );
  });
});

it.each([
  [{ name: 'constant', finalRatio: 0.1 }, 'finalRatio: expected none with constant'],
  [{ name: 'cosine', decayRatio: 0.1 }, 'decayRatio: expected none with cosine'],
  [{ name: 'inverse_sqrt', warmupRatio: 0 }, 'warmupRatio: expected more than 0 with inverse_sqrt'],
  [{ name: 'warmup_stable_decay', decayRatio: 0.99 }, 'decayRatio: expected at most 0.97'],
])('%j is refused', (given, message) => {
  expect(() => parse(schedule, given)).toThrow(message);
});
