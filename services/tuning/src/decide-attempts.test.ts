/** What is decided of trials that are under way: their jobs, attempts, ends. */
import type { JobStatus } from '@emotune/jobs';
import { describe, expect, it } from 'vitest';
import { decide } from './decide.js';
import type { Attempt, Experiment, Trial } from './state.js';
import { attempt, done, experiment, job, now, plan, queued, trial, types } from './test-situation.js';
import { advance } from './transitions.js';

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
