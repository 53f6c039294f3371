/** The environment of the tuning service's process. */
import { existsSync } from 'node:fs';
import { hubVariables } from '@emotune/hub';
import { address, serviceEnvironment } from '@emotune/service';
import { z } from 'zod';

type Runner = 'process' | 'kubernetes';

/** A variable that one runner needs; told with all else that is wrong. */
function neededFor(runner: Runner, name: string, what: string) {
  const isThere = (given: { readonly EMOTUNE_RUNNER: Runner }) =>
    given.EMOTUNE_RUNNER !== runner || Object.hasOwn(given, name);
  const told = { path: [name], message: `expected ${what}`, when: () => true };
  return [isThere, told] as const;
}

export const tuningEnvironment = serviceEnvironment(['featurization', 'evaluation'])
  .extend({
    EMOTUNE_RUNNER: z
      .enum(['process', 'kubernetes'], { error: 'expected process or kubernetes' })
      .default('process')
      .meta({
        description:
          'Where trainers run: `process`, on the machine of the service; `kubernetes`, as Jobs of a cluster.',
      }),
    EMOTUNE_JOBS_DIR: z.string().optional().meta({
      description: 'The folder for records and logs of trainers; needed for `process`.',
    }),
    EMOTUNE_TRAINER: z
      .string()
      .refine(existsSync, 'expected the path of a file that exists')
      .optional()
      .meta({ description: "The trainer's program, main.js; needed for `process`." }),
    EMOTUNE_K8S_NAMESPACE: z.string().optional().meta({
      description: 'Where Jobs are created; without it the namespace of the pod, or of the kubeconfig.',
    }),
    EMOTUNE_K8S_TRAINER_IMAGE: z.string().optional().meta({
      description: 'The image of trainers; needed for `kubernetes`.',
    }),
    EMOTUNE_K8S_JOB_TEMPLATE: z.string().optional().meta({
      description: 'A YAML file of what the Job of every trial gets: see below.',
    }),
    EMOTUNE_K8S_LEASES: z
      .string()
      .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/, 'expected a name such as emotune-tuning')
      .default('emotune-tuning')
      .meta({
        description:
          'What the names of the Leases begin with that choose who of its processes leads; in the namespace of its pods.',
      }),
    EMOTUNE_K8S_EXPERIMENTS: z
      .enum(['true', 'false'], { error: 'expected true or false' })
      .default('false')
      .transform((text) => text === 'true')
      .meta({
        description:
          'Whether experiments are objects of the cluster, too, in the namespace of the Jobs (`kubectl get experiments`): true or false.',
      }),
    EMOTUNE_TUNING: address()
      .optional()
      .meta({ description: 'host:port where trainers call the service, if another than it listens on.' }),
    ...hubVariables,
  })
  .refine(...neededFor('process', 'EMOTUNE_JOBS_DIR', 'a folder'))
  .refine(...neededFor('process', 'EMOTUNE_TRAINER', 'the path of the trainer'))
  .refine(...neededFor('kubernetes', 'EMOTUNE_K8S_TRAINER_IMAGE', 'the image of the trainer'));
