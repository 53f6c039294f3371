/** The environment of the inference service's process. */
import { availableParallelism } from 'node:os';
import { serviceEnvironment, whole } from '@emotune/service';
import { z } from 'zod';

export const inferenceEnvironment = serviceEnvironment(['tuning']).extend({
  EMOTUNE_THREADS: whole(0, 1024)
    .default(0)
    .transform((threads) => threads || availableParallelism())
    .meta({ description: 'Threads of a model; 0: as many as the machine has.' }),
  EMOTUNE_COMPUTE: z.enum(['fp32', 'fp16', 'int8']).default('fp32').meta({
    description:
      'How the linear layers of models are multiplied: `fp32`; `fp16`, half the memory; `int8`, faster, with answers that differ a little.',
  }),
  EMOTUNE_WAIT_SECONDS: whole(1, 86_400)
    .default(30)
    .meta({ description: 'A call is refused where others would keep it waiting longer.' }),
});
