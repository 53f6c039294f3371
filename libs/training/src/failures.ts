/** How a run can end other than well, and the exit code of the process for each. */
import { InvalidArgument, ResourceExhausted } from '@emotune/base';

/** What is wrong with a tensor that holds NaN or infinity. */
export const notFinite = 'not finite';

/** The loss, a weight or its gradient is no longer finite, or the loss is beyond all hope. */
export class Diverged extends Error {
  constructor(
    readonly step: number,
    readonly tensor: string,
    readonly what = notFinite,
  ) {
    super(`training diverged at step ${step}: ${tensor} is ${what}; lower the learning rate`);
    this.name = 'Diverged';
  }
}

/** Asked to stop; a checkpoint was written. */
export class Interrupted extends Error {
  constructor(readonly step: number) {
    super(`training was interrupted after step ${step}; run it again to go on from its checkpoint`);
    this.name = 'Interrupted';
  }
}

/** The checkpoint that a run was to go on from is missing or damaged. */
export class LostOrigin extends Error {
  constructor(what: string, options?: ErrorOptions) {
    super(`the run cannot go on from another's checkpoint: ${what}`, options);
    this.name = 'LostOrigin';
  }
}

/** INTERFACES: 42 out of memory, 43 invalid configuration, 44 diverged, 75 interrupted after a checkpoint, else 1. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof ResourceExhausted) return 42;
  if (error instanceof InvalidArgument) return 43;
  if (error instanceof Diverged) return 44;
  return error instanceof Interrupted ? 75 : 1;
}
