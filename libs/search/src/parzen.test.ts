import { Rng } from '@emotune/base';
import { expect, it } from 'vitest';
import { encodingOf, ParzenEstimator } from './parzen.js';
import { type Parameter, type ParameterValue, parseSearchSpace } from './space.js';

const settings = { priorWeight: 1, bandwidthFloor: 0 };

function estimator(parameters: unknown, observations: readonly (readonly ParameterValue[])[]) {
  const { byName } = parseSearchSpace(parameters);
  const encodings = (parameters as { name: string }[]).map(({ name }) =>
    encodingOf(byName.get(name) as Parameter),
  );
  const columns = encodings.map((e, d) => Float64Array.from(observations, (values) => e.encode(values[d])));
  return new ParzenEstimator(encodings, columns, settings);
}

it('a density over a line integrates to 1, also for observations at the ends', () => {
  for (const observations of [[], [[0.3]], [[-1], [0.2], [0.21], [2], [2]]]) {
    const parzen = estimator([{ name: 'x', double: { min: -1, max: 2 } }], observations);
    const n = 20_000;
    let sum = 0;
    for (let i = 0; i < n; i++) sum += (Math.exp(parzen.logDensity([-1 + (3 * (i + 0.5)) / n])) * 3) / n;
    expect(sum).toBeCloseTo(1, 5);
  }
});

it('a density on a log scale is one of the logarithm', () => {
  const parzen = estimator([{ name: 'x', double: { min: 1e-4, max: 1, log: true } }], [[1e-3], [0.5]]);
  const n = 20_000;
  const width = Math.log(1e4);
  let sum = 0;
  for (let i = 0; i < n; i++)
    sum += (Math.exp(parzen.logDensity([Math.exp(-width + (width * (i + 0.5)) / n)])) * width) / n;
  expect(sum).toBeCloseTo(1, 5);
});

it('masses of grids and categories sum to 1 over all combinations', () => {
  const categories = ['a', 'b', 'c'];
  const parzen = estimator(
    [
      { name: 'n', integer: { min: 1, max: 64, log: true } },
      { name: 'g', double: { min: 0, max: 0.2, step: 0.02 } },
      { name: 'c', categorical: { values: categories } },
    ],
    [
      [1, 0.2, 'a'],
      [8, 0.1, 'a'],
      [64, 0, 'c'],
    ],
  );
  let sum = 0;
  for (let n = 1; n <= 64; n++)
    for (let g = 0; g <= 10; g++)
      for (const c of categories)
        sum += Math.exp(parzen.logDensity([n, Number((g * 0.02).toPrecision(15)), c]));
  expect(sum).toBeCloseTo(1, 9);
});

it('draws follow the density', () => {
  const parzen = estimator(
    [
      { name: 'n', integer: { min: 0, max: 4 } },
      { name: 'c', categorical: { values: [true, false] } },
    ],
    [
      [0, true],
      [3, false],
      [3, false],
    ],
  );
  const draws = 20_000;
  const counts = new Map<string, number>();
  const rng = Rng.of(1, 'draws');
  for (let i = 0; i < draws; i++) {
    const key = JSON.stringify(parzen.sample(rng));
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  for (let n = 0; n <= 4; n++)
    for (const c of [true, false]) {
      const p = Math.exp(parzen.logDensity([n, c]));
      const share = (counts.get(JSON.stringify([n, c])) ?? 0) / draws;
      expect(Math.abs(share - p)).toBeLessThan(5 * Math.sqrt((p * (1 - p)) / draws));
    }
});
