import { describe, expect, it } from 'vitest';
import { estimate, gpuHoursSpent, rateOf, ratesNow } from './cost.js';
import { planOf } from './spec.js';
import type { Experiment, Trial } from './state.js';
import { boundFeatures, experimentSpec } from './testing.js';
import { newTrial, record } from './transitions.js';

const hour = 3_600_000;
const now = 100 * hour;

function trial(number: number, hours: number, changes: Partial<Trial> = {}): Trial {
  const given = { number, kind: 'search', parameters: {}, totalTokens: 36_000, enqueued: false } as const;
  return {
    ...newTrial(given, now),
    state: 'succeeded',
    tokens: 36_000,
    objective: 1,
    attempts: [
      {
        number: 1,
        step: 9,
        checkpoint: '',
        checkpointAsks: 0,
        outcome: 'succeeded',
        reason: '',
        createdAt: now - hours * hour,
        begunAt: now - hours * hour,
        leaseUntil: now,
        endedAt: now,
      },
    ],
    ...changes,
  };
}

type Spec = Parameters<typeof experimentSpec>[0];

function experiment({ spec, ...changes }: Partial<Experiment> & { spec?: Spec } = {}): Experiment {
  return {
    name: 'run',
    state: 'running',
    reason: '',
    obstacle: '',
    shortage: () => '',
    features: boundFeatures,
    startedAt: now,
    bases: [],
    checkpointAsks: 0,
    createdAt: now,
    endedAt: null,
    trials: [],
    model: null,
    jobs: new Map(),
    history: [],
    curves: () => [],
    listeningSince: 0,
    leaseMs: 1,
    rates: new Map([['opt', { tokensPerSecond: 10, basis: 'measured', trials: 4 }]]),
    ...changes,
    plan: planOf(experimentSpec({ training: { trialTokens: 36_000 }, ...spec })),
  };
}

describe('throughput', () => {
  const known = [
    { model: 'a@1', parameters: 1e6, trials: 2, tokens: 3000, seconds: 10 },
    { model: 'b@1', parameters: 3e6, trials: 1, tokens: 1000, seconds: 10 },
  ];

  it('is that of the same base model, else of others by their parameters, else assumed', () => {
    const same = { tokensPerSecond: 300, basis: 'measured', trials: 2 };
    expect(rateOf({ model: 'a@1', parameters: 1e6 }, known)).toEqual(same);
    // (3000 · 1e6 + 1000 · 3e6) parameter-tokens in 20 s.
    const scaled = { tokensPerSecond: 150, basis: 'scaled', trials: 3 };
    expect(rateOf({ model: 'c@1', parameters: 2e6 }, known)).toEqual(scaled);
    const assumed = rateOf({ model: 'c@1', parameters: 4e6 }, []);
    expect(assumed).toMatchObject({ basis: 'assumed', trials: 0 });
    expect(assumed.tokensPerSecond).toBeCloseTo(1e11 / (6 * 4e6), 6);
  });

  it('is refined by the trials of the experiment', () => {
    expect(ratesNow(experiment()).get('opt')?.tokensPerSecond).toBe(10);
    // One prior trial of 3,600 s and one of 7,200 s for 36,000 tokens each.
    const refined = ratesNow(experiment({ trials: [trial(0, 2)] })).get('opt');
    expect(refined?.tokensPerSecond).toBeCloseTo(72_000 / 10_800, 9);
    const rates = new Map([['opt', { tokensPerSecond: 1, basis: 'assumed', trials: 0 } as const]]);
    const many = Array.from({ length: 50 }, (_, i) => trial(i, 2));
    // Within 2 %: the assumption weighs as much as a tenth of a trial that takes 100 of them.
    const settled = ratesNow(experiment({ rates, trials: many })).get('opt');
    expect(settled?.tokensPerSecond).toBeCloseTo(5, 0);
    expect(settled).toMatchObject({ basis: 'measured', trials: 50 });
  });
});

it('is expected as trials of earlier experiments took, for whose tokens and machine it was', () => {
  const taught = (number: number, cost?: number) => ({
    number,
    state: 'succeeded' as const,
    parameters: { learningRate: 1e-3 },
    objective: 1,
    ...(cost === undefined ? {} : { cost }),
  });
  const history = [taught(-3, 1), taught(-2, 3), taught(-1)];
  const known = { tokensPerSecond: 36_000 / 7200, basis: 'measured', trials: 2 };
  expect(ratesNow(experiment({ history })).get('opt')).toEqual(known);
  expect(ratesNow(experiment({ history: [taught(-1)] })).get('opt')?.tokensPerSecond).toBe(10);
  const later = experiment({ history, trials: [trial(0, 1)] });
  expect(ratesNow(later).get('opt')?.tokensPerSecond).toBeCloseTo(72_000 / (7200 + 3600), 9);
});

it('GPU-hours are those of all attempts, running ones until now, whatever the clock did', () => {
  const running = trial(1, 3, { state: 'running' });
  const open = { ...running.attempts[0], outcome: null, endedAt: null };
  const early = { ...open, number: 2, begunAt: now + hour };
  const trials = [trial(0, 2), { ...running, attempts: [open, early] }, trial(2, 9, { kind: 'final' })];
  expect(gpuHoursSpent(experiment({ trials, spec: { cost: { gpusPerTrial: 2 } } }), now)).toBe(2 * (2 + 3));
});

it('a job that waits for a node costs nothing, and says nothing of how fast trials are', () => {
  const waited = trial(0, 2);
  const [attempt] = waited.attempts;
  const queued = { ...waited, attempts: [{ ...attempt, createdAt: now - 9 * hour }] };
  const waiting = { ...attempt, outcome: null, endedAt: null, begunAt: null };
  const trials = [queued, trial(1, 0, { state: 'running', attempts: [waiting] })];
  expect(gpuHoursSpent(experiment({ trials }), now)).toBe(2);
  expect(ratesNow(experiment({ trials }))).toEqual(ratesNow(experiment({ trials: [waited] })));
});

it('a trial costs nothing while nobody carries it on, and no trainer runs', () => {
  const running = trial(0, 3, { state: 'running' });
  const left = { ...running.attempts[0], outcome: null, endedAt: null, leaseUntil: now - hour };
  const open = experiment({ trials: [{ ...running, attempts: [left] }] });
  expect(gpuHoursSpent(open, now)).toBe(2);
  const lost = {
    type: 'end-attempt',
    trial: 0,
    attempt: 1,
    outcome: 'lost',
    reason: 'Evicted: gone',
  } as const;
  const ended = record(open, lost, now);
  expect(ended.trials[0].attempts[0].endedAt).toBe(now - hour);
  expect(gpuHoursSpent(ended, now + hour)).toBe(2);
});

describe('an estimate', () => {
  const of = (spec: Spec, trials: Trial[] = []) =>
    estimate(
      experiment({ spec: { training: { trialTokens: 36_000, finalScale: 2 }, ...spec }, trials }),
      now,
    );

  it('counts trials, hours and waves', () => {
    const spec = { limits: { maxTrials: 12, parallelTrials: 4 }, cost: { gpusPerTrial: 2 } };
    expect(of(spec)).toMatchObject({
      trials: 12,
      tokens: 12 * 36_000,
      gpuHours: 24,
      seconds: 3 * 3600,
      finalGpuHours: 4,
      basis: 'measured',
      measuredTrials: 4,
      limitedBy: 'limits.maxTrials',
    });
  });

  it('with folds is of as many trainings a trial, and of one for the winner', () => {
    const training = { trialTokens: 36_000, finalScale: 2, folds: 5 };
    expect(of({ limits: { maxTrials: 12 }, training })).toMatchObject({
      trials: 12,
      tokens: 12 * 5 * 36_000,
      gpuHours: 60,
      seconds: 60 * 3600,
      finalGpuHours: 2,
    });
    expect(of({ limits: { maxTrials: 12, maxTokens: 36_000 * 12 }, training }).trials).toBe(2);
    expect(of({ limits: { maxTrials: 12, maxGpuHours: 12 }, training }).trials).toBe(2);
  });

  it('is cut by the limit that comes first', () => {
    const cut = (limits: object) => {
      const { trials, limitedBy } = of({
        limits: { maxTrials: 12, ...limits },
        cost: { pricePerGpuHour: 2 },
      });
      return [trials, limitedBy];
    };
    expect(cut({ maxGpuHours: 5 })).toEqual([5, 'limits.maxGpuHours']);
    expect(cut({ maxGpuHours: 5, maxCost: 6 })).toEqual([3, 'limits.maxCost']);
    expect(cut({ maxTokens: 36_000 * 2.5 })).toEqual([2, 'limits.maxTokens']);
    // The trial that runs when the time is over runs on.
    expect(cut({ maxDurationSeconds: 3600 * 3.5 })).toEqual([4, 'limits.maxDurationSeconds']);
  });

  it('is of what is left', () => {
    const half = trial(1, 0.5, { state: 'running', tokens: 18_000 });
    const { trials, gpuHours, tokens } = of({ limits: { maxTrials: 4 } }, [trial(0, 1), half]);
    expect([trials, tokens]).toEqual([3, 36_000 * 2.5]);
    expect(gpuHours).toBeCloseTo(2.5, 9);
  });
});
