/** The environment of the data service's process. */
import { hubVariables } from '@emotune/hub';
import { serviceEnvironment } from '@emotune/service';
import { z } from 'zod';

export const dataEnvironment = serviceEnvironment([]).extend({
  EMOTUNE_CORPORA: z
    .string()
    .optional()
    .meta({ description: 'A folder of corpora as published, where they are looked for first.' }),
  EMOTUNE_CACHE_DIR: z
    .string({ error: 'expected a folder' })
    .meta({ description: 'The folder for corpora that were downloaded.' }),
  EMOTUNE_DOWNLOAD: z
    .enum(['true', 'false'], { error: 'expected true or false' })
    .default('true')
    .transform((text) => text === 'true')
    .meta({ description: 'Whether corpora may be downloaded: true or false.' }),
  ...hubVariables,
});
