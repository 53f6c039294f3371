/** The inference service as a process. */
import { serve } from '@emotune/service';
import { inferenceEnvironment } from './config.js';
import { inferenceMigrations, inferenceModule } from './module.js';

await serve({
  area: 'inference',
  environment: inferenceEnvironment,
  migrations: inferenceMigrations,
  open: (context, environment) => ({
    module: inferenceModule({
      ...context,
      threads: environment.EMOTUNE_THREADS,
      baseCompute: environment.EMOTUNE_COMPUTE,
      waitSeconds: environment.EMOTUNE_WAIT_SECONDS,
    }),
  }),
});
