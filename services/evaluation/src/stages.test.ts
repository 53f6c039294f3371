import { tuning } from '@emotune/proto';
import { expect, it } from 'vitest';
import { stagesOf } from './stages.js';

const measured = (stage: number, values: Record<string, number>, fold?: number) => ({ stage, values, fold });
const trial = (number: number, measurements: readonly object[]) => ({ number, measurements }) as tuning.Trial;

it('tells the last validation of each stage of the trial, with what earlier subtasks have lost', () => {
  const trials = [
    trial(0, [measured(0, { 'objective/a': 9 }), measured(1, { 'objective/a': 9 })]),
    trial(1, [
      measured(0, {}),
      measured(0, { 'objective/a': 3, 'objective/b': 5 }),
      measured(0, { 'objective/a': 2, 'objective/b': 5 }),
      measured(0, {}),
      measured(1, { 'objective/a': 2.5, 'objective/b': 4 }),
      measured(1, {
        'objective/a': 2.25,
        'objective/b': 3,
        'forgetting/average': 2.6,
        'forgetting/backward-transfer': -0.25,
        'forgetting/maximum': 0.25,
        'forgetting/a': 0.25,
      }),
    ]),
  ];
  expect(stagesOf(trials, 1)).toEqual([
    { stage: 1, objectives: { a: 2, b: 5 }, forgotten: {} },
    { stage: 2, objectives: { a: 2.25, b: 3 }, forgotten: { a: 0.25 } },
  ]);
});

it('is empty without the trial, with one stage, and where folds were trained', () => {
  const one = [measured(0, { 'objective/a': 1 })];
  expect(stagesOf([trial(1, one)], 1)).toEqual([]);
  expect(stagesOf([trial(1, one)], 2)).toEqual([]);
  expect(stagesOf([], undefined)).toEqual([]);
  const folds = [measured(0, { 'objective/a': 1 }, 0), measured(1, { 'objective/a': 1 }, 1)];
  expect(stagesOf([trial(1, folds)], 1)).toEqual([]);
});

it('of a final training tells those of the best trial, which it repeats', () => {
  const { TRIAL_KIND_FINAL: final, TRIAL_KIND_SEARCH: search } = tuning.TrialKind;
  const staged = (objective: number) => [
    measured(0, { 'objective/a': objective }),
    measured(1, { 'objective/a': objective + 1, 'forgetting/a': 1 }),
  ];
  const trials = [
    { ...trial(0, staged(5)), kind: search, objective: 5 },
    { ...trial(1, staged(3)), kind: search, objective: 3 },
    { ...trial(2, []), kind: search, objective: undefined },
    { ...trial(3, [measured(0, {}), measured(1, {})]), kind: final, objective: undefined },
  ];
  expect(stagesOf(trials, 3).map(({ objectives }) => objectives)).toEqual([{ a: 3 }, { a: 4 }]);
  expect(stagesOf(trials.slice(3), 3)).toEqual([]);
});
