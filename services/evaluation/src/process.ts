/** The evaluation service as a process. */
import { serve } from '@emotune/service';
import { evaluationEnvironment, pageSettingsOf } from './config.js';
import { evaluationMigrations } from './evaluations.js';
import { evaluationModule } from './module.js';

await serve({
  area: 'evaluation',
  environment: evaluationEnvironment,
  migrations: evaluationMigrations,
  open: (context, environment) => ({
    module: evaluationModule({
      ...context,
      threads: environment.EMOTUNE_THREADS,
      page: pageSettingsOf(environment),
    }),
  }),
});
