import { expect, it } from 'vitest';
import { enqueued } from './commands.js';
import { notesOf, valuesOf } from './job-notes.js';
import { planOf } from './spec.js';
import type { Experiment, Trial } from './state.js';
import { experimentSpec } from './testing.js';
import { newExperiment, record } from './transitions.js';

const empty = enqueued(newExperiment(planOf(experimentSpec()), [], [], 0), { learningRate: 0.001 }, 0);
const first = record(empty, { type: 'start-attempt', trial: 0, attempt: 1 }, 1);
const lost = { type: 'end-attempt', trial: 0, attempt: 1, outcome: 'lost', reason: 'LostJob: gone' } as const;
const second = record(record(first, lost, 2), { type: 'start-attempt', trial: 0, attempt: 2 }, 3);

function ended(state: Trial['state'], reason: string): Experiment {
  const [trial] = second.trials;
  return { ...second, trials: [{ ...trial, state, reason, objective: 2.5, step: 7 }] };
}

it('tells what has happened to a trial, on the job that it has happened to', () => {
  expect(notesOf(empty, empty)).toEqual([]);
  expect(notesOf(empty, first)).toEqual([
    { job: 'run-t0-a1', event: { reason: 'TrialStarted', message: 'trial 0 of experiment run has started' } },
  ]);
  const message = 'attempt 2 of trial 0 of experiment run, after: LostJob: gone';
  expect(notesOf(first, second)).toEqual([{ job: 'run-t0-a2', event: { reason: 'TrialRetried', message } }]);
});

it.each<[Trial['state'], string, string, boolean]>([
  ['succeeded', '', 'TrialSucceeded', false],
  ['stopped', 'Pruned: median: x', 'TrialPruned', false],
  ['failed', 'Crashed: exit code 1', 'TrialFailed', true],
  ['infeasible', 'Diverged: x', 'TrialInfeasible', true],
])('tells that a trial has %s', (state, reason, word, warning) => {
  const message = `trial 0 of experiment run, step 7, objective 2.5${reason && `: ${reason}`}`;
  expect(notesOf(second, ended(state, reason))).toEqual([
    { job: 'run-t0-a2', event: { reason: word, message, ...(warning ? { warning } : {}) } },
  ]);
});

it('shows the newest values of trials whose jobs have begun', () => {
  const name = 'run-t0-a2';
  const jobs = new Map([[name, { name, labels: {}, phase: 'running' } as const]]);
  expect(valuesOf(second)).toEqual(new Map());
  expect(valuesOf({ ...ended('running', ''), jobs })).toEqual(
    new Map([[name, { 'emotune.io/step': '7', 'emotune.io/objective': '2.5' }]]),
  );
});
