/** Trials of other programs as records for the sampler. Pure. */
import { InvalidArgument, show, Violations } from '@emotune/base';
import { tuning } from '@emotune/proto';
import { parseAssignment, type TrialRecord } from '@emotune/search';
import type { Plan } from './spec.js';
import { plainValues } from './values.js';

const { TrialState } = tuning;

/** Trials that an experiment is taught from outside, at most and in all. */
const mostRecords = 10_000;

const states = {
  [TrialState.TRIAL_STATE_SUCCEEDED]: 'succeeded',
  [TrialState.TRIAL_STATE_STOPPED]: 'stopped',
  [TrialState.TRIAL_STATE_INFEASIBLE]: 'infeasible',
} as const;

/**
 * Numbered below those of `known`, whose numbers are below 0: older than all of them.
 * @throws InvalidArgument with every violation and its path.
 */
export function importedRecords(
  { space }: Plan,
  trials: readonly tuning.ImportedTrial[],
  known: readonly TrialRecord[],
): TrialRecord[] {
  const room = mostRecords - known.length;
  if (trials.length > room)
    throw InvalidArgument.at(
      'trials',
      `expected at most ${room} beside the ${known.length} known, got ${trials.length}`,
    );
  const violations = new Violations();
  const before = Math.min(0, ...known.map(({ number }) => number));
  const records = trials.flatMap((trial, i): TrialRecord[] => {
    const { parameters, objective, step, reason } = trial;
    const path = ['trials', i];
    const wrong = (field: string, description: string) => violations.add([...path, field], description);
    const state = states[trial.state as keyof typeof states];
    if (!state) wrong('state', `expected ${Object.keys(states).join(', ')}, got ${trial.state}`);
    const measured = state !== 'infeasible';
    if (measured && !Number.isFinite(objective))
      wrong('objective', `expected a finite number, got ${show(objective)}`);
    const values = violations.collect(() =>
      parseAssignment(space, plainValues(parameters), [...path, 'parameters']),
    );
    if (!state || !values) return [];
    const number = before - trials.length + i;
    return [
      { number, state, reason, parameters: values, step, ...(measured ? { objective: objective! } : {}) },
    ];
  });
  violations.throwIfAny();
  return records;
}
