import { expect, it } from 'vitest';
import { ManualClock } from './clock.js';
import { every, Rest } from './rest.js';

const never = new AbortController().signal;
const turn = () => new Promise((resolve) => setImmediate(resolve));

it('rests for its time, less when it is woken or told to stop, and not at all when there was news before', async () => {
  const clock = new ManualClock();
  const rest = new Rest(clock);
  const stop = new AbortController();
  let rests = 0;
  const take = async (signal: AbortSignal) => {
    await rest.take(100, signal);
    rests++;
  };
  void take(never);
  clock.advance(99);
  await turn();
  expect(rests).toBe(0);
  clock.advance(1);
  await turn();
  expect(rests).toBe(1);
  void take(never);
  rest.wake();
  await turn();
  expect(rests).toBe(2);
  rest.wake();
  await take(never);
  expect(rests).toBe(3);
  void take(stop.signal);
  await turn();
  expect(rests).toBe(3);
  stop.abort();
  await turn();
  expect(rests).toBe(4);
});

it('repeats one call after another and waits, when it ends, for the one that runs', async () => {
  const clock = new ManualClock();
  let begun = 0;
  let finish = () => {};
  const end = every(10, clock, () => {
    begun++;
    return new Promise((resolve) => {
      finish = resolve;
    });
  });
  clock.advance(10);
  await turn();
  clock.advance(10);
  await turn();
  expect(begun).toBe(1);
  let ended = false;
  const ending = end().then(() => {
    ended = true;
  });
  await turn();
  expect(ended).toBe(false);
  finish();
  await ending;
  clock.advance(10);
  await turn();
  expect(begun).toBe(1);
});
