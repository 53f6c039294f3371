import type { JobStatus } from '@emotune/jobs';
import type { Assignment } from '@emotune/search';
import { describe, expect, it } from 'vitest';
import { type Action, decide, outcomeOf, ranking } from './decide.js';
import { planOf } from './spec.js';
import type { Attempt, Experiment, Trial } from './state.js';
import { boundFeatures, experimentSpec } from './testing.js';
import { advance } from './transitions.js';

const now = 1_000_000;
const leaseMs = 30_000;

const plan = (changes: Parameters<typeof experimentSpec>[0] = {}) => planOf(experimentSpec(changes));

function attempt(number: number, changes: Partial<Attempt> = {}): Attempt {
  return {
    number,
    step: -1,
    checkpoint: '',
    checkpointAsks: 0,
    createdAt: now - 60_000,
    leaseUntil: now + 10_000,
    outcome: null,
    reason: '',
    endedAt: changes.outcome ? now - 50_000 : null,
    ...changes,
  };
}

function trial(number: number, changes: Partial<Trial> = {}): Trial {
  return {
    number,
    kind: 'search',
    state: 'running',
    reason: '',
    parameters: { learningRate: 1e-3 * (number + 1) },
    enqueued: false,
    objective: null,
    folds: [],
    step: 0,
    tokens: 0,
    totalTokens: 1000,
    bestTokens: 0,
    tokensPerSecond: 0,
    modelPrefix: '',
    origin: null,
    originTokens: 0,
    keepsCheckpoint: false,
    examples: 0,
    judgedAt: 0,
    judgement: null,
    createdAt: now - 70_000,
    startedAt: null,
    endedAt: null,
    attempts: [attempt(1)],
    ...changes,
  };
}

const done = (number: number, objective: number, changes: Partial<Trial> = {}) =>
  trial(number, {
    state: 'succeeded',
    objective,
    step: 10,
    tokens: 1000,
    bestTokens: 800,
    attempts: [attempt(1, { outcome: 'succeeded' })],
    ...changes,
  });
const failed = (number: number, reason = 'Crashed: exit code 1') =>
  trial(number, { state: 'failed', reason, attempts: [attempt(1, { outcome: 'failed', reason })] });
const queued = (number: number, parameters: Assignment = { learningRate: 2e-3 }) =>
  trial(number, { state: 'queued', enqueued: true, parameters, attempts: [] });

function job(trial: number, attempt: number, changes: Partial<JobStatus> = {}): JobStatus {
  return { name: `run-t${trial}-a${attempt}`, labels: {}, phase: 'running', ...changes };
}

/** By default a job runs for each attempt that does. */
function experiment(changes: Partial<Omit<Experiment, 'jobs'>> & { jobs?: JobStatus[] } = {}): Experiment {
  const trials = changes.trials ?? [];
  const running = trials.flatMap((t) =>
    t.attempts.filter((a) => a.outcome === null).map((a) => job(t.number, a.number)),
  );
  const { jobs = running, ...rest } = changes;
  return {
    name: 'run',
    plan: plan(),
    state: 'running',
    features: boundFeatures,
    bases: [],
    checkpointAsks: 0,
    createdAt: 0,
    reason: '',
    obstacle: '',
    shortage: () => '',
    startedAt: now - 100_000,
    endedAt: null,
    history: [],
    rates: new Map(),
    curves: () => [],
    trials,
    model: null,
    listeningSince: 0,
    leaseMs,
    ...rest,
    jobs: new Map(jobs.map((j) => [j.name, j])),
  };
}

const types = (actions: readonly Action[]) => actions.map(({ type }) => type);

describe('a job in a queue', () => {
  const waiting = (waits: string, changes: Parameters<typeof attempt>[1] = {}, reason = '') =>
    decide(
      experiment({
        trials: [trial(0, { reason, attempts: [attempt(1, changes)] })],
        jobs: [job(0, 1, { phase: 'queued', ...(waits === '' ? {} : { waits }) })],
        plan: plan({ limits: { maxTrials: 1 } }),
      }),
      now,
    );
  const unplaced = 'Unschedulable: 0/3 nodes are available';

  it('says what it waits for, once, and loses no lease', () => {
    const silent = { leaseUntil: now - 1 };
    expect(waiting(unplaced, silent)).toEqual([{ type: 'explain', trial: 0, reason: unplaced }]);
    expect(waiting(unplaced, silent, unplaced)).toEqual([{ type: 'wait', obstacle: unplaced }]);
    expect(waiting('', silent, unplaced)).toContainEqual({ type: 'explain', trial: 0, reason: '' });
  });

  it('is no obstacle while its turn has not come', () => {
    expect(waiting('Queued: Job suspended', {}, 'Queued: Job suspended')).toEqual([]);
  });

  it('is ended, not forgotten, when nobody wants it any more', () => {
    const over = attempt(1, { outcome: 'cancelled', endedAt: now - 1 });
    const actions = decide(
      experiment({
        trials: [trial(0, { state: 'cancelled', attempts: [over] })],
        jobs: [job(0, 1, { phase: 'queued' })],
      }),
      now,
    );
    expect(actions).toContainEqual(expect.objectContaining({ type: 'stop-job', job: 'run-t0-a1' }));
    expect(types(actions)).not.toContain('remove-job');
  });

  it('keeps the next attempt back', () => {
    const over = attempt(1, { outcome: 'lost', reason: 'LostLease: x', endedAt: now - 100_000 });
    const actions = decide(
      experiment({
        trials: [trial(0, { attempts: [over] })],
        jobs: [job(0, 1, { phase: 'queued' })],
        plan: plan({ limits: { maxTrials: 1 } }),
      }),
      now,
    );
    expect(types(actions)).not.toContain('start-attempt');
  });
});
const only = (actions: readonly Action[]): Action => {
  expect(actions).toHaveLength(1);
  return actions[0];
};

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

describe('an attempt', () => {
  const ended = (outcome: Attempt['outcome'], reason: string) => ({
    type: 'end-attempt',
    trial: 0,
    attempt: 1,
    outcome,
    reason,
  });
  const of = (a: Partial<Attempt>, jobs: JobStatus[], changes: Partial<Experiment> = {}) =>
    decide(experiment({ ...changes, trials: [trial(0, { attempts: [attempt(1, a)] })], jobs } as never), now);

  it.each<[string, Partial<JobStatus>, Attempt['outcome'], RegExp]>([
    ['exit 42', { phase: 'failed', exitCode: 42 }, 'infeasible', /^OutOfMemory: /],
    ['exit 43', { phase: 'failed', exitCode: 43 }, 'infeasible', /^InvalidConfiguration: /],
    ['exit 44', { phase: 'failed', exitCode: 44 }, 'infeasible', /^Diverged: /],
    ['exit 75', { phase: 'failed', exitCode: 75 }, 'interrupted', /^Interrupted: /],
    ['a lost node', { phase: 'failed', cause: 'NodeLost' }, 'interrupted', /^Evicted: /],
    ['exit 1', { phase: 'failed', exitCode: 1 }, 'failed', /^Crashed: /],
    ['no image', { phase: 'failed', cause: 'ErrImagePull' }, 'interrupted', /^ImagePull: /],
    ['a kill', { phase: 'failed', exitCode: 137 }, 'lost', /^Killed: /],
    ['no report', { phase: 'succeeded', exitCode: 0 }, 'lost', /^NoReport: /],
  ])('ends with its job: %s', (_, status, outcome, reason) => {
    expect(of({}, [job(0, 1, status)])).toEqual([
      { ...ended(outcome, ''), reason: expect.stringMatching(reason) },
    ]);
  });

  it('is lost when its lease ran out, but not for the time that nobody listened', () => {
    expect(of({ leaseUntil: now - 1 }, [job(0, 1)])).toEqual([
      ended('lost', 'LostLease: no heartbeat came for 30 s'),
    ]);
    expect(of({ leaseUntil: now + 1 }, [job(0, 1)])).toEqual([]);
    expect(of({ leaseUntil: now - 500_000 }, [job(0, 1)], { listeningSince: now - 1000 })).toEqual([]);
  });

  it('is lost when its job is gone, but may take its time to show up', () => {
    expect(of({}, [])).toEqual([ended('lost', 'LostJob: its job is gone')]);
    expect(of({ createdAt: now - 1000 }, [])).toEqual([]);
  });

  it('is not lost while others are started, however long that takes', () => {
    const started = advance(experiment({ trials: [queued(0), queued(1)] }), now).experiment;
    expect([...started.jobs.keys()]).toEqual(['run-t0-a1']);
    expect(decide(started, now + 600_000).map(({ type }) => type)).not.toContain('end-attempt');
    const asked = { ...started, jobs: new Map() };
    expect(decide(asked, now + 600_000)).toContainEqual(ended('lost', 'LostJob: its job is gone'));
  });
});

describe('a trial', () => {
  const attempts = (...outcomes: [Attempt['outcome'], string?][]) =>
    outcomes.map(([outcome, reason = 'LostLease: x'], i) => attempt(i + 1, { outcome, reason }));
  const of = (list: readonly Attempt[], jobs: JobStatus[] = []) =>
    decide(experiment({ trials: [trial(0, { attempts: list })], jobs }), now);

  it('ends with an attempt that succeeded, stopped or showed that the parameters cannot work', () => {
    for (const outcome of ['succeeded', 'stopped', 'infeasible'] as const)
      expect(of(attempts([outcome, 'OutOfMemory: x']))).toEqual([
        { type: 'end-trial', trial: 0, state: outcome, reason: 'OutOfMemory: x' },
      ]);
  });

  it('is tried again after a crash or a loss, up to maxAttempts', () => {
    expect(of(attempts(['failed']))).toEqual([{ type: 'start-attempt', trial: 0, attempt: 2 }]);
    expect(of(attempts(['failed'], ['lost']))).toEqual([{ type: 'start-attempt', trial: 0, attempt: 3 }]);
    expect(of(attempts(['failed'], ['lost'], ['failed', 'Crashed: exit code 1']))).toEqual([
      { type: 'end-trial', trial: 0, state: 'failed', reason: 'Crashed: exit code 1 (3 attempts)' },
    ]);
  });

  it('is not charged for interruptions', () => {
    const many = attempts(...Array.from({ length: 9 }, (): ['interrupted'] => ['interrupted']), ['lost']);
    expect(of(many)).toEqual([{ type: 'start-attempt', trial: 0, attempt: 11 }]);
  });

  it('has a budget of interruptions that bring it no further', () => {
    const few = plan({ limits: { maxInterruptions: 3 } });
    const end = (...steps: number[]) => {
      const left = { outcome: 'interrupted', reason: 'ImagePull: x' } as const;
      const attempts = steps.map((step, i) => attempt(i + 1, { ...left, step }));
      return decide(experiment({ plan: few, trials: [trial(0, { attempts })], jobs: [] }), now);
    };
    // The first may be anywhere; later ones have to come further.
    expect(end(5, 6, 7, 8, 9)).toEqual([{ type: 'start-attempt', trial: 0, attempt: 6 }]);
    expect(end(-1, -1)).toEqual([{ type: 'start-attempt', trial: 0, attempt: 3 }]);
    expect(end(7, 7, 3, -1)).toEqual([
      { type: 'end-trial', trial: 0, state: 'failed', reason: 'ImagePull: x (3 interruptions)' },
    ]);
  });

  describe('that was judged', () => {
    const judged = (
      decision: 'finish' | 'stop' | 'pause',
      a: Partial<Attempt>,
      changes: Partial<Trial> = {},
    ) => {
      const judgement = { decision, reason: 'Pruned: asha: x', at: now - 1000 };
      const only = trial(0, { judgement, objective: 2, attempts: [attempt(1, a)], ...changes });
      return decide(experiment({ trials: [only] }), now);
    };
    const stop = { type: 'stop-job', job: 'run-t0-a1', graceSeconds: 120 };

    it('has its job stopped when it is to be paused, or does not obey', () => {
      expect(judged('pause', {})).toEqual([stop]);
      expect(judged('stop', {})).toEqual([]);
      const judgement = { decision: 'stop', reason: 'Pruned: x', at: now - 121_000 } as const;
      expect(judged('stop', {}, { judgement })).toEqual([stop]);
    });

    it('ends as it was judged, however its attempt left, and waits at a rung', () => {
      for (const outcome of ['interrupted', 'lost', 'failed'] as const) {
        const end = { type: 'end-trial', reason: 'Pruned: asha: x' };
        expect(judged('stop', { outcome })).toMatchObject([{ ...end, state: 'stopped' }]);
        expect(judged('finish', { outcome })).toMatchObject([{ ...end, state: 'succeeded' }]);
        expect(judged('pause', { outcome })).toEqual([{ type: 'pause-trial', trial: 0 }]);
      }
      const unmeasured = judged('finish', { outcome: 'lost' }, { objective: null });
      expect(unmeasured).toMatchObject([{ state: 'stopped' }]);
    });
  });

  it('that is paused goes on when it is promoted, and is pruned when the search is over', () => {
    const asha = plan({
      limits: { maxTrials: 2 },
      earlyStopping: {
        name: 'asha',
        settings: { minExamples: 10, warmUp: 0, reductionFactor: 2 },
        variant: 'promote',
        compareAll: true,
      },
    });
    const trials = [0, 1].map((number) =>
      trial(number, {
        state: 'paused',
        objective: 1 + number,
        attempts: [attempt(1, { outcome: 'interrupted' })],
      }),
    );
    const curves = [0, 1].map((number) => ({
      number,
      state: 'paused' as const,
      parameters: {},
      points: [{ examples: 10, values: [1 + number] }],
    }));
    const of = (known: typeof curves) =>
      decide(experiment({ plan: asha, trials, curves: () => known, jobs: [] }), now);
    expect(of(curves)).toEqual([{ type: 'start-attempt', trial: 0, attempt: 2 }]);
    const end = {
      type: 'end-trial',
      state: 'stopped',
      reason: 'Pruned: it never was among the best of its rung',
    };
    expect(of([])).toEqual([
      { ...end, trial: 0 },
      { ...end, trial: 1 },
    ]);
  });

  it('waits before another attempt, longer each time, and for the trainer before', () => {
    const soon = (n: number, ago: number) =>
      of([
        ...attempts(...Array(n - 1).fill(['interrupted'])),
        attempt(n, { outcome: 'lost', endedAt: now - ago }),
      ]);
    expect(soon(1, 400)).toEqual([]);
    expect(soon(1, 600)).toHaveLength(1);
    expect(soon(4, 3900)).toEqual([]);
    expect(soon(4, 4100)).toHaveLength(1);
    expect(types(of(attempts(['lost']), [job(0, 1)]))).toEqual(['stop-job']);
  });
});

describe('jobs', () => {
  const of = (a: Partial<Attempt>, status: Partial<JobStatus>, changes: Partial<Trial> = {}) =>
    decide(
      experiment({
        state: 'paused',
        trials: [done(0, 1, { attempts: [attempt(1, a)], ...changes })],
        jobs: [job(0, 1, status)],
      }),
      now,
    );

  it('are forgotten when they have ended', () => {
    expect(of({ outcome: 'succeeded' }, { phase: 'succeeded' })).toEqual([
      { type: 'remove-job', job: 'run-t0-a1' },
    ]);
  });

  it('are stopped when their attempt is over and they do not end', () => {
    const stop = [{ type: 'stop-job', job: 'run-t0-a1', graceSeconds: 5 }];
    expect(of({ outcome: 'succeeded', endedAt: now - 1000 }, {})).toEqual([]);
    expect(of({ outcome: 'succeeded', endedAt: now - 31_000 }, {})).toEqual(stop);
    expect(of({ outcome: 'lost', endedAt: now }, {})).toEqual(stop);
    expect(of({ outcome: 'cancelled', endedAt: now }, {})).toEqual(stop);
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
        attempts: [attempt(1, { createdAt: now - hours * hour })],
      });
    expect(types(of({ maxGpuHours: 4 }, begun(0, 0.5)))).toEqual(['create-trial']);
    expect(of({ maxGpuHours: 3.9 }, begun(0, 0.5))).toEqual([]);
    expect(types(of({ maxCost: 12 }, begun(0, 0.5)))).toEqual(['create-trial']);
    expect(of({ maxCost: 11.7 }, begun(0, 0.5))).toEqual([]);
    const reason = 'LimitReached: limits.maxGpuHours (1) are used up';
    expect(of({ maxGpuHours: 1 }, begun(0, 0.5), begun(1, 0.1))).toEqual(
      [0, 1].map((n) => ({ type: 'judge', trial: n, judgement: { decision: 'stop', reason } })),
    );
    const ended = attempt(1, { createdAt: now - hour, endedAt: now, outcome: 'succeeded' });
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

describe('trials that go on from each other', () => {
  const lineages = (maxTrials = 6) =>
    plan({
      searchAlgorithm: { name: 'pbt', settings: { population: 2 } },
      limits: { maxTrials, parallelTrials: 2 },
      training: { trialTokens: 3000 },
    });
  const kept = { keepsCheckpoint: true, totalTokens: 3000, tokens: 3000, bestTokens: 3000 };
  const decided = (trials: Trial[], changes: Parameters<typeof experiment>[0] = {}) =>
    decide(experiment({ plan: lineages(), trials, ...changes }), now);

  it('are created with their origin, and the tokens of their lineage before them', () => {
    expect(decided([])).toMatchObject([{ type: 'create-trial', number: 0 }]);
    const generation = [done(0, 2, kept), done(1, 1, kept)];
    // One of two is best and one worst: the first goes on from the second, whose own successor keeps its values.
    const [{ parameters, ...first }] = decided(generation) as Extract<Action, { type: 'create-trial' }>[];
    expect(first).toMatchObject({ number: 2, totalTokens: 3000, origin: 1, originTokens: 3000 });
    expect(parameters).not.toEqual(generation[1].parameters);
    const second = decided([
      ...generation,
      done(2, 3, { ...kept, origin: 1, originTokens: 3000, parameters }),
    ]);
    expect(second).toMatchObject([
      { number: 3, origin: 1, originTokens: 3000, parameters: generation[1].parameters },
    ]);
    const third = [
      ...generation,
      done(2, 3, { ...kept, origin: 1, originTokens: 3000 }),
      done(3, 0.5, { ...kept, origin: 1, originTokens: 3000 }),
    ];
    expect(decided(third)).toContainEqual(
      expect.objectContaining({ type: 'create-trial', number: 4, origin: 3, originTokens: 6000 }),
    );
  });

  it('wait for the generation before, and for nobody who will not come', () => {
    expect(decided([done(0, 2, kept), trial(1, kept)])).toEqual([]);
    const lost = failed(1, 'LostLease: gone');
    expect(decided([done(0, 2, kept), lost])).toMatchObject([{ type: 'create-trial', number: 2 }]);
    const own = done(0, 2, kept);
    expect(decided([own, trial(1, { ...kept, state: 'infeasible', attempts: [] })])).toContainEqual(
      expect.objectContaining({ number: 2, origin: 0, parameters: own.parameters }),
    );
  });

  it('keep their checkpoints until nobody can go on from them', () => {
    const cleared = (trials: Trial[], changes: Parameters<typeof experiment>[0] = {}) =>
      decided(trials, changes).flatMap((action) =>
        action.type === 'clear-checkpoints' ? [action.trial] : [],
      );
    const first = [done(0, 1, kept), done(1, 2, kept)];
    expect(cleared(first)).toEqual([]);
    const open = { ...kept, origin: 1, originTokens: 3000 };
    // The second generation is not whole yet.
    expect(cleared([...first, done(2, 3, open), trial(3, open)])).toEqual([]);
    // It is: trial 0 is still the best, trial 1 nobody's any more, unless somebody's attempt has yet to begin from it.
    const second = [...first, done(2, 3, open), done(3, 4, open)];
    expect(cleared(second)).toEqual([1]);
    expect(cleared([...second, trial(4, { ...open, origin: 1 })])).toEqual([]);
    expect(cleared(second.with(1, done(1, 2, { ...kept, keepsCheckpoint: false })))).toEqual([]);
    expect(cleared(second, { jobs: [job(1, 1)] })).toEqual([]);
    // What came to nothing is no origin.
    expect(cleared([...first, { ...failed(2), keepsCheckpoint: true }])).toEqual([2]);
    // No other generation follows.
    expect(cleared(second, { plan: lineages(4) })).toEqual([1, 2, 3]);
    expect(cleared(second, { state: 'paused' })).toEqual([1]);
    expect(cleared(second, { state: 'cancelled' })).toEqual([0, 1, 2, 3]);
  });

  it('end with the best one, whose weights are the model', () => {
    const trials = [done(0, 2, kept), done(1, 1, { ...kept, origin: 0, originTokens: 9000 })];
    const finalizing = { plan: lineages(3), state: 'finalizing' } as const;
    const [created] = decided(trials, finalizing).filter(({ type }) => type === 'create-trial');
    expect(created).toEqual({
      type: 'create-trial',
      number: 2,
      kind: 'final',
      parameters: trials[1].parameters,
      totalTokens: 0,
      origin: 1,
      originTokens: 12_000,
    });
  });
});
