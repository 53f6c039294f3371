import { Aborted, FailedPrecondition, type InvalidArgument } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import {
  answer,
  assertOwner,
  checkReport,
  type FinalReport,
  finished,
  judged,
  measure,
  type Owner,
  unwanted,
  withFolds,
} from './reports.js';
import { planOf } from './spec.js';
import type { Attempt, Trial } from './state.js';
import { experimentSpec } from './testing.js';
import { newTrial } from './transitions.js';

const now = 1_000_000;

interface Changes {
  readonly trial?: Partial<Trial>;
  readonly attempt?: Partial<Attempt>;
  readonly state?: Owner['state'];
  readonly checkpointAsks?: number;
}

function owner(changes: Changes = {}): Owner {
  const given = { number: 3, kind: 'search', parameters: {}, totalTokens: 1000, enqueued: false } as const;
  const { attempts: _, ...trial } = newTrial(given, now);
  return {
    state: changes.state ?? 'running',
    checkpointAsks: changes.checkpointAsks ?? 0,
    trial: { ...trial, state: 'running', ...changes.trial },
    attempt: {
      number: 2,
      step: 4,
      checkpoint: 'c/1',
      checkpointAsks: 0,
      outcome: null,
      reason: '',
      createdAt: now,
      leaseUntil: now,
      begunAt: now,
      endedAt: null,
      ...changes.attempt,
    },
  };
}

const at = (step: number, objective?: number) => ({
  step,
  tokens: 10 * step,
  examples: step,
  elapsedSeconds: step,
  ...(objective === undefined ? {} : { objective }),
});

it('an attempt that is over is refused, one that nobody wants is told so', () => {
  expect(() => assertOwner(owner())).not.toThrow();
  expect(() => assertOwner(owner({ attempt: { outcome: 'cancelled' } }))).not.toThrow();
  for (const outcome of ['lost', 'succeeded', 'interrupted'] as const)
    expect(() => assertOwner(owner({ attempt: { outcome } }))).toThrow(
      new Aborted(`attempt 2 of trial 3 is over (${outcome}): end without a report`),
    );
  expect(unwanted(owner())).toBeUndefined();
  expect(unwanted(owner({ state: 'cancelled' }))).toBe('the experiment has ended: cancelled');
});

describe('measurements', () => {
  it('name every number that cannot be', () => {
    expect(() => checkReport([at(1), at(1), at(2, Number.NaN), at(3, -Infinity)], [])).not.toThrow();
    const wrong = [at(3), { ...at(2), tokens: -1, examples: Number.NaN, elapsedSeconds: Infinity }];
    let error: unknown;
    try {
      checkReport(wrong, []);
    } catch (thrown) {
      error = thrown;
    }
    const expected = 'expected a number of at least 0';
    expect((error as InvalidArgument).violations).toEqual([
      { field: 'measurements[1].tokens', description: `${expected}, got -1` },
      { field: 'measurements[1].examples', description: `${expected}, got NaN` },
      { field: 'measurements[1].elapsedSeconds', description: `${expected}, got Infinity` },
      { field: 'measurements[1].step', description: 'expected at least 3, the step before it, got 2' },
    ]);
  });

  it('count once by step, and the lowest finite objective is the best', () => {
    const { owner: heard, fresh } = measure(
      owner({ trial: { objective: 2, bestTokens: 20 } }),
      [at(4), at(5, 3), at(6, 1), at(7, Number.NaN), at(8, -Infinity)],
      new Set([4]),
    );
    expect(fresh.map(({ step }) => step)).toEqual([5, 6, 7, 8]);
    expect(heard.trial).toMatchObject({ step: 8, tokens: 80, examples: 8, objective: 1, bestTokens: 60 });
    expect(heard.attempt.step).toBe(8);
    // 0 is a value, absent is none.
    const zero = measure(owner({ trial: { objective: 1 } }), [at(5, 0)], new Set());
    expect(zero.owner.trial.objective).toBe(0);
    expect(measure(owner(), [at(5)], new Set()).owner.trial.objective).toBeNull();
  });

  it('of a step that was repeated add what it lacked, and change nothing else', () => {
    const { owner: heard, fresh } = measure(owner({ trial: { step: 4 } }), [at(2, 0.5)], new Set([2]));
    expect(fresh).toEqual([]);
    expect(heard.trial).toMatchObject({ step: 4, objective: 0.5, bestTokens: 20 });
  });

  it('never go backwards within an attempt', () => {
    expect(() => measure(owner(), [at(3)], new Set([2]))).toThrow(
      new FailedPrecondition(
        'trial 3, attempt 2: expected a step above 4, got 3: steps do not go backwards within an attempt',
      ),
    );
    // A new attempt goes on from its checkpoint.
    const resumed = owner({ attempt: { step: -1 }, trial: { step: 9 } });
    expect(measure(resumed, [at(3)], new Set()).owner.trial.step).toBe(3);
  });
});

const fold = (objective: number, step = 1) => ({
  objective,
  bestTokens: 100 * objective,
  step,
  tokens: 10 * step,
  examples: step,
  elapsedSeconds: 1,
});

describe('folds', () => {
  it('count once each, and their mean is the objective', () => {
    const one = withFolds(owner(), [fold(1, 4)]);
    expect(one.trial).toMatchObject({ objective: 1, bestTokens: 100, folds: [fold(1, 4)] });
    expect(withFolds(one, [fold(1, 4)])).toBe(one);
    expect(withFolds(one, [])).toBe(one);
    // What was heard first stands.
    const two = withFolds(one, [fold(7), fold(4, 9)]);
    expect(two.trial).toMatchObject({ objective: 2.5, bestTokens: 250, folds: [fold(1, 4), fold(4, 9)] });
    expect(finished(two, { ...stoppedReport, objective: undefined, bestTokens: 0 }, now)).toMatchObject({
      attempt: { outcome: 'stopped' },
      trial: { objective: 2.5, bestTokens: 250, step: 9 },
    });
  });

  it('have objectives of their own until they have ended', () => {
    const { owner: heard, fresh } = measure(owner(), [{ ...at(5, 0.5), fold: 0 }], new Set());
    expect(fresh).toHaveLength(1);
    expect(heard.trial).toMatchObject({ objective: null, step: 5, tokens: 50 });
    expect(finished(heard, { ...stoppedReport, objective: undefined }, now)).toMatchObject({
      attempt: { outcome: 'stopped' },
      trial: { objective: null },
    });
  });

  it('that cannot be are named', () => {
    const wrong = () => checkReport([], [fold(1), { ...fold(Number.NaN), tokens: -1 }]);
    expect(wrong).toThrow(/folds\[1\]\.tokens: expected a number of at least 0, got -1/);
    expect(wrong).toThrow(/folds\[1\]\.objective: expected a finite number, got NaN/);
  });
});

const stoppedReport: FinalReport = {
  state: 'stopped',
  reason: '',
  objective: 9,
  bestTokens: 7,
  tokens: 8,
  step: 9,
  modelPrefix: 'm',
  tokensPerSecond: 3,
};

describe('the pruner', () => {
  const plan = planOf(
    experimentSpec({ earlyStopping: { name: 'threshold', settings: { upper: 5, warmUp: 2 } } }),
  );
  const curve = (...values: number[]) => ({
    number: 3,
    state: 'running' as const,
    parameters: {},
    points: values.map((value, i) => ({ examples: i + 1, values: [value] })),
  });

  it('stops a trial with its reason, once', () => {
    expect(judged(owner(), curve(9), [], plan, now).trial).toMatchObject({ judgement: null, judgedAt: 1 });
    const stopped = judged(owner(), curve(9, 9), [], plan, now);
    const reason = 'Pruned: threshold: objective 9 at 2 examples: expected at most 5';
    expect(stopped.trial).toMatchObject({ judgement: { decision: 'stop', reason, at: now }, judgedAt: 2 });
    expect(judged(stopped, curve(9, 9, 9), [], plan, now + 1)).toBe(stopped);
    expect(answer(stopped, '', now, 5).answer).toEqual({ directive: 'stop', reason });
    expect(finished(stopped, stoppedReport, now)).toMatchObject({
      attempt: { outcome: 'stopped', reason, endedAt: now },
      trial: { objective: 9, bestTokens: 7, tokens: 8, step: 9, modelPrefix: 'm', tokensPerSecond: 3 },
    });
  });

  it('judges folds until the last has ended', () => {
    const training = { folds: 3 };
    const byFolds = planOf(
      experimentSpec({ training, earlyStopping: { name: 'wilcoxon', settings: { pThreshold: 0.3 } } }),
    );
    const scored = (number: number, ...scores: number[]) => ({
      ...curve(),
      number,
      state: number === 3 ? ('running' as const) : ('succeeded' as const),
      folds: Object.fromEntries(scores.entries()),
    });
    const best = scored(1, 1, 2, 3);
    const after = (count: number) => owner({ trial: { folds: [fold(2), fold(3), fold(4)].slice(0, count) } });
    expect(judged(after(1), scored(3, 2), [best], byFolds, now).trial.judgement).toBeNull();
    expect(judged(after(2), scored(3, 2, 3), [best], byFolds, now).trial.judgement).toMatchObject({
      decision: 'stop',
      reason: 'Pruned: wilcoxon: mean 2.5 over 2 folds against 2 of trial 1, p = 0.25 over 2',
    });
    expect(judged(after(3), scored(3, 2, 3, 4), [best], byFolds, now)).toEqual(after(3));
  });

  it('leaves the final training alone', () => {
    const final = owner({ trial: { kind: 'final' } });
    expect(judged(final, curve(9, 9), [], plan, now)).toBe(final);
  });

  it('of the default ends a curve that has levelled out below another, as a whole trial', () => {
    const usual = planOf(experimentSpec());
    const flat = curve(...Array(6).fill(3));
    expect(judged(owner(), flat, [flat], usual, now).trial.judgement).toBeNull();
    const done = judged(owner(), flat, [flat, { ...curve(1), number: 4 }], usual, now);
    const reason = 'Converged: patience: no improvement in 5 measurements';
    expect(done.trial.judgement).toMatchObject({ decision: 'finish', reason });
    expect(finished(done, stoppedReport, now).attempt).toMatchObject({ outcome: 'succeeded', reason });
  });
});

it('a checkpoint is asked for until there is another one', () => {
  const asked = owner({ checkpointAsks: 1 });
  expect(answer(asked, 'c/1', now, 5)).toMatchObject({
    answer: { directive: 'checkpoint', reason: 'the experiment is paused' },
    attempt: { checkpointAsks: 0, checkpoint: 'c/1', leaseUntil: now + 5 },
  });
  expect(answer(asked, 'c/2', now, 5)).toMatchObject({
    answer: { directive: 'continue', reason: '' },
    attempt: { checkpointAsks: 1, checkpoint: 'c/2' },
  });
  const reason = 'Paused: asha: x';
  const pausing = owner({ trial: { judgement: { decision: 'pause', reason, at: now } } });
  expect(answer(pausing, '', now, 5).answer).toEqual({ directive: 'checkpoint', reason });
});
