import type { TrialRunner } from '@emotune/jobs';
import type { ServiceContext } from '@emotune/service';

export interface TuningContext extends ServiceContext {
  readonly runner: TrialRunner;
  /** host:port where trainers reach this service. */
  readonly address: string;
  /** The container image of trainers, where the runner starts containers. */
  readonly image?: string;
  /** A trainer that is silent for this long has lost its trial; default 30. */
  readonly leaseSeconds?: number;
  /** Arguments of Node.js for threads; default: those of the process. */
  readonly threadArguments?: readonly string[];
}
