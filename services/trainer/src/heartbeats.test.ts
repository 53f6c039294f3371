import { Aborted, ManualClock, Unavailable } from '@emotune/base';
import { tuning } from '@emotune/proto';
import type { Measurement } from '@emotune/training';
import { expect, it } from 'vitest';
import { Heartbeats } from './heartbeats.js';

const { DIRECTIVE_CONTINUE, DIRECTIVE_STOP } = tuning.Directive;

const step: Measurement = {
  step: 1,
  tokens: 10,
  examples: 2,
  totalTokens: 100,
  seconds: 1,
  stage: 0,
  trainLoss: 1,
  learningRate: 1e-3,
  gradientNorm: 1,
};

/** Lets what is due happen. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

it('reports as often as it is told to, an objective at once, and hears what to do', async () => {
  const clock = new ManualClock();
  const sent: number[] = [];
  const answer = { directive: DIRECTIVE_CONTINUE, reason: '', everySeconds: 4 };
  const heartbeats = new Heartbeats({
    send: async () => {
      sent.push(clock.now());
      return { ...answer };
    },
    leaseSeconds: 30,
    clock,
    onLost: () => {},
    onUnreachable: () => {},
  });
  const pass = async (ms: number) => {
    await settled();
    clock.advance(ms);
    await settled();
  };
  heartbeats.start();
  await pass(3999);
  expect(heartbeats.observe(step)).toBe('continue');
  await settled();
  expect(sent).toEqual([0]);
  await pass(1);
  expect(sent).toEqual([0, 4000]);
  answer.directive = DIRECTIVE_STOP;
  expect(heartbeats.observe({ ...step, step: 2, objective: 1 })).toBe('continue');
  await settled();
  expect(sent).toEqual([0, 4000, 4000]);
  expect(heartbeats.observe({ ...step, step: 3 })).toBe('stop');
  // Never so seldom that the lease could be lost, and every second where nothing is said.
  answer.everySeconds = 100;
  await pass(4000);
  await pass(9999);
  expect(sent).toHaveLength(4);
  await pass(1);
  expect(sent).toHaveLength(5);
  answer.everySeconds = 0;
  await pass(10_000);
  await pass(1000);
  expect(sent).toHaveLength(7);
  await heartbeats.close();
});

const fold: tuning.FoldResult = {
  objective: 1,
  bestTokens: 10,
  step: 1,
  tokens: 10,
  examples: 2,
  elapsedSeconds: 1,
};

it('the end of a fold is waited for until it was heard, with all that came before', async () => {
  const clock = new ManualClock();
  const heard: [number, number][] = [];
  const answers: (() => void)[] = [];
  let failure: Error | undefined;
  const heartbeats = new Heartbeats({
    send: async (measurements, _, folds) => {
      await new Promise<void>((resolve) => answers.push(resolve));
      if (failure) throw failure;
      heard.push([measurements.length, folds.length]);
      return { directive: DIRECTIVE_STOP, reason: '', everySeconds: 9 };
    },
    leaseSeconds: 30,
    clock,
    onLost: () => {},
    onUnreachable: () => {},
  });
  const answer = async () => {
    await settled();
    for (const resolve of answers.splice(0)) resolve();
    await settled();
  };
  const quiet = new AbortController().signal;
  heartbeats.start();
  await settled();
  // A report that is under way does not have it.
  let directive: string | undefined;
  const told = heartbeats.foldsEnded([fold], quiet).then((d) => {
    directive = d;
  });
  failure = new Unavailable('away');
  await answer();
  failure = undefined;
  clock.advance(250);
  await settled();
  expect(directive).toBeUndefined();
  await answer();
  await told;
  expect([heard, directive]).toEqual([[[0, 1]], 'stop']);

  // Who is asked to end waits no longer, nor does who has lost the trial.
  const abort = new AbortController();
  const left = heartbeats.foldsEnded([fold, fold], abort.signal);
  abort.abort();
  await left;
  const lost = heartbeats.foldsEnded([fold, fold], quiet);
  failure = new Aborted('another attempt owns the trial');
  await answer();
  expect(await lost).toBe('stop');
  expect(await heartbeats.foldsEnded([fold], quiet)).toBe('stop');
});

it('what nobody has heard when it closes is told once more', async () => {
  const sent: [number[], string][] = [];
  let away = true;
  const heartbeats = new Heartbeats({
    send: async (measurements, checkpoint) => {
      if (away) throw new Unavailable('the tuning service is away');
      sent.push([measurements.map(({ step }) => step as number), checkpoint]);
      return { directive: DIRECTIVE_CONTINUE, reason: '', everySeconds: 9 };
    },
    leaseSeconds: 30,
    clock: new ManualClock(),
    onLost: () => {},
    onUnreachable: () => {},
  });
  heartbeats.start();
  await settled();
  heartbeats.observe({ ...step, step: 7 });
  heartbeats.checkpointed('step-7');
  await heartbeats.close();
  expect(sent).toEqual([]);
  away = false;
  await heartbeats.tellLast();
  expect(sent).toEqual([[[7], 'step-7']]);
});
