/** How a run can end other than well. */
import { EmotuneError, type Ending, type ErrorPolicy, endingExitCodes, policyOf } from '@emotune/base';

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
    exitCode: endingExitCodes.Interrupted,
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

/** Another rank of the run is gone, or does not do the same. `ending`: what its own run has come to. */
export class LostRank extends EmotuneError {
  constructor(
    message: string,
    private readonly ending: Ending = 'Crashed',
  ) {
    super(message);
  }

  override get policy(): ErrorPolicy {
    const { ending } = this;
    return { ...EmotuneError.policy, exitCode: endingExitCodes[ending], tellsUser: true, ending };
  }
}

export function endingOf(error: unknown): Ending {
  // The runtime names no class for memory that it did not get.
  if (error instanceof RangeError && /allocation failed/i.test(error.message)) return 'OutOfMemory';
  return policyOf(error).ending;
}
