/** What people ask of an experiment, and what becomes of it. Pure. */
import { FailedPrecondition, InvalidArgument, Violations } from '@emotune/base';
import type { tuning } from '@emotune/proto';
import { type Assignment, lineageOf, sameValues, type TrialRecord } from '@emotune/search';
import { abandonAll } from './decide.js';
import type { ImportedStudy } from './imported.js';
import { planOf, searchTokens } from './spec.js';
import { type Experiment, hasEnded, isOpen, searchTrials, type Taught, type Trial } from './state.js';
import { record, waitsFor } from './transitions.js';

/** Whether its trials go on from each other. */
const hasLineages = ({ plan }: Experiment) => lineageOf(plan.algorithm) !== undefined;

function assertSearching({ name, state }: Experiment, wish: string): void {
  if (state === 'finalizing' || hasEnded(state))
    throw new FailedPrecondition(`experiment ${name} is ${state}: its search is over, ${wish}`);
}

/** What runs goes on, but what it has done by now should not be lost. @throws FailedPrecondition */
export function paused(experiment: Experiment): Experiment {
  assertSearching(experiment, 'only one that waits or searches can be paused');
  if (experiment.state === 'paused') return experiment;
  const checkpointAsks = experiment.checkpointAsks + 1;
  return { ...experiment, state: 'paused', reason: 'paused on request', checkpointAsks };
}

/** @throws FailedPrecondition */
export function resumed(experiment: Experiment): Experiment {
  const { name, state, startedAt, plan } = experiment;
  if (hasEnded(state))
    throw new FailedPrecondition(`experiment ${name} is ${state}: it cannot be resumed; submit a new one`);
  if (state !== 'paused') return experiment;
  if (startedAt !== null) return { ...experiment, state: 'running', reason: '' };
  return { ...experiment, state: 'waiting', reason: waitsFor(plan) };
}

/** @throws FailedPrecondition */
export function cancelled(experiment: Experiment, now: number): Experiment {
  const { name, state } = experiment;
  if (state === 'succeeded' || state === 'failed')
    throw new FailedPrecondition(`experiment ${name} is ${state}: there is nothing left to cancel`);
  if (state === 'cancelled') return experiment;
  const over = { ...experiment, state: 'cancelled', reason: 'cancelled on request', endedAt: now } as const;
  // At once, whether or not a process carries experiments on now; one that does stops their jobs.
  return abandonAll(over).reduce<Experiment>((before, action) => record(before, action, now), over);
}

/**
 * After its sampler was taught trials from elsewhere.
 * @throws FailedPrecondition when nothing will be suggested any more.
 */
export function taught(experiment: Experiment, records: readonly TrialRecord[], now: number): Experiment {
  assertSearching(experiment, 'its sampler has nothing left to learn');
  if (hasLineages(experiment))
    throw new FailedPrecondition(
      `experiment ${experiment.name} searches by trials that go on from each other: those of other programs teach it nothing; enqueue their values`,
    );
  const lessons = records.map((lesson): Taught => ({ ...lesson, taughtAt: now }));
  return { ...experiment, history: [...lessons, ...experiment.history] };
}

/** With a trial of these values at its end. @throws FailedPrecondition when no trial can be added. */
export function enqueued(experiment: Experiment, parameters: Assignment, now: number): Experiment {
  assertSearching(experiment, 'no trial can be added');
  const { name, trials, plan } = experiment;
  const { maxTrials } = plan.limits;
  if (trials.length >= maxTrials)
    throw new FailedPrecondition(
      `experiment ${name} has its limits.maxTrials (${maxTrials}) trials already; "emotune experiment raise" gives it more`,
    );
  const totalTokens = searchTokens(plan.training);
  const given = { number: trials.length, kind: 'search', enqueued: true, parameters, totalTokens } as const;
  return record(experiment, { type: 'create-trial', ...given }, now);
}

/**
 * The trial of these values that waits, runs or was measured: another one would give the same result. One that failed may be
 * tried again by hand. Trials that go on from others give more than their values tell.
 */
function trialLike(experiment: Experiment, values: Assignment): Trial | undefined {
  const { plan, trials } = experiment;
  if (hasLineages(experiment)) return undefined;
  return searchTrials(trials).find(
    ({ state, parameters }) =>
      (isOpen({ state }) || state === 'succeeded' || state === 'stopped') &&
      sameValues(plan.space, parameters, values),
  );
}

/**
 * With a trial of these values at its end, unless one has them already; the number of either.
 * @throws FailedPrecondition when no trial can be added.
 */
export function withTrial(
  experiment: Experiment,
  values: Assignment,
  now: number,
): { readonly experiment: Experiment; readonly number: number; readonly added: boolean } {
  assertSearching(experiment, 'no trial can be added');
  const known = trialLike(experiment, values);
  if (known) return { experiment, number: known.number, added: false };
  return { experiment: enqueued(experiment, values, now), number: experiment.trials.length, added: true };
}

export interface Imported {
  readonly experiment: Experiment;
  /** Numbers of the new trials, best first. */
  readonly enqueued: readonly number[];
  /** Numbers of those that have the values of others. */
  readonly known: readonly number[];
}

/**
 * Taught by a study, and those of its best configurations that are new at its end, all or none.
 * @throws FailedPrecondition as `taught`, and where there is no room for all.
 */
export function withStudy(
  experiment: Experiment,
  { lessons, best }: Pick<ImportedStudy, 'lessons' | 'best'>,
  now: number,
): Imported {
  const learnt = lessons.length === 0 ? experiment : taught(experiment, lessons, now);
  const fresh = best.filter((values) => !trialLike(experiment, values));
  const { name, trials, plan } = experiment;
  const { maxTrials } = plan.limits;
  if (fresh.length > 1 && trials.length + fresh.length > maxTrials)
    throw new FailedPrecondition(
      `experiment ${name} has room for ${Math.max(0, maxTrials - trials.length)} of its limits.maxTrials (${maxTrials}) trials, got ${fresh.length} to enqueue: nothing was enqueued; "emotune experiment raise" gives it more`,
    );
  const after = fresh.reduce((before, values) => enqueued(before, values, now), learnt);
  return {
    experiment: after,
    enqueued: after.trials.slice(trials.length).map(({ number }) => number),
    known: best.flatMap((values) => trialLike(experiment, values)?.number ?? []),
  };
}

/**
 * With the limits that `wanted` names. A limit that is off (0) has no more to give.
 * @throws InvalidArgument naming every limit that would fall or cannot be; FailedPrecondition when the search is over.
 */
export function raised(experiment: Experiment, wanted: tuning.Limits): Experiment {
  assertSearching(experiment, 'its limits hold nothing up any more');
  const { spec, limits } = experiment.plan;
  const violations = new Violations();
  if (hasLineages(experiment) && wanted.maxTrials > limits.maxTrials)
    violations.add(
      'limits.maxTrials',
      `expected ${limits.maxTrials}, over whose generations schedule and stages are laid out, got ${wanted.maxTrials}`,
    );
  const entries = Object.entries(wanted).filter(([, value]) => value !== 0) as [
    keyof tuning.Limits,
    number,
  ][];
  for (const [name, value] of entries) {
    const present = limits[name];
    if (!(value >= present) || present === 0)
      violations.add(
        `limits.${name}`,
        present === 0
          ? `expected nothing, for there is no such limit, got ${value}`
          : `expected at least ${present}, the present limit, got ${value}`,
      );
  }
  violations.throwIfAny();
  if (entries.length === 0)
    throw InvalidArgument.at('limits', 'expected at least one limit to raise, got none');
  return { ...experiment, plan: planOf({ ...spec, limits: { ...limits, ...Object.fromEntries(entries) } }) };
}
