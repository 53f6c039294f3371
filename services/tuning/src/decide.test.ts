import type { JobStatus } from '@emotune/jobs';
import { describe, expect, it } from 'vitest';
import { decide, outcomeOf, ranking } from './decide.js';
import type { Attempt, Experiment, Trial } from './state.js';
import {
  attempt,
  done,
  experiment,
  failed,
  job,
  now,
  only,
  plan,
  queued,
  trial,
  types,
} from './test-situation.js';
import { boundFeatures } from './testing.js';

describe('waiting for features', () => {
  it.each([
    [{ state: 'waiting' } as const, []],
    [boundFeatures, [{ type: 'enter', state: 'running', reason: '' }]],
    [
      { state: 'failed', reason: 'no rows' } as const,
      [{ type: 'finish', state: 'failed', reason: 'its features failed: no rows' }],
    ],
  ])('%o', (features, want) => {
    expect(decide(experiment({ state: 'waiting', features, startedAt: null }), now)).toEqual(want);
  });

  it('a paused experiment fails with its features and otherwise stays', () => {
    const paused = { state: 'paused', startedAt: null } as const;
    expect(decide(experiment({ ...paused, features: boundFeatures }), now)).toEqual([]);
    expect(types(decide(experiment({ ...paused, features: { state: 'failed', reason: 'x' } }), now))).toEqual(
      ['finish'],
    );
  });
});

describe('what stands in the way outside of it', () => {
  const full = 'DiskFull: /data: the disk is full (ENOSPC)';
  const after = (reason: string, times: number, endedAt = now - 60_000) =>
    Array.from({ length: times }, (_, i) =>
      attempt(i + 1, { outcome: 'interrupted', reason, endedAt, step: 3 }),
    );
  const of = (attempts: Attempt[], changes: Parameters<typeof experiment>[0] = {}) =>
    decide(experiment({ trials: [trial(0, { attempts })], ...changes }), now);

  it.each([full, 'Damaged: models/m/v1/model.safetensors: expected 4 bytes'])(
    'uses up no attempt, however often (%s), and is what the experiment says until its trainer runs again',
    (reason) => {
      expect(of(after(reason, 50))).toEqual([
        { type: 'wait', obstacle: reason },
        { type: 'start-attempt', trial: 0, attempt: 51 },
      ]);
      expect(of(after(reason, 50, now - 5_000), { obstacle: reason })).toEqual([]);
      expect(of([...after(reason, 50), attempt(51)], { obstacle: reason })).toEqual([
        { type: 'wait', obstacle: '' },
      ]);
    },
  );

  it('lets no trial start for which there is no space, and says how much it waits for', () => {
    const short = 'DiskFull: trial 0 waits for 12 MiB more of space';
    const shortage = ({ number }: Pick<Trial, 'number'>) => (number === 0 ? short : '');
    const waiting = { trials: [queued(0)], shortage };
    expect(decide(experiment(waiting), now)).toEqual([{ type: 'wait', obstacle: short }]);
    expect(decide(experiment({ ...waiting, obstacle: short }), now)).toEqual([]);
    expect(decide(experiment({ trials: [queued(0)], obstacle: short }), now)).toEqual([
      { type: 'wait', obstacle: '' },
      { type: 'start-attempt', trial: 0, attempt: 1 },
    ]);
    expect(of(after(full, 2), { shortage })).toEqual([{ type: 'wait', obstacle: short }]);
  });
});

describe('the next trial', () => {
  it('is suggested while fewer run than parallelTrials', () => {
    const two = plan({ limits: { parallelTrials: 2 } });
    expect(types(decide(experiment({ plan: two }), now))).toEqual(['create-trial']);
    expect(types(decide(experiment({ plan: two, trials: [trial(0)] }), now))).toEqual(['create-trial']);
    expect(decide(experiment({ plan: two, trials: [trial(0), trial(1)] }), now)).toEqual([]);
  });

  it('takes the next number, the values that the history implies and the planned tokens', () => {
    const trials = [done(0, 2), failed(1)];
    const action = only(decide(experiment({ trials }), now));
    expect(action).toMatchObject({ number: 2, kind: 'search', totalTokens: 100_000 });
    expect(only(decide(experiment({ trials }), now))).toEqual(action);
  });

  it('is an enqueued one first', () => {
    expect(decide(experiment({ trials: [done(0, 2), queued(1), queued(2)] }), now)).toEqual([
      { type: 'start-attempt', trial: 1, attempt: 1 },
    ]);
  });

  it('is the declared defaults before any suggestion, also after enqueued ones', () => {
    const withDefault = plan({
      parameters: [
        {
          name: 'learningRate',
          double: { min: 1e-5, max: 1e-2, log: true, step: 0 },
          default: 3e-4,
          condition: undefined,
        },
      ],
    });
    const first = only(decide(experiment({ plan: withDefault }), now));
    expect(first).toMatchObject({ parameters: { learningRate: 3e-4 } });
    const afterQueued = done(0, 1, { enqueued: true });
    expect(only(decide(experiment({ plan: withDefault, trials: [afterQueued] }), now))).toMatchObject({
      parameters: { learningRate: 3e-4 },
    });
    const second = only(decide(experiment({ plan: withDefault, trials: [done(0, 1)] }), now));
    expect(second).not.toMatchObject({ parameters: { learningRate: 3e-4 } });
  });

  it('does not start while paused; what runs goes on and is retried', () => {
    expect(decide(experiment({ state: 'paused', trials: [done(0, 1), queued(1)] }), now)).toEqual([]);
    const lost = trial(0, { attempts: [attempt(1, { outcome: 'lost', reason: 'LostJob: gone' })] });
    expect(decide(experiment({ state: 'paused', trials: [lost] }), now)).toEqual([
      { type: 'start-attempt', trial: 0, attempt: 2 },
    ]);
  });
});

describe('limits', () => {
  it('maxTrials counts failed trials too', () => {
    const three = plan({ limits: { maxTrials: 3 } });
    const trials = [done(0, 1), failed(1), done(2, 3)];
    expect(only(decide(experiment({ plan: three, trials }), now))).toMatchObject({
      type: 'enter',
      state: 'finalizing',
      reason: 'trial 0 won; it is trained on train + validation',
    });
    expect(decide(experiment({ plan: three, trials: [done(0, 1), failed(1), trial(2)] }), now)).toEqual([]);
  });

  it('maxDurationSeconds starts nothing more, lets what runs end and cancels what waits', () => {
    const short = plan({ limits: { maxDurationSeconds: 100 } });
    const at = (startedAt: number, trials: Trial[]) =>
      decide(experiment({ plan: short, startedAt, trials }), now);
    expect(types(at(now - 99_000, [done(0, 1)]))).toEqual(['create-trial']);
    expect(at(now - 100_000, [done(0, 1), trial(1), queued(2)])).toEqual([]);
    expect(at(now - 100_000, [done(0, 1), queued(1)])).toMatchObject([
      {
        type: 'end-trial',
        trial: 1,
        state: 'cancelled',
        reason: expect.stringContaining('maxDurationSeconds'),
      },
      { type: 'enter', state: 'finalizing' },
    ]);
  });

  it('a search whose further trials promise less than the error of an objective is over, and says so', () => {
    const few = { error: 0.1, minTrials: 12 };
    // Flat around the best trial: there is nothing left to find.
    const flat = Array.from({ length: 14 }, (_, i) =>
      done(i, 1 + 0.001 * (i - 6) ** 2, { parameters: { learningRate: 10 ** (-5 + i / 5) } }),
    );
    const of = (termination: object | undefined, trials: Trial[]) =>
      decide(experiment({ plan: plan({ limits: { maxTrials: 50 }, termination } as never), trials }), now);
    const [end] = of(few, flat);
    expect(end).toMatchObject({
      type: 'enter',
      state: 'finalizing',
      reason: expect.stringMatching(
        /^further trials are expected to improve the objective by at most [\d.e-]+, less than the error of its estimate, 0\.1; trial 6 won; /,
      ),
    });
    expect(types(of(undefined, flat))).toEqual(['create-trial']);
    expect(types(of({ ...few, error: 1e-9 }, flat))).toEqual(['create-trial']);
    expect(types(of(few, flat.slice(0, 11)))).toEqual(['create-trial']);
    // What runs goes on, what a person asked for is done.
    expect(of(few, [...flat, trial(14)])).toEqual([]);
    expect(of(few, [...flat, queued(14)])).toEqual([{ type: 'start-attempt', trial: 14, attempt: 1 }]);
  });

  it('maxTokens counts what was trained on and what running trials will train on', () => {
    const small = plan({ limits: { maxTokens: 3000, parallelTrials: 4 }, training: { trialTokens: 1000 } });
    const of = (...trials: Trial[]) => types(decide(experiment({ plan: small, trials }), now));
    expect(of(done(0, 1), trial(1))).toEqual(['create-trial']);
    expect(of(done(0, 1), trial(1), trial(2))).toEqual([]);
    // A trial that stopped early leaves its tokens to others.
    expect(of(done(0, 1, { tokens: 400 }), done(1, 1, { tokens: 600 }), trial(2))).toEqual(['create-trial']);
    expect(of(done(0, 1), done(1, 2), done(2, 3, { tokens: 10 }))).toEqual(['enter']);
  });

  it('maxGpuHours and maxCost start nothing that is not expected to fit, and stop what runs once they are used up', () => {
    const hour = 3_600_000;
    const rates = new Map([['opt', { tokensPerSecond: 10, basis: 'measured', trials: 1 }] as const]);
    // 36,000 tokens at 10 a second: an hour for each of two GPUs.
    const of = (limits: object, ...trials: Trial[]) => {
      const training = { trialTokens: 36_000 };
      const cost = { gpusPerTrial: 2, pricePerGpuHour: 3 };
      const hourly = plan({ limits: { parallelTrials: 4, ...limits }, training, cost });
      return decide(experiment({ plan: hourly, trials, rates }), now);
    };
    const begun = (number: number, hours: number) =>
      trial(number, {
        totalTokens: 36_000,
        tokens: 36_000 * hours,
        attempts: [attempt(1, { begunAt: now - hours * hour })],
      });
    expect(types(of({ maxGpuHours: 4 }, begun(0, 0.5)))).toEqual(['create-trial']);
    expect(of({ maxGpuHours: 3.9 }, begun(0, 0.5))).toEqual([]);
    expect(types(of({ maxCost: 12 }, begun(0, 0.5)))).toEqual(['create-trial']);
    expect(of({ maxCost: 11.7 }, begun(0, 0.5))).toEqual([]);
    const reason = 'LimitReached: limits.maxGpuHours (1) are used up';
    expect(of({ maxGpuHours: 1 }, begun(0, 0.5), begun(1, 0.1))).toEqual(
      [0, 1].map((n) => ({ type: 'judge', trial: n, judgement: { decision: 'stop', reason } })),
    );
    const ended = attempt(1, { begunAt: now - hour, endedAt: now, outcome: 'succeeded' });
    expect(types(of({ maxCost: 1 }, done(0, 1, { attempts: [ended] })))).toEqual(['enter']);
  });

  it('maxFailedTrials ends the experiment with the commonest reason; infeasible trials do not count', () => {
    const one = plan({ limits: { maxFailedTrials: 1 } });
    const infeasible = [1, 2, 3].map((n) => trial(n, { state: 'infeasible', reason: 'OutOfMemory: x' }));
    expect(
      types(decide(experiment({ plan: one, trials: [failed(0), ...infeasible], jobs: [] }), now)),
    ).toEqual(['create-trial']);
    expect(
      only(decide(experiment({ plan: one, trials: [failed(0), failed(1, 'Crashed: exit code 2')] }), now)),
    ).toEqual({
      type: 'finish',
      state: 'failed',
      reason: '2 trials failed, more than limits.maxFailedTrials (1); 2 of 2 with: Crashed: exit code 2',
    });
  });

  it('a search without any objective fails and says why', () => {
    const two = plan({ limits: { maxTrials: 2 } });
    const trials = [0, 1].map((n) =>
      trial(n, {
        state: 'infeasible',
        reason: 'Diverged: at step 3',
        attempts: [attempt(1, { outcome: 'infeasible' })],
      }),
    );
    expect(only(decide(experiment({ plan: two, trials }), now))).toEqual({
      type: 'finish',
      state: 'failed',
      reason: 'no trial has an objective; 2 of 2 with: Diverged: at step 3',
    });
  });
});

it('the ranking is by objective, whole trials before stopped ones', () => {
  const trials = [
    done(0, 3),
    done(1, 1, { state: 'stopped', step: 5 }),
    failed(2),
    done(3, 2),
    done(4, Number.NaN),
    trial(5, { objective: 0.1 }),
    done(6, 0.5, { kind: 'final' }),
  ];
  expect(ranking(trials).map(({ number }) => number)).toEqual([3, 0, 1]);
});

describe('finalizing', () => {
  const search = [done(0, 2), done(1, 1, { bestTokens: 800 })];
  const at = (final: Partial<Trial> | null, model: Experiment['model'] = null) =>
    decide(
      experiment({
        state: 'finalizing',
        plan: plan({ training: { finalScale: 1.5 } }),
        trials: final ? [...search, trial(2, { kind: 'final', ...final })] : search,
        model,
      }),
      now,
    );
  const success = { state: 'succeeded', attempts: [attempt(1, { outcome: 'succeeded' })] } as const;

  it('trains the winner for the tokens at its best point, scaled', () => {
    expect(at(null)).toEqual([
      {
        type: 'create-trial',
        number: 2,
        kind: 'final',
        parameters: search[1].parameters,
        totalTokens: 1200,
      },
    ]);
    expect(at({ state: 'queued', attempts: [] })).toEqual([{ type: 'start-attempt', trial: 2, attempt: 1 }]);
    expect(at({})).toEqual([]);
    expect(at({ attempts: [attempt(1, { outcome: 'lost' })] })).toEqual([
      { type: 'start-attempt', trial: 2, attempt: 2 },
    ]);
  });

  it('fails when the final training does', () => {
    for (const state of ['failed', 'infeasible'] as const)
      expect(at({ state, reason: 'OutOfMemory: x', attempts: [attempt(1, { outcome: 'failed' })] })).toEqual([
        { type: 'finish', state: 'failed', reason: 'the final training failed: OutOfMemory: x' },
      ]);
  });

  it('stores the model, waits for its evaluation, registers it, succeeds', () => {
    const id = 'run@abc';
    expect(at(success)).toEqual([{ type: 'store-model', trial: 2 }]);
    expect(at(success, { id, state: 'trained', evaluation: null })).toEqual([]);
    expect(at(success, { id, state: 'trained', evaluation: { failure: '' } })).toEqual([
      { type: 'register-model' },
    ]);
    expect(at(success, { id, state: 'registered', evaluation: { failure: '' } })).toEqual([
      { type: 'finish', state: 'succeeded', reason: '' },
    ]);
    expect(at(success, { id, state: 'registered', evaluation: { failure: 'no test rows' } })).toEqual([
      {
        type: 'finish',
        state: 'succeeded',
        reason: 'run@abc is registered without metrics: its evaluation failed: no test rows',
      },
    ]);
  });
});

it('an ended experiment gives up its open trials and starts nothing', () => {
  for (const state of ['cancelled', 'failed'] as const)
    expect(decide(experiment({ state, trials: [done(0, 1), trial(1), queued(2)] }), now)).toEqual([
      {
        type: 'end-attempt',
        trial: 1,
        attempt: 1,
        outcome: 'cancelled',
        reason: 'Cancelled: the experiment has ended',
      },
      { type: 'end-trial', trial: 1, state: 'cancelled', reason: 'Cancelled: the experiment has ended' },
      { type: 'end-trial', trial: 2, state: 'cancelled', reason: 'Cancelled: the experiment has ended' },
    ]);
});

it('outcomeOf takes a trainer by its word where that can be', () => {
  const report = { state: 'succeeded', reason: '', objective: 1, modelPrefix: '' } as const;
  const table: [Trial['kind'], Partial<Parameters<typeof outcomeOf>[1]>, string, string][] = [
    ['search', {}, 'succeeded', ''],
    ['search', { objective: 0 }, 'succeeded', ''],
    ['search', { objective: undefined }, 'failed', 'NoReport: the trainer ended without an objective'],
    ['search', { objective: Number.NaN }, 'infeasible', 'Diverged: the objective is NaN'],
    ['search', { objective: Infinity }, 'infeasible', 'Diverged: the objective is Infinity'],
    ['search', { objective: -Infinity }, 'failed', 'BrokenObjective: a loss of -Infinity cannot be'],
    ['search', { state: 'stopped' }, 'stopped', ''],
    ['search', { state: 'stopped', objective: undefined }, 'stopped', ''],
    ['search', { state: 'infeasible', reason: 'OutOfMemory: x' }, 'infeasible', 'OutOfMemory: x'],
    ['search', { state: 'failed', reason: 'OutOfMemory: x' }, 'infeasible', 'OutOfMemory: x'],
    ['search', { state: 'failed', reason: 'Evicted: x' }, 'interrupted', 'Evicted: x'],
    ['search', { state: 'failed', reason: 'LostJob: x' }, 'failed', 'LostJob: x'],
    ['search', { state: 'failed', reason: 'something' }, 'failed', 'something'],
    ['final', { objective: undefined, modelPrefix: 'm' }, 'succeeded', ''],
    ['final', {}, 'failed', 'NoReport: the final training ended without a model'],
    ['final', { state: 'stopped', modelPrefix: 'm' }, 'failed', 'NoReport: the final training ended early'],
  ];
  for (const [kind, changes, outcome, reason] of table)
    expect(outcomeOf({ kind, judgement: null }, { ...report, ...changes })).toEqual({ outcome, reason });
});

it('checkpoints go as soon as their trial has ended and no trainer writes any more, where none goes on from another', () => {
  const kept = { keepsCheckpoint: true };
  const cleared = (trials: Trial[], jobs: JobStatus[] = []) =>
    decide(experiment({ plan: plan({ limits: { maxTrials: 9 } }), trials, jobs }), now).flatMap((action) =>
      action.type === 'clear-checkpoints' ? [action.trial] : [],
    );
  const trials = [
    done(0, 1, kept),
    done(1, 2, { ...kept, state: 'stopped' }),
    { ...failed(2), ...kept },
    trial(3, { ...kept, state: 'cancelled' }),
    trial(4, { ...kept, state: 'paused' }),
    trial(5, { ...kept, attempts: [{ ...attempt(1), outcome: 'interrupted', reason: 'Interrupted: left' }] }),
    trial(6, kept),
  ];
  expect(cleared(trials)).toEqual([0, 1, 2, 3]);
  expect(cleared(trials, [job(3, 1), job(1, 1)])).toEqual([0, 2]);
  expect(cleared(trials.map((ended) => ({ ...ended, keepsCheckpoint: false })))).toEqual([]);
});
