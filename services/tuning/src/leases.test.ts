import { expect, it } from 'vitest';
import { enqueued } from './commands.js';
import { Leases } from './leases.js';
import { planOf } from './spec.js';
import type { Attempt, Experiment } from './state.js';
import { experimentSpec } from './testing.js';
import { newExperiment } from './transitions.js';

const leaseMs = 30_000;
const twoHours = 7_200_000;

/** An experiment with a trial whose attempt has a lease until then, by the clock of whoever wrote it. */
function running(leaseUntil: number, outcome: Attempt['outcome'] = null): Experiment {
  const empty = { ...newExperiment(planOf(experimentSpec()), [], [], 0), leaseMs };
  const { trials } = enqueued(empty, { learningRate: 0.001 }, 0);
  const attempt: Attempt = {
    ...{ number: 1, step: 0, checkpoint: '', checkpointAsks: 0, createdAt: 0, begunAt: 0 },
    ...{ leaseUntil, outcome, reason: '', endedAt: null },
  };
  return { ...empty, trials: [{ ...trials[0], state: 'running', attempts: [attempt] }] };
}

const leaseOf = ({ trials }: Experiment) => trials[0].attempts[0].leaseUntil;

it.each([0, twoHours, -twoHours])(
  'a lease ends a lease after its renewal was seen, where its writer is %i ms ahead',
  (ahead) => {
    const leases = new Leases();
    const at = (now: number, leaseUntil: number) => leaseOf(leases.watched(running(leaseUntil + ahead), now));
    expect(at(1_000, 31_000)).toBe(31_000);
    // Not renewed: it runs out.
    expect(at(20_000, 31_000)).toBe(31_000);
    expect(at(40_000, 31_000)).toBe(31_000);
    // Renewed, also by a writer whose clock was set back meanwhile.
    expect(at(41_000, 61_000)).toBe(71_000);
    expect(at(42_000, 61_000 - twoHours)).toBe(72_000);
  },
);

it('one who begins to watch gives each a whole lease, and leaves those of attempts that have ended', () => {
  expect(leaseOf(new Leases().watched(running(5), 100_000))).toBe(130_000);
  expect(leaseOf(new Leases().watched(running(5, 'lost'), 100_000))).toBe(5);
});

it('a lease stands still while the job waits in a queue', () => {
  const leases = new Leases();
  const of = (phase: 'queued' | 'running') => {
    const experiment = running(31_000);
    const name = `${experiment.name}-t0-a1`;
    return { ...experiment, jobs: new Map([[name, { name, labels: {}, phase }]]) };
  };
  expect(leaseOf(leases.watched(of('queued'), 1_000))).toBe(31_000);
  expect(leaseOf(leases.watched(of('queued'), 500_000))).toBe(530_000);
  expect(leaseOf(leases.watched(of('running'), 510_000))).toBe(530_000);
});

it('no lease ends by a report that has come and waits', () => {
  const leases = new Leases();
  expect(leaseOf(leases.watched(running(31_000), 1_000, 0))).toBe(31_000);
  expect(leaseOf(leases.watched(running(31_000), 40_000, 25_000))).toBe(56_000);
  // It is answered, and was of another trial.
  expect(leaseOf(leases.watched(running(31_000), 41_000, 0))).toBe(31_000);
});
