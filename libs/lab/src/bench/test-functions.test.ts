import { expect, it } from 'vitest';
import {
  ackley,
  adapters,
  branin,
  hartmann6,
  heldOut,
  levy,
  llm7,
  michalewicz,
  type ProblemFamily,
  rastrigin,
  rosenbrock2,
  rosenbrock5,
  sixHumpCamel,
  sphere,
  styblinskiTang,
} from './test-functions.js';

/** Published minimisers. */
const table: [ProblemFamily, number[]][] = [
  [sphere, [1, 1, 1, 1, 1]],
  [rosenbrock2, [1, 1]],
  [rosenbrock5, [1, 1, 1, 1, 1]],
  [rastrigin, [0, 0, 0, 0, 0]],
  [ackley, [0, 0, 0, 0, 0]],
  [styblinskiTang, Array.from({ length: 5 }, () => -2.903534)],
  [branin, [-Math.PI, 12.275]],
  [branin, [Math.PI, 2.275]],
  [branin, [9.42478, 2.475]],
  [levy, [1, 1, 1, 1, 1]],
  [michalewicz, [2.202905, 1.570796, 1.284992, 1.923058, 1.72047]],
  [sixHumpCamel, [0.089842, -0.7126564]],
  [sixHumpCamel, [-0.089842, 0.7126564]],
  [hartmann6, [0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573]],
];

const named = (x: readonly number[]) => Object.fromEntries(x.map((xi, i) => [`x${i + 1}`, xi]));

it.each(table)('%j has its minimum at %j', (family, x) => {
  const f = family.of(0);
  expect(f.valueOf(named(x))).toBeCloseTo(f.minimum, 6);
  f.space.parameters.forEach((parameter, i) => {
    if (parameter.kind !== 'double') throw new Error('expected a double');
    const step = (parameter.max - parameter.min) / 100;
    expect(f.valueOf(named(x.with(i, x[i] - step)))).toBeGreaterThan(f.minimum);
    expect(f.valueOf(named(x.with(i, x[i] + step)))).toBeGreaterThan(f.minimum);
  });
});

it('the minima are those of the literature', () => {
  expect(branin.of(0).minimum).toBeCloseTo(0.397887, 6);
  expect(hartmann6.of(0).minimum).toBeCloseTo(-3.32237, 5);
});

it('llm7 is 0 at its optimum and only there', () => {
  const problem = llm7.of(0);
  const best = {
    architecture: 'llama',
    learningRate: 10 ** -4.7,
    batchSize: 32,
    epochs: 4,
    weightDecay: 0.01,
    dropout: 0.1,
    warmupRatio: 0.06,
  };
  expect(problem.valueOf(best)).toBeCloseTo(0, 12);
  expect(problem.valueOf({ ...best, architecture: 'opt', learningRate: 10 ** -4.3 })).toBeCloseTo(0.06, 12);
  // 0.05·(0.5·log10 2)² + 0.008: the best rate moves with the batch.
  expect(problem.valueOf({ ...best, batchSize: 64 })).toBeCloseTo(
    0.05 * (0.5 * Math.log10(2)) ** 2 + 0.008,
    12,
  );
});

it.each([
  [heldOut, 5],
  [adapters, 2],
])('problems of %j differ by seed and are the same for each', (family, different) => {
  expect(family.of(1).categories).toEqual(family.of(1).categories);
  const best = Array.from({ length: 10 }, (_, seed) => JSON.stringify(family.of(seed).categories));
  expect(new Set(best).size).toBeGreaterThan(different);
});
