/** The environment of the evaluation service's process. */
import { availableParallelism } from 'node:os';
import { address, serviceEnvironment, whole } from '@emotune/service';
import { z } from 'zod';
import type { PageSettings } from './studies/page-server.js';

function isPageUrl(text: string): boolean {
  const url = URL.parse(text);
  return (
    url !== null &&
    /^https?:$/.test(url.protocol) &&
    url.pathname === '/' &&
    url.search === '' &&
    url.hash === ''
  );
}

/** The page for raters of studies; the embedded platform reads them, too. */
export const studyVariables = {
  EMOTUNE_STUDIES_LISTEN: address().optional().meta({
    description:
      'host:port where raters of studies find their page, by HTTP without TLS; without it no page is served. The embedded platform: `127.0.0.1:50052`.',
  }),
  EMOTUNE_STUDIES_URL: z
    .string()
    .refine(isPageUrl, 'expected a URL such as https://studies.example.org')
    .optional()
    .meta({
      description: 'As raters reach that page, in links; without it by `EMOTUNE_STUDIES_LISTEN`.',
    }),
};

export const evaluationEnvironment = serviceEnvironment(['data', 'featurization', 'tuning']).extend({
  EMOTUNE_THREADS: whole(0, 1024)
    .default(0)
    .transform((threads) => threads || availableParallelism())
    .meta({ description: 'Threads of a model; 0: as many as the machine has.' }),
  ...studyVariables,
});

/** @param usual where it listens, if it can, when no variable says so */
export function pageSettingsOf(
  environment: z.output<z.ZodObject<typeof studyVariables>>,
  usual?: string,
): PageSettings {
  const { EMOTUNE_STUDIES_LISTEN: listen, EMOTUNE_STUDIES_URL: url } = environment;
  return { listen: listen ?? usual, url, required: listen !== undefined };
}
