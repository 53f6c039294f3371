import { ManualClock } from '@emotune/base';
import { tuning } from '@emotune/proto';
import type { Measurement } from '@emotune/training';
import { expect, it } from 'vitest';
import { Heartbeats } from './heartbeats.js';

const { DIRECTIVE_CONTINUE, DIRECTIVE_STOP } = tuning.Directive;

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
  const step: Measurement = {
    ...{ step: 1, tokens: 10, examples: 2, totalTokens: 100, seconds: 1, stage: 0 },
    ...{ trainLoss: 1, learningRate: 1e-3, gradientNorm: 1 },
  };
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
