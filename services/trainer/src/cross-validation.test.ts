import { tuning } from '@emotune/proto';
import { type Directive, Interrupted, type Measurement } from '@emotune/training';
import { expect, it } from 'vitest';
import { type CrossValidation, crossValidate } from './cross-validation.js';
import type { Observed } from './heartbeats.js';

const { TRIAL_STATE_STOPPED, TRIAL_STATE_SUCCEEDED } = tuning.TrialState;

const step: Measurement = {
  step: 1,
  tokens: 10,
  examples: 2,
  totalTokens: 20,
  seconds: 0.5,
  stage: 0,
  trainLoss: 1,
  learningRate: 1e-3,
  gradientNorm: 1,
};

/** Folds of two steps whose objective is their number; what happened, and a directive for each end of a fold. */
function folds(changes: Partial<CrossValidation> = {}, directives: Record<number, Directive> = {}) {
  const events: string[] = [];
  const observed: Observed[] = [];
  const work: CrossValidation = {
    folds: 3,
    finished: [],
    signal: new AbortController().signal,
    train: async (fold, observe) => {
      events.push(`train ${fold}`);
      observed.push(observe(step), observe({ ...step, step: 2, tokens: 20, examples: 4, seconds: 1 }));
      const best = { objective: fold, tokens: 10, step: 1 };
      const end = { step: 2, tokens: 20, examples: 4, seconds: 1, tokensPerSecond: 20 };
      return { best, ...end, stopped: null, forgetting: null };
    },
    tell: async (ended) => {
      events.push(`tell ${ended.map(({ objective }) => objective)}`);
      return directives[ended.length] ?? 'continue';
    },
    forget: async (fold) => {
      events.push(`forget ${fold}`);
    },
    ...changes,
  };
  return { work, events, observed };
}

const result = (objective: number) => ({
  objective,
  bestTokens: 10,
  step: 2 * (objective + 1),
  tokens: 20 * (objective + 1),
  examples: 4 * (objective + 1),
  elapsedSeconds: objective + 1,
});

it('trains one fold after the other, each told before the next, and counts on', async () => {
  const { work, events, observed } = folds();
  expect(await crossValidate(work)).toEqual({
    state: TRIAL_STATE_SUCCEEDED,
    step: 6,
    tokens: 60,
    tokensPerSecond: 20,
    folds: [0, 1, 2].map(result),
  });
  expect(events).toEqual(['train 0', 'tell 0', 'forget 0', 'train 1', 'tell 0,1', 'forget 1', 'train 2']);
  expect(observed.map((m) => [m.fold, m.step, m.tokens, m.examples, m.seconds])).toEqual(
    [0, 0, 1, 1, 2, 2].map((fold, i) => [fold, i + 1, 10 * (i + 1), 2 * (i + 1), (i + 1) / 2]),
  );
});

it('goes on after the folds that are finished', async () => {
  const { work, events, observed } = folds({ finished: [0, 1].map(result) });
  expect((await crossValidate(work)).folds).toEqual([0, 1, 2].map(result));
  expect(events).toEqual(['train 2']);
  expect(observed[0].step).toBe(5);
});

it('stops between two folds when it is told to', async () => {
  const { work, events } = folds({}, { 2: 'stop' });
  expect(await crossValidate(work)).toMatchObject({
    state: TRIAL_STATE_STOPPED,
    step: 4,
    tokens: 40,
    folds: [0, 1].map(result),
  });
  expect(events.at(-1)).toBe('tell 0,1');
});

it('does not count a fold that was stopped', async () => {
  const { work } = folds();
  const train: CrossValidation['train'] = async (fold, observe) => ({
    ...(await work.train(fold, observe)),
    stopped: fold === 1 ? 'directive' : null,
  });
  expect(await crossValidate({ ...work, train })).toMatchObject({
    state: TRIAL_STATE_STOPPED,
    step: 4,
    tokens: 40,
    folds: [result(0)],
  });
});

it('interrupted between two folds, keeps the checkpoint of the one that has ended', async () => {
  const abort = new AbortController();
  const tell = async () => {
    abort.abort();
    return 'continue' as const;
  };
  const { work, events } = folds({ tell, signal: abort.signal });
  await expect(crossValidate(work)).rejects.toThrow(Interrupted);
  expect(events).toEqual(['train 0']);
});
