import { tuning } from '@emotune/proto';
import { expect, it } from 'vitest';
import { trialsText } from './experiment.js';

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
