import { expect, it } from 'vitest';
import * as module from './errors.js';
import { EmotuneError, errorClasses, InvalidArgument, policyOf, ResourceExhausted } from './errors.js';

/** gRPC status, exit code of a command, retryable, final, tells the user, ending of a training. */
const table = {
  InvalidArgument: ['INVALID_ARGUMENT', 2, false, true, true, 'InvalidConfiguration'],
  NotFound: ['NOT_FOUND', 3, false, true, true, 'Crashed'],
  AlreadyExists: ['ALREADY_EXISTS', 2, false, true, true, 'Crashed'],
  FailedPrecondition: ['FAILED_PRECONDITION', 2, false, true, true, 'Crashed'],
  Aborted: ['ABORTED', 1, false, true, false, 'Crashed'],
  ResourceExhausted: ['RESOURCE_EXHAUSTED', 4, true, false, true, 'OutOfMemory'],
  Unavailable: ['UNAVAILABLE', 4, true, false, true, 'Crashed'],
  PermissionDenied: ['PERMISSION_DENIED', 1, false, true, false, 'Crashed'],
  Unauthenticated: ['UNAUTHENTICATED', 4, false, true, true, 'Crashed'],
  DataLoss: ['DATA_LOSS', 1, false, true, true, 'Damaged'],
  Unimplemented: ['UNIMPLEMENTED', 1, false, false, false, 'Crashed'],
  Internal: ['INTERNAL', 1, false, false, false, 'Crashed'],
};

const row = (error: unknown) => {
  const { status, exitCode, retryable, final, tellsUser, ending } = policyOf(error);
  return [status, exitCode, retryable, final, tellsUser, ending];
};

const thrown = [InvalidArgument.at('a', 'expected 1, got 2'), ...errorClasses.map((type) => new type('why'))];

it('every class has its policy', () => {
  expect(Object.fromEntries(thrown.map((error) => [error.name, row(error)]))).toEqual(table);
  const classes = Object.entries(module).filter(
    ([, value]) => typeof value === 'function' && value.prototype instanceof EmotuneError,
  );
  expect(classes.map(([name]) => name).sort()).toEqual(Object.keys(table).sort());
});

it('no two classes leave as one gRPC status', () => {
  expect(new Set(thrown.map((error) => error.policy.status)).size).toBe(thrown.length);
});

it('what others throw is a defect of ours', () => {
  for (const error of [new TypeError('x is undefined'), 'text', undefined])
    expect(row(error)).toEqual(table.Internal);
});

it.each([
  ['our own', new ResourceExhausted('the disk is full', { cause: { code: 'ENOSPC' } })],
  [
    "the file system's",
    Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }),
  ],
  ['of a quota', Object.assign(new Error('EDQUOT'), { code: 'EDQUOT' })],
  ["PostgreSQL's", Object.assign(new Error('could not extend file'), { code: '53100' })],
  ['wrapped', new Error('cannot save', { cause: new Error('write', { cause: { code: 'ENOSPC' } }) })],
])('a full disk is waited for, it is no fault of what was to be done: %s', (_, error) => {
  expect(policyOf(error)).toEqual({ ...ResourceExhausted.policy, ending: 'DiskFull' });
});

it('a class made of another has its policy, and its own name', () => {
  class Taken extends module.FailedPrecondition {}
  expect(new Taken('taken').name).toBe('Taken');
  expect(policyOf(new Taken('taken'))).toBe(module.FailedPrecondition.policy);
});
