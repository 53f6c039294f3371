import { describe, expect, it } from 'vitest';
import { givenUp, heldBy, type LeaseSpec, mayTake } from './lease.js';

const now = Date.parse('2026-12-01T10:00:00.250Z');
const time = '2026-12-01T10:00:00.250000Z';
const others: LeaseSpec = {
  ...{ holderIdentity: 'b', leaseDurationSeconds: 15, leaseTransitions: 3 },
  ...{ acquireTime: '2026-12-01T09:00:00.000000Z', renewTime: '2026-12-01T09:59:59.000000Z' },
};

describe('a Lease', () => {
  it.each<[string, LeaseSpec, number, boolean]>([
    ['that nobody holds is taken', {}, 0, true],
    ['that was given up is taken', givenUp(others, now), 0, true],
    ['of this process is taken again', { ...others, holderIdentity: 'a' }, 0, true],
    [
      'that was seen to be renewed is left alone, whatever time it tells',
      { ...others, renewTime: '1999-01-01T00:00:00.000000Z' },
      15_000,
      false,
    ],
    [
      'that has not changed for as long as it is for is taken, whatever time it tells',
      { ...others, renewTime: '2099-01-01T00:00:00.000000Z' },
      15_001,
      true,
    ],
    ['that is for longer is waited for', { ...others, leaseDurationSeconds: 60 }, 59_000, false],
  ])('%s', (_, spec, unchangedMs, taken) => {
    expect(mayTake(spec, 'a', unchangedMs)).toBe(taken);
  });

  it('is made, taken over, renewed and given up', () => {
    const first = heldBy('a', undefined, now);
    expect(first).toEqual({
      ...{ holderIdentity: 'a', leaseDurationSeconds: 15, leaseTransitions: 0 },
      ...{ acquireTime: time, renewTime: time },
    });
    expect(heldBy('a', first, now + 2_000)).toEqual({ ...first, renewTime: '2026-12-01T10:00:02.250000Z' });
    expect(heldBy('a', others, now)).toEqual({ ...first, leaseTransitions: 4 });
    const free = givenUp(first, now);
    expect(free).toEqual({
      leaseDurationSeconds: 1,
      leaseTransitions: 0,
      acquireTime: time,
      renewTime: time,
    });
    expect(heldBy('b', free, now)).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
  });
});
