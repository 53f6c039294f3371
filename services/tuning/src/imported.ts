/** Trials of other programs as records for the sampler. Pure. */
import { fieldPath, InvalidArgument, show, type Violation } from '@emotune/base';
import { tuning } from '@emotune/proto';
import { parseAssignment, type TrialRecord } from '@emotune/search';
import type { Plan } from './spec.js';
import { plainValues } from './values.js';

const { TrialState } = tuning;

/** Of all that an experiment is taught from outside. */
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
  const violations: Violation[] = [];
  const before = Math.min(0, ...known.map(({ number }) => number));
  const records = trials.flatMap((trial, i): TrialRecord[] => {
    const { parameters, objective, step, reason } = trial;
    const path = ['trials', i];
    const wrong = (field: string, description: string) =>
      violations.push({ field: fieldPath([...path, field]), description });
    const state = states[trial.state as keyof typeof states];
    if (!state) wrong('state', `expected ${Object.keys(states).join(', ')}, got ${trial.state}`);
    const measured = state !== 'infeasible';
    if (measured && !Number.isFinite(objective))
      wrong('objective', `expected a finite number, got ${show(objective)}`);
    try {
      const values = parseAssignment(space, plainValues(parameters), [...path, 'parameters']);
      const number = before - trials.length + i;
      if (!state) return [];
      return [
        { number, state, reason, parameters: values, step, ...(measured ? { objective: objective! } : {}) },
      ];
    } catch (error) {
      if (!(error instanceof InvalidArgument)) throw error;
      violations.push(...error.violations);
      return [];
    }
  });
  if (violations.length > 0) throw new InvalidArgument(violations);
  return records;
}
