/** What people ask of an experiment, and what becomes of it. Pure. */
import { FailedPrecondition, InvalidArgument, show, Violations } from '@emotune/base';
import type { tuning } from '@emotune/proto';
import { type ExperimentState, hasEnded } from './state.js';

interface Situation {
  readonly name: string;
  readonly state: ExperimentState;
  readonly reason: string;
  /** The search has begun. */
  readonly begun: boolean;
  /** Its trials go on from each other. */
  readonly lineages: boolean;
  readonly features: string;
}

type Change = Pick<Situation, 'state' | 'reason'>;

function assertSearching({ name, state }: Situation, wish: string): void {
  if (state === 'finalizing' || hasEnded(state))
    throw new FailedPrecondition(`experiment ${name} is ${state}: its search is over, ${wish}`);
}

/** @throws FailedPrecondition */
export function paused(situation: Situation): Change {
  assertSearching(situation, 'only one that waits or searches can be paused');
  const { state, reason } = situation;
  return state === 'paused' ? { state, reason } : { state: 'paused', reason: 'paused on request' };
}

/** @throws FailedPrecondition */
export function resumed({ name, state, reason, begun, features }: Situation): Change {
  if (hasEnded(state))
    throw new FailedPrecondition(`experiment ${name} is ${state}: it cannot be resumed; submit a new one`);
  if (state !== 'paused') return { state, reason };
  if (begun) return { state: 'running', reason: '' };
  return { state: 'waiting', reason: `waits for the feature set ${show(features)}` };
}

/** @throws FailedPrecondition */
export function cancelled({ name, state, reason }: Situation): Change {
  if (state === 'succeeded' || state === 'failed')
    throw new FailedPrecondition(`experiment ${name} is ${state}: there is nothing left to cancel`);
  return state === 'cancelled' ? { state, reason } : { state: 'cancelled', reason: 'cancelled on request' };
}

/** @throws FailedPrecondition when nothing will be suggested any more. */
export function assertTeachable(situation: Situation): void {
  assertSearching(situation, 'its sampler has nothing left to learn');
  if (situation.lineages)
    throw new FailedPrecondition(
      `experiment ${situation.name} searches by trials that go on from each other: those of other programs teach it nothing; enqueue their values`,
    );
}

/** @throws FailedPrecondition when no trial can be added. */
export function assertRoom(situation: Situation, trials: number, { maxTrials }: tuning.Limits): void {
  assertSearching(situation, 'no trial can be added');
  if (trials >= maxTrials)
    throw new FailedPrecondition(
      `experiment ${situation.name} has its limits.maxTrials (${maxTrials}) trials already; "emotune experiment raise" gives it more`,
    );
}

/**
 * The limits with those that `wanted` names. A limit that is off (0) has no more to give.
 * @throws InvalidArgument naming every limit that would fall; FailedPrecondition when the search is over.
 */
export function raised(situation: Situation, limits: tuning.Limits, wanted: tuning.Limits): tuning.Limits {
  assertSearching(situation, 'its limits hold nothing up any more');
  const violations = new Violations();
  if (situation.lineages && wanted.maxTrials > limits.maxTrials)
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
  return { ...limits, ...Object.fromEntries(entries) };
}
