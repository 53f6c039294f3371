import { DataLoss, FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted } from '@emotune/base';
import { tuning } from '@emotune/proto';
import { Diverged, Interrupted, LostOrigin } from '@emotune/training';
import { expect, it } from 'vitest';
import { failureOf } from './outcome.js';

const { TRIAL_STATE_FAILED: failed, TRIAL_STATE_INFEASIBLE: infeasible } = tuning.TrialState;
const fullDisk = new ResourceExhausted('the disk is full', { cause: { code: 'ENOSPC' } });

it.each([
  [new ResourceExhausted('out of memory: 3 GiB'), 42, infeasible, 'OutOfMemory: out of memory: 3 GiB'],
  [new RangeError('Array buffer allocation failed'), 42, infeasible, /^OutOfMemory: Array buffer/],
  [
    InvalidArgument.at('a.b', 'expected 1, got 2'),
    43,
    infeasible,
    'InvalidConfiguration: a.b: expected 1, got 2',
  ],
  [new Diverged(3, 'loss'), 44, infeasible, /^Diverged: training diverged at step 3: loss/],
  [new DataLoss('models/m: damaged'), 77, failed, 'Damaged: models/m: damaged'],
  [fullDisk, 76, failed, 'DiskFull: the disk is full'],
  [new NotFound('no shards'), 1, failed, 'Crashed: no shards'],
  [new FailedPrecondition('cannot be written'), 1, failed, 'Crashed: cannot be written'],
  [new LostOrigin('there is none'), 1, failed, /^LostOrigin: .*: there is none/],
  [new RangeError('Invalid array length'), 1, failed, 'Crashed: Invalid array length'],
] as const)('%s', (error, exitCode, state, reason) => {
  const failure = failureOf(error);
  expect(failure).toMatchObject({ exitCode, report: { state } });
  expect(failure.report!.reason).toMatch(reason);
});

it('reports no interruption: the next attempt goes on', () => {
  expect(failureOf(new Interrupted(4))).toEqual({ exitCode: 75 });
});
