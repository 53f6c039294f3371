import { Rng } from '@emotune/base';
import { expect, it } from 'vitest';
import type { TrialRecord } from './history.js';
import {
  bestAgainstRunnerUp,
  hypervolume,
  optimizationHistory,
  parallelCoordinates,
  paretoSet,
  slices,
} from './insight.js';
import { parseSearchSpace } from './space.js';

const space = parseSearchSpace([
  { name: 'lr', double: { min: 1e-5, max: 1e-1, log: true } },
  { name: 'method', categorical: { values: ['full', 'lora', 'ia3'] } },
  { name: 'rank', integer: { min: 1, max: 9 }, condition: { parameter: 'method', values: ['lora'] } },
  { name: 'only', categorical: { values: ['one'] } },
]);
const trial = (
  number: number,
  objective: number,
  parameters: TrialRecord['parameters'],
  more = {},
): TrialRecord => ({
  number,
  state: 'succeeded',
  objective,
  parameters: { ...parameters, only: 'one' },
  ...more,
});
const history = [
  trial(0, 3, { lr: 1e-3, method: 'full' }, { state: 'stopped', step: 1 }),
  trial(1, 2, { lr: 1e-1, method: 'lora', rank: 5 }),
  trial(2, 1, { lr: 1e-5, method: 'ia3' }, { state: 'failed' }),
  trial(3, 4, { lr: 1e-4, method: 'ia3' }),
  trial(4, 0, { lr: 1e-5, method: 'full' }),
  trial(5, Number.NaN, { lr: 1e-5, method: 'full' }),
];

it('shows the course of an experiment', () => {
  expect(optimizationHistory(history)).toEqual([
    { number: 0, objective: 3 },
    { number: 1, objective: 2, best: 2 },
    { number: 3, objective: 4, best: 2 },
    { number: 4, objective: 0, best: 0 },
  ]);
});

it('slices it by parameter', () => {
  expect(slices(space, history).map(({ parameter, log, points }) => [parameter, log, points.length])).toEqual(
    [
      ['lr', true, 4],
      ['method', false, 4],
      ['rank', false, 1],
    ],
  );
  expect(slices(space, history)[2].points).toEqual([{ number: 1, value: 5, objective: 2 }]);
});

it('lays trials over parallel axes, the best last', () => {
  const { axes, lines } = parallelCoordinates(space, history);
  expect(axes).toEqual(['lr', 'method', 'rank']);
  expect(lines.map(({ number }) => number)).toEqual([0, 3, 1, 4]);
  expect(lines[2].places.map((place) => place?.toFixed(6))).toEqual(['1.000000', '0.500000', '0.500000']);
  expect(lines[3].places[1]).toBe(0);
  expect(lines[3].places[2]).toBeNull();
});

it('finds the front', () => {
  const points = [
    [1, 4],
    [2, 2],
    [4, 1],
    [3, 3],
    [2, 2],
    [0, Number.NaN],
    [Number.NEGATIVE_INFINITY, 9],
  ];
  expect(paretoSet(points)).toEqual([0, 1, 2, 4]);
  expect(paretoSet([[2], [1], [1]])).toEqual([1, 2]);
  expect(paretoSet([])).toEqual([]);
});

it('measures what a front dominates', () => {
  expect(
    hypervolume(
      [
        [1, 4],
        [2, 2],
        [4, 1],
        [3, 3],
      ],
      [5, 5],
    ),
  ).toBe(4 + 6 + 1);
  expect(hypervolume([[1, 2, 3]], [2, 4, 6])).toBe(6);
  // Inclusion and exclusion of two boxes.
  expect(
    hypervolume(
      [
        [0, 1, 1],
        [1, 0, 0],
      ],
      [2, 2, 2],
    ),
  ).toBe(2 + 4 - 1);
  expect(
    hypervolume(
      [
        [5, 0],
        [Number.NaN, 0],
      ],
      [5, 5],
    ),
  ).toBe(0);
  // The hypervolume of random points in the unit cube, by counting a lattice; its cells of 1/24 are off by less than their surface.
  const rng = Rng.of(3);
  const points = Array.from({ length: 12 }, () => [rng.uniform(), rng.uniform(), rng.uniform()]);
  const n = 24;
  let inside = 0;
  for (let cell = 0; cell < n ** 3; cell++) {
    const at = [cell % n, Math.floor(cell / n) % n, Math.floor(cell / n ** 2)].map((k) => (k + 0.5) / n);
    if (points.some((point) => point.every((value, i) => value <= at[i]))) inside++;
  }
  expect(Math.abs(hypervolume(points, [1, 1, 1]) - inside / n ** 3)).toBeLessThan(0.02);
});

it('says how sure the lead of the best is', () => {
  const scores = (number: number, values: readonly number[]) => ({
    number,
    scores: Object.fromEntries(values.map((value, i) => [`seed-${i}`, value])),
  });
  const clear = bestAgainstRunnerUp([
    scores(4, [0, Number.NaN]),
    scores(2, [1, 2, 3, 4, 5]),
    scores(7, [5, 6, 7, 8, 9]),
    scores(1, [9, 9, 9, 9, 9]),
  ]);
  // All five leads above 0: 1/32.
  expect(clear).toEqual({ best: 2, runnerUp: 7, difference: 4, shared: 5, p: 1 / 32 });
  expect(bestAgainstRunnerUp([scores(0, [1, 2]), scores(1, [1, 2])])).toMatchObject({ difference: 0, p: 1 });
  expect(bestAgainstRunnerUp([scores(0, [1, 2]), scores(1, [Number.NaN])])).toBeUndefined();
  expect(bestAgainstRunnerUp([scores(0, [1]), { number: 1, scores: { other: 2 } }])).toBeUndefined();
});
