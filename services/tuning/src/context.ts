import type { HubSettings } from '@emotune/hub';
import type { TrialRunner } from '@emotune/jobs';
import type { ServiceContext } from '@emotune/service';

/** What models need. */
export interface ModelContext extends ServiceContext {
  /** Where models of the Hub come from. */
  readonly hub: HubSettings;
}

export interface TuningContext extends ModelContext {
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
