import { ResourceExhausted } from '@emotune/base';
import { expect, it } from 'vitest';
import { Admission } from './admission.js';

const limits = { waitSeconds: 30, characters: 1000 };
let now = 0;
const demand = (caller: string, work: number, characters = 1) => ({ model: 'm', caller, work, characters });

/** One that has done 100 tokens a second for 10 seconds, and has nothing to do. */
function measured(): Admission {
  const admission = new Admission(limits, () => now);
  const call = admission.enter(demand('first', 1000));
  call.begin();
  for (let i = 0; i < 10; i++) {
    now += 1;
    call.done(100);
  }
  call.leave();
  return admission;
}

it('takes calls as long as nothing is known of the time that they take', () => {
  const admission = new Admission(limits, () => now);
  for (let i = 0; i < 50; i++) admission.enter(demand('a', 1e6));
});

it('refuses what would be kept waiting too long, and says until when', () => {
  const admission = measured();
  const large = admission.enter(demand('a', 1e6));
  const refused = () => admission.enter(demand('a', 4000));
  expect(refused).toThrow(ResourceExhausted);
  expect(refused).toThrow('too much waits: others would take about 40 s meanwhile, at most 30 s are allowed');
  try {
    refused();
  } catch (error) {
    expect((error as ResourceExhausted).retryAfterMs).toBeGreaterThan(9000);
    expect((error as ResourceExhausted).retryAfterMs).toBeLessThan(12_000);
  }
  large.leave();
  admission.enter(demand('a', 1e6)).leave();
});

it('takes what is small beside what is large, and a call of whoever has none', () => {
  const admission = measured();
  admission.enter(demand('a', 1e6));
  for (let i = 0; i < 20; i++) admission.enter(demand('a', 100));
  admission.enter(demand('b', 1e6));
  expect(() => admission.enter(demand('b', 1e6))).toThrow(ResourceExhausted);
});

it('refuses small calls, too, when there are too many', () => {
  const admission = measured();
  const flood = () => {
    for (let i = 0; i < 100; i++) admission.enter(demand('a', 100));
  };
  expect(flood).toThrow(ResourceExhausted);
});

it('does not take the time in which nothing was asked for slowness', () => {
  const admission = measured();
  now += 3600;
  const call = admission.enter(demand('a', 3000));
  now += 60;
  // Its model had to be loaded.
  call.begin();
  now += 1;
  call.done(100);
  expect(() => admission.enter(demand('a', 900))).not.toThrow();
});

it('holds no more text than it may, but any one call', () => {
  const admission = new Admission(limits, () => now);
  const one = admission.enter(demand('a', 1, 5000));
  expect(() => admission.enter(demand('b', 1, 1))).toThrow(
    '5001 characters of text, at most 1000 are allowed',
  );
  one.leave();
  admission.enter(demand('b', 1, 600)).leave();
});
