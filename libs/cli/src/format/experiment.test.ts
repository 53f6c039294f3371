import { tuning } from '@emotune/proto';
import { expect, it } from 'vitest';
import { ExperimentWatch, stageOf, trialsText } from './experiment.js';

const trial = (number: number, origin?: number): tuning.Trial => ({
  experiment: 'first',
  number,
  kind: tuning.TrialKind.TRIAL_KIND_SEARCH,
  origin,
  state: tuning.TrialState.TRIAL_STATE_SUCCEEDED,
  reason: '',
  parameters: {},
  attempt: 1,
  step: 1,
  tokens: 100,
  totalTokens: 100,
  tokensPerSecond: 0,
  bestTokens: 100,
  gpuHours: 0,
  createTime: undefined,
  startTime: undefined,
  endTime: undefined,
  measurements: [],
  folds: [],
  originTokens: 0,
});

it('shows from which trial each goes on, where any does', () => {
  expect(trialsText([trial(0)])).not.toContain('from');
  expect(trialsText([trial(0), trial(1, 0)])).toMatch(
    /^trial +from +kind.*\n +0 +– +search.*\n +1 +0 +search/,
  );
});

const measurement = (trainLoss?: number): tuning.Measurement => ({
  step: 4,
  tokens: 400,
  elapsedSeconds: 4,
  trainLoss,
  stage: 0,
  learningRate: 0.001,
  tokensPerSecond: 10,
  values: {},
  examples: 40,
});

const running: tuning.Trial = {
  ...trial(3),
  kind: tuning.TrialKind.TRIAL_KIND_FINAL,
  state: tuning.TrialState.TRIAL_STATE_RUNNING,
  tokens: 400,
  totalTokens: 1600,
  tokensPerSecond: 10,
  measurements: [measurement(2.51234), measurement()],
};

it('tells of a running trial its loss and how long it will take', () => {
  const watch = new ExperimentWatch();
  watch.lines({ experiment: undefined, trials: [{ ...running, tokens: 0 }] }, 0);
  expect(watch.lines({ experiment: undefined, trials: [running] }, 2000)).toEqual([
    'final training (trial 3): 400 of 1,600 tokens, loss 2.512, 10 tokens/s, about 2 min left',
  ]);
});

it('shows the search by its trials and the final training by its tokens', () => {
  const experiment = {
    reason: '',
    spec: { limits: { maxTrials: 12 } },
    trialsSucceeded: 3,
    trialsFailed: 1,
    bestObjective: 2.25,
  } as tuning.Experiment;
  expect(stageOf(experiment, undefined)).toEqual({
    phase: 'search',
    done: 4,
    total: 12,
    unit: 'trials',
    detail: 'best 2.25 nats',
  });
  expect(stageOf(experiment, running)).toEqual({
    phase: 'final training',
    done: 400,
    total: 1600,
    unit: 'tokens',
    detail: 'loss 2.512',
  });
});
