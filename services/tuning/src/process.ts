/** The tuning service as a process, with trainers as its children. */
import { hubSettings } from '@emotune/hub';
import { inherited, ProcessRunner } from '@emotune/jobs';
import { storeVariables } from '@emotune/objects';
import { serve } from '@emotune/service';
import { tuningEnvironment } from './config.js';
import { tuningMigrations } from './migrations.js';
import { tuningModule } from './module.js';

await serve({
  area: 'tuning',
  environment: tuningEnvironment,
  migrations: tuningMigrations,
  open: (context, environment, address) => {
    const runner = ProcessRunner.open({
      folder: environment.EMOTUNE_JOBS_DIR,
      entry: environment.EMOTUNE_TRAINER,
      environment: { ...inherited(process.env), ...storeVariables(process.env) },
    });
    return {
      module: tuningModule({
        ...context,
        runner,
        address: environment.EMOTUNE_TUNING ?? address,
        hub: hubSettings(environment),
      }),
      // The next process of the service has its trainers.
      close: () => runner.detach(),
    };
  },
});
