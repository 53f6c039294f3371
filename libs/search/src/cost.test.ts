import { expect, it } from 'vitest';
import { learnedCost } from './cost.js';
import type { TrialRecord } from './history.js';
import { suggest } from './samplers.js';
import { type Assignment, parseSearchSpace } from './space.js';

const space = parseSearchSpace([
  { name: 'layers', integer: { min: 1, max: 32, log: true } },
  { name: 'rate', double: { min: 0, max: 1 } },
]);
/** Layers cost, but change nothing. */
const costOf = (v: Assignment) => 0.5 * (v['layers'] as number);
const loss = (v: Assignment) => ((v['rate'] as number) - 0.3) ** 2;

function play(algorithm: Parameters<typeof suggest>[0], trials: number, seed = 1): TrialRecord[] {
  const history: TrialRecord[] = [];
  for (let number = 0; number < trials; number++) {
    const parameters = suggest(algorithm, space, history, { seed, trialNumber: number });
    history.push({
      number,
      parameters,
      state: 'succeeded',
      objective: loss(parameters),
      cost: costOf(parameters),
    });
  }
  return history;
}

it('predicts what trials cost', () => {
  const model = learnedCost(space, play({ name: 'random' }, 30));
  for (const layers of [2, 7, 20])
    for (const rate of [0.1, 0.9]) {
      const values = { layers, rate };
      // The process has no noise to fit here; between 30 points of a line 5 % are left.
      expect(Math.exp(model?.logOf(values) ?? 0) / costOf(values)).toBeCloseTo(1, 1);
    }
});

it('needs a few costs that are numbers above 0, of whole trials', () => {
  const history = play({ name: 'random' }, 10);
  expect(learnedCost(space, history.slice(0, 4))).toBeUndefined();
  for (const cost of [0, -1, Number.NaN, Infinity])
    expect(
      learnedCost(
        space,
        history.map((r) => ({ ...r, cost })),
      ),
    ).toBeUndefined();
  expect(
    learnedCost(
      space,
      history.map((r): TrialRecord => ({ ...r, state: 'stopped' })),
    ),
  ).toBeUndefined();
});

it.each(['tpe', 'gp'])('%s by improvement per cost finds as much for less', (name) => {
  const spent = (costPower: number) => {
    const late = play({ name, settings: { costPower } }, 40).slice(10);
    return late.reduce((sum, { cost }) => sum + (cost as number), 0);
  };
  expect(spent(1)).toBeLessThan(0.5 * spent(0));
  const best = Math.min(...play({ name, settings: { costPower: 1 } }, 40).map((r) => r.objective as number));
  expect(best).toBeLessThan(0.001);
});
