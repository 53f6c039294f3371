import { tuning } from '@emotune/proto';
import { describe, expect, it } from 'vitest';
import {
  type ExperimentObject,
  isSettled,
  objectAction,
  objectOf,
  refusedStatus,
  saysTheSame,
  statusOf,
} from './experiment-object.js';
import { experimentSpec } from './testing.js';

const { ExperimentState: State } = tuning;
const [early, late] = ['2030-01-01T00:00:00Z', '2030-01-01T01:00:00Z'];

function experimentIn(
  state: tuning.ExperimentState,
  changes: Partial<tuning.Experiment> = {},
): tuning.Experiment {
  return {
    name: 'first',
    spec: experimentSpec({ name: 'first', limits: { maxTrials: 8 } as tuning.Limits }),
    state,
    reason: '',
    ...{ trialsSucceeded: 2, trialsRunning: 1, trialsFailed: 1, trialsTotal: 4 },
    bestObjective: 1.234567,
    bestTrial: 0,
    modelVersion: '',
    createTime: undefined,
    startTime: { seconds: 1_900_000_000, nanos: 0 },
    endTime: undefined,
    ...{ gpuHours: 0.123, cost: 0 },
    ...changes,
  };
}

const running = experimentIn(State.EXPERIMENT_STATE_RUNNING);
const ended = experimentIn(State.EXPERIMENT_STATE_SUCCEEDED, {
  endTime: { seconds: 1_900_003_600, nanos: 0 },
});

/** An object that the service has seen in its generation 1. */
function objectWith(
  metadata: Partial<ExperimentObject['metadata']> = {},
  status?: ExperimentObject['status'],
): ExperimentObject {
  const fresh = objectOf(running);
  return {
    ...fresh,
    metadata: { ...fresh.metadata, generation: 1, ...metadata },
    ...(status ? { status } : {}),
  };
}

const accepted = statusOf(objectWith(), running, early);
const refused = refusedStatus(
  objectWith(),
  { reason: 'InvalidSpec', message: 'spec.seed: expected …' },
  early,
);
const leaving = { deletionTimestamp: early };

describe('objectAction', () => {
  it.each([
    ['an experiment that goes on gets its object', running, undefined, 'mirror'],
    ['one that has ended and whose object was deleted does not', ended, undefined, 'nothing'],
    ['nothing is nothing', undefined, undefined, 'nothing'],
    ['one that is new is submitted', undefined, objectWith(), 'submit'],
    ['one that was refused is submitted again', undefined, objectWith({}, refused), 'submit'],
    ['one of a foreign experiment is not taken for its own', running, objectWith({}, refused), 'submit'],
    ['one that was accepted is told of', running, objectWith({}, accepted), 'tell'],
    ['one whose spec has changed is looked at', running, objectWith({ generation: 2 }, accepted), 'raise'],
    ['one whose experiment was deleted goes', undefined, objectWith({}, accepted), 'remove'],
    ['one that is being deleted cancels what goes on', running, objectWith(leaving, accepted), 'cancel'],
    ['one that is being deleted leaves what has ended', ended, objectWith(leaving, accepted), 'nothing'],
    ['one that was refused cancels nothing', running, objectWith(leaving, refused), 'nothing'],
  ] as const)('%s', (_, experiment, object, action) => {
    expect(objectAction(experiment, object)).toBe(action);
  });

  it.each([
    ['that was deleted cancels what goes on', running, undefined, accepted, 'cancel'],
    ['that another has followed does, too', running, objectWith({ uid: 'next' }), accepted, 'cancel'],
    ['of what has ended is not needed', ended, undefined, accepted, 'nothing'],
    ['that was refused cancels nothing', running, undefined, refused, 'mirror'],
    ['of what is not there is forgotten', undefined, objectWith({ uid: 'next' }), accepted, 'submit'],
  ] as const)('an object %s', (_, experiment, object, status, action) => {
    expect(objectAction(experiment, object, objectWith({}, status))).toBe(action);
  });
});

describe('a status', () => {
  it('reads as a line', () => {
    expect(accepted).toMatchObject({
      ...{ observedGeneration: 1, state: 'Running', trials: '3/8', trialsRunning: 1 },
      ...{ bestTrial: 0, bestObjective: '1.235', gpuHours: '0.12', model: null, endTime: null },
      startTime: '2030-03-17T17:46:40Z',
    });
  });

  it('has conditions that keep their time while they stay, and are of the generation that was seen', () => {
    const before = objectWith({ generation: 3 }, accepted);
    const after = statusOf(before, ended, late);
    expect(after.conditions).toEqual(
      [
        ...[{ type: 'Accepted', status: 'True', reason: 'Accepted', message: '', lastTransitionTime: early }],
        ...[{ type: 'Running', status: 'False', reason: 'Ended', message: '', lastTransitionTime: late }],
        ...[
          { type: 'Succeeded', status: 'True', reason: 'Succeeded', message: '', lastTransitionTime: late },
        ],
      ].map((condition) => ({ ...condition, observedGeneration: 3 })),
    );
    expect(isSettled({ ...before, status: after })).toBe(true);
    expect(isSettled(before)).toBe(false);
  });

  it('keeps what was said to a change until the next one', () => {
    const note = { reason: 'ChangeRefused', message: 'spec.limits.maxTrials: expected …' };
    const told = statusOf(objectWith({}, accepted), running, late, note);
    const later = statusOf(objectWith({}, told), ended, late);
    expect(later.conditions?.[0]).toMatchObject({ ...note, status: 'True', lastTransitionTime: early });
  });

  it('is written only where it says something else', () => {
    expect(saysTheSame(objectWith({}, accepted), statusOf(objectWith({}, accepted), running, late))).toBe(
      true,
    );
    expect(saysTheSame(objectWith({}, accepted), statusOf(objectWith({}, accepted), ended, late))).toBe(
      false,
    );
    expect(saysTheSame(objectWith(), accepted)).toBe(false);
  });

  it('of one that is refused says so in every condition', () => {
    expect(refused).toMatchObject({ state: 'Refused', reason: 'spec.seed: expected …' });
    expect(refused.conditions?.map(({ type, status }) => `${type} ${status}`)).toEqual([
      'Accepted False',
      'Running False',
      'Succeeded False',
    ]);
  });
});

it('the object of an experiment is held by nothing, and has its spec as files have it, without the name', () => {
  const { metadata, spec } = objectOf(running);
  expect(metadata).toEqual({ name: 'first', labels: { 'app.kubernetes.io/managed-by': 'emotune' } });
  expect(spec).not.toHaveProperty('name');
  expect(spec).toMatchObject({ limits: { maxTrials: 8 } });
});
