/** How a trainer process ends: loaded first, and with next to nothing. */
import { writeFileSync } from 'node:fs';
import { endingExitCodes } from '@emotune/base';
import { terminationLogOf } from '@emotune/jobs';

/** Leaves word of the exit code, which is that of an interruption where there is none yet. */
export function leave(
  exitCode: number = endingExitCodes.Interrupted,
  environment: Readonly<Record<string, string | undefined>>,
): number {
  const file = terminationLogOf(environment);
  try {
    if (file !== undefined) writeFileSync(file, String(exitCode));
  } catch {
    // Who started it knows the exit code, or sees only that it has ended.
  }
  return exitCode;
}
