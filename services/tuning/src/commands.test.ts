import { FailedPrecondition, InvalidArgument } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import { cancelled, enqueued, paused, raised, resumed, taught, withStudy } from './commands.js';
import { planOf } from './spec.js';
import type { Experiment, ExperimentState } from './state.js';
import { experimentSpec } from './testing.js';
import { assertMayBecome, newExperiment, newTrial } from './transitions.js';

const now = 1_000_000;
const few = { maxTrials: 10, maxGpuHours: 2 };
const plan = planOf(experimentSpec({ limits: few }));
const { limits } = plan;
const none = experimentSpec().limits!;
const values = { learningRate: 1e-3 };

const situation = (state: ExperimentState, begun = true): Experiment => ({
  ...newExperiment(plan, [], [], now),
  state,
  reason: '',
  startedAt: begun ? now : null,
});
const withTrials = (state: ExperimentState, count: number): Experiment => ({
  ...situation(state),
  trials: Array.from({ length: count }, (_, number) =>
    newTrial({ number, kind: 'search', parameters: values, totalTokens: 1, enqueued: false }, now),
  ),
});
const changeOf = ({ state, reason }: Experiment) => ({ state, reason });

it('what has ended is left as it is', () => {
  for (const state of ['succeeded', 'failed', 'cancelled'] as const) {
    const wishes = [
      () => paused(situation(state)),
      () => resumed(situation(state)),
      () => raised(situation(state), { ...none, maxTrials: 99 }),
      () => enqueued(situation(state), values, now),
    ];
    for (const wish of wishes) expect(wish).toThrow(FailedPrecondition);
  }
  expect(() => cancelled(situation('succeeded'), now)).toThrow(FailedPrecondition);
  expect(cancelled(situation('cancelled'), now).state).toBe('cancelled');
});

it('pausing and resuming twice is once; what has not begun waits for its features again', () => {
  expect(changeOf(paused(situation('running')))).toEqual({ state: 'paused', reason: 'paused on request' });
  expect(changeOf(paused(situation('paused')))).toEqual({ state: 'paused', reason: '' });
  expect(resumed(situation('running')).state).toBe('running');
  expect(resumed(situation('paused')).state).toBe('running');
  const waiting = { state: 'waiting', reason: 'waits for the feature set "demo"' };
  expect(changeOf(resumed(situation('paused', false)))).toEqual(waiting);
});

it('pausing asks every trainer for one checkpoint', () => {
  const once = paused(situation('running'));
  expect(once.checkpointAsks).toBe(1);
  expect(paused(once).checkpointAsks).toBe(1);
  expect(paused(resumed(once)).checkpointAsks).toBe(2);
});

it('what is over cannot be changed, whoever asks', () => {
  const ended = cancelled(withTrials('running', 1), now);
  expect(ended).toMatchObject({ state: 'cancelled', endedAt: now, trials: [{ state: 'cancelled' }] });
  expect(() => assertMayBecome(ended, { ...ended, state: 'running' })).toThrow(
    'run is cancelled, it cannot become running',
  );
  const more = [...ended.trials, withTrials('running', 2).trials[1]];
  expect(() => assertMayBecome(ended, { ...ended, trials: more })).toThrow('run cannot have another trial');
  const over = { ...ended.trials[0], state: 'failed' } as const;
  expect(() => assertMayBecome({ ...ended, trials: [over] }, ended)).toThrow(
    'trial 0 of run is failed, it cannot become cancelled',
  );
  expect(() => assertMayBecome(withTrials('running', 2), withTrials('running', 1))).toThrow('lose trials');
});

describe('raised limits', () => {
  it('are those that are given; the others stay', () => {
    const wanted = { ...none, maxTrials: 20, maxGpuHours: 2 };
    expect(raised(situation('paused'), wanted).plan.limits).toEqual({ ...limits, maxTrials: 20 });
  });

  it('never fall, and none is set where there was none: all violations at once', () => {
    const wanted = { ...none, maxTrials: 9, maxTokens: 5, maxGpuHours: Number.NaN };
    expect(() => raised(situation('running'), wanted)).toThrow(
      new InvalidArgument([
        { field: 'limits.maxTrials', description: 'expected at least 10, the present limit, got 9' },
        { field: 'limits.maxTokens', description: 'expected nothing, for there is no such limit, got 5' },
        { field: 'limits.maxGpuHours', description: 'expected at least 2, the present limit, got NaN' },
      ]),
    );
    expect(() => raised(situation('running'), none)).toThrow('expected at least one limit to raise');
  });
});

it('with lineages no generation is added, and nothing is taught', () => {
  const pbt = { name: 'pbt', settings: { population: 2 } };
  const lineages = {
    ...situation('running'),
    plan: planOf(experimentSpec({ limits: few, searchAlgorithm: pbt })),
  };
  expect(() => raised(lineages, { ...none, maxTrials: 20 })).toThrow(
    'limits.maxTrials: expected 10, over whose generations schedule and stages are laid out, got 20',
  );
  const most = lineages.plan.limits;
  expect(raised(lineages, { ...none, maxGpuHours: 3 }).plan.limits).toEqual({ ...most, maxGpuHours: 3 });
  expect(() => taught(lineages, [], now)).toThrow(FailedPrecondition);
  expect(() => taught(situation('running'), [], now)).not.toThrow();
});

it('a trial can be added while there is room', () => {
  const { trials } = enqueued(withTrials('paused', 9), values, now);
  expect(trials[9]).toMatchObject({ number: 9, state: 'queued', enqueued: true, parameters: values });
  expect(() => enqueued(withTrials('running', 10), values, now)).toThrow('limits.maxTrials (10)');
});

describe('the best of a study', () => {
  const best = [1e-3, 2e-3, 3e-3].map((learningRate) => ({ learningRate }));

  it('are enqueued all or not at all', () => {
    expect(() =>
      withStudy(
        { ...situation('running'), trials: withTrials('running', 9).trials },
        { lessons: [], best },
        now,
      ),
    ).toThrow(
      'experiment run has room for 1 of its limits.maxTrials (10) trials, got 2 to enqueue: nothing was enqueued',
    );
  });

  it('are skipped where a trial of their values waits, runs or was measured, and enqueued where it failed', () => {
    const first = withStudy(situation('running'), { lessons: [], best }, now);
    expect([first.enqueued, first.known]).toEqual([[0, 1, 2], []]);
    const again = withStudy(first.experiment, { lessons: [], best }, now);
    expect([again.enqueued, again.known]).toEqual([[], [0, 1, 2]]);
    const [one, two, three] = first.experiment.trials;
    const trials = [
      one,
      { ...two, state: 'succeeded', objective: 1 },
      { ...three, state: 'failed' },
    ] as const;
    const after = withStudy({ ...first.experiment, trials }, { lessons: [], best }, now);
    expect([after.enqueued, after.known]).toEqual([[3], [0, 1]]);
  });
});
