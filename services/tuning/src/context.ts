import type { Election } from '@emotune/database';
import type { HubSettings } from '@emotune/hub';
import type { TrialRunner } from '@emotune/jobs';
import type { ServiceContext } from '@emotune/service';
import type { OnApplicationShutdown } from '@nestjs/common';
import type { Experiments } from './experiments.js';

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
  /** The variables by which trainers trace; without, they do not. */
  readonly tracing?: Record<string, string> | undefined;
  /** A trainer that is silent for this long has lost its trial; default 30. */
  readonly leaseSeconds?: number;
  /** Chooses which of the service's processes does what one alone does; without, a lock in the database does. */
  readonly election?: Election;
  /** Keeps experiments at one with something outside, while the service runs. */
  readonly keeper?: (context: TuningContext, experiments: Experiments) => OnApplicationShutdown;
  /** Arguments of Node.js for threads; default: those of the process. */
  readonly threadArguments?: readonly string[];
}
