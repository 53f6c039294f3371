/** What an error means for the trial: told to the tuning service, and to the runner by the exit code. */
import { endingExitCodes } from '@emotune/base';
import { meaningOf } from '@emotune/jobs';
import { tuning } from '@emotune/proto';
import { endingOf } from '@emotune/training';

const { TRIAL_STATE_FAILED, TRIAL_STATE_INFEASIBLE } = tuning.TrialState;

export interface Failure {
  readonly exitCode: number;
  /** Absent for an interruption on request: the trial goes on with its next attempt. */
  readonly report?: {
    readonly state: typeof TRIAL_STATE_FAILED | typeof TRIAL_STATE_INFEASIBLE;
    readonly reason: string;
  };
}

export function failureOf(error: unknown): Failure {
  const ending = endingOf(error);
  const exitCode = endingExitCodes[ending];
  const { blames, interrupts, waits } = meaningOf(ending);
  if (interrupts && !waits) return { exitCode };
  const message = error instanceof Error ? error.message : String(error);
  const state = blames === 'parameters' ? TRIAL_STATE_INFEASIBLE : TRIAL_STATE_FAILED;
  return { exitCode, report: { state, reason: `${ending}: ${message}` } };
}
