import { InvalidArgument } from '@emotune/base';
import { tuning } from '@emotune/proto';
import { lessonOf } from '@emotune/search';
import { expect, it } from 'vitest';
import { importedRecords } from './imported.js';
import { planOf } from './spec.js';
import { experimentSpec } from './testing.js';

const { TrialState } = tuning;
const plan = planOf(experimentSpec());

function imported(changes: Partial<tuning.ImportedTrial> = {}): tuning.ImportedTrial {
  return {
    parameters: { learningRate: { number: 1e-3 } },
    state: TrialState.TRIAL_STATE_SUCCEEDED,
    objective: 2,
    step: 4,
    reason: '',
    ...changes,
  };
}

it('are older than what is known', () => {
  const first = importedRecords(plan, [imported(), imported({ objective: 0 })], []);
  expect(first.map(({ number, objective }) => [number, objective])).toEqual([
    [-2, 2],
    [-1, 0],
  ]);
  const infeasible = { state: TrialState.TRIAL_STATE_INFEASIBLE, reason: 'OutOfMemory: there' };
  const [second] = importedRecords(plan, [imported(infeasible)], first);
  expect(second).toMatchObject({ number: -3, reason: 'OutOfMemory: there' });
  expect(second.objective).toBeUndefined();
  expect([...first, second].map(lessonOf)).toEqual(['measured', 'measured', 'infeasible']);
});

it('are refused whole, with every violation', () => {
  const broken = [
    imported({ parameters: { learningRate: { number: 7 } } }),
    imported({ objective: undefined }),
    imported({ objective: Number.NaN, state: TrialState.TRIAL_STATE_STOPPED }),
    imported({ parameters: { rate: { number: 1 }, learningRate: { number: 1e-3 } } }),
    imported({ state: TrialState.TRIAL_STATE_RUNNING }),
  ];
  let thrown: unknown;
  try {
    importedRecords(plan, broken, []);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(InvalidArgument);
  expect((thrown as InvalidArgument).violations.map(({ field }) => field)).toEqual([
    'trials[0].parameters.learningRate',
    'trials[1].objective',
    'trials[2].objective',
    'trials[3].parameters.rate',
    'trials[4].state',
  ]);
  expect(() => importedRecords(plan, new Array(10_001).fill(imported()), [])).toThrow(
    'expected at most 10000 beside the 0 known, got 10001',
  );
});
