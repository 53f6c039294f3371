/** The data service as a process. */
import { hubSettings } from '@emotune/hub';
import { serve } from '@emotune/service';
import { dataEnvironment } from './config.js';
import { dataMigrations } from './datasets.js';
import { dataModule } from './module.js';

await serve({
  area: 'data',
  environment: dataEnvironment,
  migrations: dataMigrations,
  open: (context, environment) => ({
    module: dataModule({
      ...context,
      hub: hubSettings(environment),
      locate: {
        corporaDir: environment.EMOTUNE_CORPORA,
        cacheDir: environment.EMOTUNE_CACHE_DIR,
        download: environment.EMOTUNE_DOWNLOAD,
      },
    }),
  }),
});
