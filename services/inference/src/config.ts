/** The environment of the inference service's process. */
import { availableParallelism } from 'node:os';
import { serviceEnvironment, whole } from '@emotune/service';

export const inferenceEnvironment = serviceEnvironment(['tuning']).extend({
  EMOTUNE_THREADS: whole(0, 1024)
    .default(0)
    .transform((threads) => threads || availableParallelism())
    .meta({ description: 'Threads of a model; 0: as many as the machine has.' }),
});
