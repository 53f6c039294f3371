/** The environment of the tuning service's process. */
import { existsSync } from 'node:fs';
import { hubVariables } from '@emotune/hub';
import { address, serviceEnvironment } from '@emotune/service';
import { z } from 'zod';

export const tuningEnvironment = serviceEnvironment(['featurization']).extend({
  EMOTUNE_JOBS_DIR: z.string({ error: 'expected a folder' }).meta({
    description: 'The folder for records and logs of trainers, which run on the machine of the service.',
  }),
  EMOTUNE_TRAINER: z
    .string({ error: 'expected the path of the trainer' })
    .refine(existsSync, 'expected the path of a file that exists')
    .meta({ description: "The trainer's program, main.js." }),
  EMOTUNE_TUNING: address()
    .optional()
    .meta({ description: 'host:port where trainers call the service, if another than it listens on.' }),
  ...hubVariables,
});
