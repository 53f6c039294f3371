/** The environment of the featurization service's process. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { serviceEnvironment } from '@emotune/service';
import { z } from 'zod';
import type { AugmentationSources } from './augmentation/augment.js';
import { wordNetFolder } from './augmentation/wordnet.js';

/** What augmentation reads. */
export const augmentationVariables = {
  EMOTUNE_WORDNET: z
    .string()
    .optional()
    .meta({ description: 'The `dict` folder of WordNet 3.1, whose synonyms texts are augmented with.' }),
  EMOTUNE_REWRITER_URL: z
    .url({ protocol: /^https?$/, error: 'expected a URL such as http://127.0.0.1:8080/v1' })
    .optional()
    .meta({
      description: 'An OpenAI-compatible endpoint up to `/v1`, whose model translates and paraphrases texts.',
    }),
  EMOTUNE_REWRITER_MODEL: z
    .string()
    .default('default')
    .meta({ description: 'The name that the endpoint knows the model by.' }),
  EMOTUNE_REWRITER_KEY: z
    .string()
    .optional()
    .meta({ secret: true, description: 'What the endpoint is shown as a bearer token.' }),
  EMOTUNE_REWRITER_CACHE_DIR: z.string().optional().meta({
    description:
      'The folder for what it answered; without it `~/.cache/emotune/rewriter`, embedded `rewriter` in the data folder.',
  }),
};

export const featurizationEnvironment = serviceEnvironment(['data', 'tuning']).extend(augmentationVariables);

/** @param cache where the variables name none */
export function augmentationSources(
  variables: z.infer<z.ZodObject<typeof augmentationVariables>>,
  cache = join(homedir(), '.cache', 'emotune', 'rewriter'),
): AugmentationSources {
  const { EMOTUNE_REWRITER_URL: url, EMOTUNE_REWRITER_KEY: key } = variables;
  const endpoint = {
    key,
    model: variables.EMOTUNE_REWRITER_MODEL,
    cache: variables.EMOTUNE_REWRITER_CACHE_DIR ?? cache,
  };
  return {
    wordNet: variables.EMOTUNE_WORDNET ?? wordNetFolder(),
    endpoint: url === undefined ? undefined : { url, ...endpoint },
  };
}
