/** What an error means for the trial: told to the tuning service, and to the runner by the exit code. */
import { tuning } from '@emotune/proto';
import { endingOf, endings } from '@emotune/training';

const { TRIAL_STATE_FAILED, TRIAL_STATE_INFEASIBLE } = tuning.TrialState;

export interface Failure {
  readonly exitCode: number;
  /** Absent for an interruption: the trial goes on with its next attempt. */
  readonly report?: {
    readonly state: typeof TRIAL_STATE_FAILED | typeof TRIAL_STATE_INFEASIBLE;
    readonly reason: string;
  };
}

export function failureOf(error: unknown): Failure {
  const ending = endingOf(error);
  const { exitCode, infeasible } = endings[ending];
  if (ending === 'Interrupted') return { exitCode };
  const message = error instanceof Error ? error.message : String(error);
  const state = infeasible ? TRIAL_STATE_INFEASIBLE : TRIAL_STATE_FAILED;
  return { exitCode, report: { state, reason: `${ending}: ${message}` } };
}
