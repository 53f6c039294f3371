/** The featurization service as a process. */
import { serve } from '@emotune/service';
import { augmentationSources, featurizationEnvironment } from './config.js';
import { featurizationMigrations } from './feature-sets.js';
import { featurizationModule } from './module.js';

await serve({
  area: 'featurization',
  environment: featurizationEnvironment,
  migrations: featurizationMigrations,
  open: (context, environment) => ({
    module: featurizationModule({ ...context, augmentation: augmentationSources(environment) }),
  }),
});
