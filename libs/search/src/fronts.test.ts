import { expect, it } from 'vitest';
import { bestMeasured } from './fronts.js';
import type { TrialRecord } from './history.js';
import { symmetricEigen } from './symmetric-eigen.js';

const record = (number: number, objectives: number[], constraints: number[] = []): TrialRecord => ({
  number,
  state: 'succeeded',
  parameters: {},
  objectives,
  constraints,
});

it('ranks by front, then by room, then by violation', () => {
  const trials = [
    record(0, [5, 5]), // second front
    record(1, [1, 4]), // first front, an end
    record(2, [2, 3]), // first front, crowded
    record(3, [4, 1]), // first front, an end
    record(4, [2.1, 2.9]), // first front, next to 2 but with more room below
    record(5, [0, 0], [2]), // violates by 2
    record(6, [9, 9], [1, -5]), // violates by 1
    record(7, [0, 0], [Number.NaN]),
  ];
  // Room of 2: (2.1 − 1)/3 + (4 − 2.9)/3 = 0.73; of 4: (4 − 2)/3 + (3 − 1)/3 = 1.33.
  expect(bestMeasured(trials, 8).map(({ number }) => number)).toEqual([1, 3, 4, 2, 0, 6, 5, 7]);
  expect(bestMeasured(trials, 2).map(({ number }) => number)).toEqual([1, 3]);
});

it('symmetricEigen takes a matrix apart', () => {
  const a = Float64Array.of(4, 1, -2, 1, 2, 0, -2, 0, 3);
  const { values, vectors } = symmetricEigen(a, 3);
  for (let i = 0; i < 3; i++)
    for (let j = 0; j < 3; j++) {
      let sum = 0;
      for (let k = 0; k < 3; k++) sum += vectors[i * 3 + k] * values[k] * vectors[j * 3 + k];
      expect(sum).toBeCloseTo(a[i * 3 + j], 12);
    }
  // Trace and determinant of the matrix.
  expect(values[0] + values[1] + values[2]).toBeCloseTo(9, 12);
  expect(values[0] * values[1] * values[2]).toBeCloseTo(13, 11);
});
