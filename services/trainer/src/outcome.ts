/** What an error means for the trial: told to the tuning service, and to the runner by the exit code. */
import { InvalidArgument, ResourceExhausted } from '@emotune/base';
import { tuning } from '@emotune/proto';
import { Diverged, exitCodeOf, Interrupted, LostOrigin } from '@emotune/training';

const { TRIAL_STATE_FAILED, TRIAL_STATE_INFEASIBLE } = tuning.TrialState;

export interface Failure {
  readonly exitCode: number;
  /** Absent for an interruption: the trial goes on with its next attempt. */
  readonly report?: {
    readonly state: typeof TRIAL_STATE_FAILED | typeof TRIAL_STATE_INFEASIBLE;
    readonly reason: string;
  };
}

/** A full disk is the machine's fault, not that of the parameters. */
function isFullDisk(error: ResourceExhausted): boolean {
  const { code } = (error.cause ?? {}) as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT';
}

function isOutOfMemory(error: unknown): boolean {
  if (error instanceof ResourceExhausted) return !isFullDisk(error);
  return error instanceof RangeError && /allocation failed/i.test(error.message);
}

export function failureOf(error: unknown): Failure {
  if (error instanceof Interrupted) return { exitCode: exitCodeOf(error) };
  const message = error instanceof Error ? error.message : String(error);
  const infeasible = (exitCode: number, word: string): Failure => ({
    exitCode,
    report: { state: TRIAL_STATE_INFEASIBLE, reason: `${word}: ${message}` },
  });
  if (isOutOfMemory(error)) return infeasible(42, 'OutOfMemory');
  if (error instanceof InvalidArgument) return infeasible(43, 'InvalidConfiguration');
  if (error instanceof Diverged) return infeasible(44, 'Diverged');
  const word = error instanceof LostOrigin ? 'LostOrigin' : 'Crashed';
  return { exitCode: 1, report: { state: TRIAL_STATE_FAILED, reason: `${word}: ${message}` } };
}
