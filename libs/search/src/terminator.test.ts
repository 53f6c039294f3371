import { Rng } from '@emotune/base';
import { expect, it } from 'vitest';
import type { TrialRecord } from './history.js';
import { suggest } from './samplers.js';
import { type Assignment, parseSearchSpace } from './space.js';
import { termination } from './terminator.js';

const space = parseSearchSpace([
  { name: 'x', double: { min: 0, max: 1 } },
  { name: 'y', double: { min: 0, max: 1 } },
]);
const bowl = (v: Assignment) => ((v['x'] as number) - 0.3) ** 2 + ((v['y'] as number) - 0.6) ** 2;

function play(name: string, trials: number, noise: number): TrialRecord[] {
  const history: TrialRecord[] = [];
  for (let number = 0; number < trials; number++) {
    const parameters = suggest({ name }, space, history, { seed: 1, trialNumber: number });
    const objective = bowl(parameters) + noise * Rng.of(1, 'noise', number).normal();
    history.push({ number, parameters, state: 'succeeded', objective });
  }
  return history;
}

it('ends a search that has arrived, and says why', () => {
  const history = play('gp', 30, 0);
  const { stop, reason } = termination(space, history, 1, { error: 0.01 });
  expect(stop).toBe(true);
  expect(reason).toMatch(
    /^further trials are expected to improve the objective by at most [\d.e-]+, less than the error of its estimate, 0.01$/,
  );
  expect(termination(space, structuredClone(history), 1, { error: 0.01 })).toEqual({ stop, reason });
});

it('goes on while an improvement above the error is expected', () => {
  // 20 random trials of 2 numbers leave the bottom to be guessed.
  const history = play('random', 20, 0);
  const { stop, reason } = termination(space, history, 1, { error: 1e-6 });
  expect(stop).toBe(false);
  expect(reason).toMatch(/not less than the error of its estimate, 0.000001$/);
});

it('goes on where a few values of a rugged function look like noise', () => {
  // The model of 20 such values has nothing to improve on, but does not know that there is nothing.
  const history = play('random', 20, 0).map((record) => {
    const x = record.parameters as Record<string, number>;
    return { ...record, objective: 20 + Math.sin(97 * x['x']) * Math.cos(89 * x['y']) };
  });
  expect(termination(space, history, 1, { error: 0.3 }).stop).toBe(false);
});

it('goes on where too little is known', () => {
  const history = play('random', 30, 0);
  expect(termination(space, history.slice(0, 19), 1, { error: 9 })).toEqual({
    stop: false,
    reason: '19 of at least 20 trials are measured',
  });
  expect(termination(space, history.slice(0, 19), 1, { error: 9, minTrials: 10 }).stop).toBe(true);
  for (const error of [0, -1, Number.NaN]) expect(termination(space, history, 1, { error }).stop).toBe(false);
  const odd = history.map((record) => ({ ...record, parameters: { z: 1 } }));
  expect(termination(space, odd, 1, { error: 9 }).reason).toBe(
    'too few trials have values that the space allows',
  );
});
