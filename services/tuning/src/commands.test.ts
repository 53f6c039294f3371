import { FailedPrecondition, InvalidArgument } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import { assertRoom, assertTeachable, cancelled, paused, raised, resumed } from './commands.js';
import { planOf } from './spec.js';
import type { ExperimentState } from './state.js';
import { experimentSpec } from './testing.js';

const situation = (state: ExperimentState, begun = true) => ({
  name: 'run',
  state,
  reason: '',
  begun,
  lineages: false,
  features: 'demo',
});
const { limits } = planOf(experimentSpec({ limits: { maxTrials: 10, maxGpuHours: 2 } }));
const none = experimentSpec().limits!;

it('what has ended is left as it is', () => {
  for (const state of ['succeeded', 'failed', 'cancelled'] as const) {
    const wishes = [
      () => paused(situation(state)),
      () => resumed(situation(state)),
      () => raised(situation(state), limits, { ...none, maxTrials: 99 }),
      () => assertRoom(situation(state), 0, limits),
    ];
    for (const wish of wishes) expect(wish).toThrow(FailedPrecondition);
  }
  expect(() => cancelled(situation('succeeded'))).toThrow(FailedPrecondition);
  expect(cancelled(situation('cancelled')).state).toBe('cancelled');
});

it('pausing and resuming twice is once; what has not begun waits for its features again', () => {
  expect(paused(situation('running'))).toEqual({ state: 'paused', reason: 'paused on request' });
  expect(paused(situation('paused'))).toEqual({ state: 'paused', reason: '' });
  expect(resumed(situation('running')).state).toBe('running');
  expect(resumed(situation('paused')).state).toBe('running');
  const waiting = { state: 'waiting', reason: 'waits for the feature set "demo"' };
  expect(resumed(situation('paused', false))).toEqual(waiting);
});

describe('raised limits', () => {
  it('are those that are given; the others stay', () => {
    const wanted = { ...none, maxTrials: 20, maxGpuHours: 2 };
    expect(raised(situation('paused'), limits, wanted)).toEqual({ ...limits, maxTrials: 20 });
  });

  it('never fall, and none is set where there was none: all violations at once', () => {
    const wanted = { ...none, maxTrials: 9, maxTokens: 5, maxGpuHours: Number.NaN };
    expect(() => raised(situation('running'), limits, wanted)).toThrow(
      new InvalidArgument([
        { field: 'limits.maxTrials', description: 'expected at least 10, the present limit, got 9' },
        { field: 'limits.maxTokens', description: 'expected nothing, for there is no such limit, got 5' },
        { field: 'limits.maxGpuHours', description: 'expected at least 2, the present limit, got NaN' },
      ]),
    );
    expect(() => raised(situation('running'), limits, none)).toThrow('expected at least one limit to raise');
  });
});

it('with lineages no generation is added, and nothing is taught', () => {
  const lineages = { ...situation('running'), lineages: true };
  expect(() => raised(lineages, limits, { ...none, maxTrials: 20 })).toThrow(
    'limits.maxTrials: expected 10, over whose generations schedule and stages are laid out, got 20',
  );
  expect(raised(lineages, limits, { ...none, maxGpuHours: 3 })).toEqual({ ...limits, maxGpuHours: 3 });
  expect(() => assertTeachable(lineages)).toThrow(FailedPrecondition);
  expect(() => assertTeachable(situation('running'))).not.toThrow();
});

it('a trial can be added while there is room', () => {
  expect(() => assertRoom(situation('paused'), 9, limits)).not.toThrow();
  expect(() => assertRoom(situation('running'), 10, limits)).toThrow('limits.maxTrials (10)');
});
