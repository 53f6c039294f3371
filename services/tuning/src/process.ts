/** The tuning service as a process, with trainers as its children or as Jobs of a cluster. */

import { hostname } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { systemClock } from '@emotune/base';
import { hubSettings } from '@emotune/hub';
import { inherited, ProcessRunner, type TrialRunner } from '@emotune/jobs';
import { storeVariables } from '@emotune/objects';
import { type Log, serve, tracingVariables } from '@emotune/service';
import type { z } from 'zod';
import { tuningEnvironment } from './config.js';
import type { TuningContext } from './context.js';
import { tuningMigrations } from './migrations.js';
import { tuningModule } from './module.js';

// Else V8 collects what is long-lived once it is four times what was in use: with many trials, hundreds of MiB of garbage.
setFlagsFromString('--heap-growing-percent=30');

type Environment = z.output<typeof tuningEnvironment>;

async function openRunner(environment: Environment, log: Log): Promise<TrialRunner> {
  if (environment.EMOTUNE_RUNNER === 'process')
    return ProcessRunner.open({
      folder: environment.EMOTUNE_JOBS_DIR!,
      entry: environment.EMOTUNE_TRAINER!,
      environment: { ...inherited(process.env), ...storeVariables(process.env) },
    });
  // Its client takes its time, and memory, to load.
  const { KubernetesRunner, readJobTemplate } = await import('@emotune/jobs/kubernetes');
  const file = environment.EMOTUNE_K8S_JOB_TEMPLATE;
  return KubernetesRunner.open({
    namespace: environment.EMOTUNE_K8S_NAMESPACE,
    image: environment.EMOTUNE_K8S_TRAINER_IMAGE!,
    ...(file === undefined ? {} : { template: readJobTemplate(file) }),
    onFailure: (what, error) => log.warn(what, { error }),
  });
}

/** What tuning does with the cluster itself, beside the Jobs of trials. */
async function clusterOf(
  environment: Environment,
  log: Log,
): Promise<Pick<TuningContext, 'election' | 'keeper'>> {
  if (environment.EMOTUNE_RUNNER === 'process' && !environment.EMOTUNE_K8S_EXPERIMENTS) return {};
  const { clusterPlace, LeaseElection, ownPod } = await import('@emotune/jobs/kubernetes');
  const { ExperimentObjects } = await import('./experiment-objects.js');
  const place = clusterPlace({ namespace: environment.EMOTUNE_K8S_NAMESPACE }, systemClock);
  const pod = ownPod();
  const election = new LeaseElection({
    ...{ api: place.api, clock: systemClock },
    namespace: pod?.namespace ?? place.namespace,
    prefix: environment.EMOTUNE_K8S_LEASES,
    identity: pod?.name ?? `${hostname()}-${process.pid}`,
    // Goes last of a release.
    owner: pod && { apiVersion: 'v1', kind: 'ServiceAccount', ...pod.serviceAccount },
    tell: (message, fields) => log.info(message, fields),
    onFailure: (what, error) => log.error(what, { error }),
  });
  return {
    election,
    ...(environment.EMOTUNE_K8S_EXPERIMENTS && {
      keeper: (context, experiments) => new ExperimentObjects(context, experiments, place),
    }),
  };
}

await serve({
  area: 'tuning',
  environment: tuningEnvironment,
  migrations: tuningMigrations,
  open: async (context, environment, address) => {
    const runner = await openRunner(environment, context.log);
    return {
      module: tuningModule({
        ...context,
        runner,
        address: environment.EMOTUNE_TUNING ?? address,
        tracing: tracingVariables(process.env),
        hub: hubSettings(environment),
        ...(await clusterOf(environment, context.log)),
      }),
      // The next process of the service has its trainers.
      close: () => runner.detach(),
    };
  },
});
