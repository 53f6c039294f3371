/** How a run can end other than well, and the exit code of the process for each. */
import { EmotuneError, type Ending, type ErrorPolicy, policyOf } from '@emotune/base';

/** What follows from how a run ended: the exit code of its process, and whether its parameters are to blame. */
export const endings: Record<Ending, { readonly exitCode: number; readonly infeasible: boolean }> = {
  OutOfMemory: { exitCode: 42, infeasible: true },
  InvalidConfiguration: { exitCode: 43, infeasible: true },
  Diverged: { exitCode: 44, infeasible: true },
  Interrupted: { exitCode: 75, infeasible: false },
  LostOrigin: { exitCode: 1, infeasible: false },
  Crashed: { exitCode: 1, infeasible: false },
};

/** What is wrong with a tensor that holds NaN or infinity. */
export const notFinite = 'not finite';

/** The loss, a weight or its gradient is no longer finite, or the loss is beyond all hope. */
export class Diverged extends EmotuneError {
  static override readonly policy: ErrorPolicy = { ...EmotuneError.policy, ending: 'Diverged' };

  constructor(
    readonly step: number,
    readonly tensor: string,
    readonly what = notFinite,
  ) {
    super(`training diverged at step ${step}: ${tensor} is ${what}; lower the learning rate`);
  }
}

/** Asked to stop; a checkpoint was written. */
export class Interrupted extends EmotuneError {
  static override readonly policy: ErrorPolicy = {
    ...EmotuneError.policy,
    exitCode: endings.Interrupted.exitCode,
    ending: 'Interrupted',
  };

  constructor(readonly step: number) {
    super(`training was interrupted after step ${step}; run it again to go on from its checkpoint`);
  }
}

/** The checkpoint that a run was to go on from is missing or damaged. */
export class LostOrigin extends EmotuneError {
  static override readonly policy: ErrorPolicy = { ...EmotuneError.policy, ending: 'LostOrigin' };

  constructor(what: string, options?: ErrorOptions) {
    super(`the run cannot go on from another's checkpoint: ${what}`, options);
  }
}

export function endingOf(error: unknown): Ending {
  // The runtime names no class for memory that it did not get.
  if (error instanceof RangeError && /allocation failed/i.test(error.message)) return 'OutOfMemory';
  return policyOf(error).ending;
}
