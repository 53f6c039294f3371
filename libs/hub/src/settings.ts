/** How the Hub is reached, by the variables that Hugging Face's own tools read. */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';

/** Rows of a service's environment. */
export const hubVariables = {
  HF_ENDPOINT: z
    .url({ protocol: /^https?$/, error: 'expected a URL such as https://huggingface.co' })
    .default('https://huggingface.co')
    .meta({ description: 'The Hugging Face Hub, or a mirror of it.' }),
  HF_HOME: z
    .string()
    .default('~/.cache/huggingface')
    .meta({ description: "The folder of Hugging Face's tools, with the token file." }),
  HF_HUB_CACHE: z
    .string()
    .optional()
    .meta({ description: 'The folder for what was fetched from the Hub; without it `hub` in `HF_HOME`.' }),
  HF_TOKEN: z.string().optional().meta({
    secret: true,
    description: 'The access token; without it that of the token file, if there is one.',
  }),
  HF_HUB_OFFLINE: z
    .string()
    .default('0')
    .meta({ description: '1: nothing is fetched, only what is in the cache is used.' }),
};

export interface HubSettings {
  /** Without a slash at its end. */
  readonly endpoint: string;
  /** In Hugging Face's own layout: models--org--name/{blobs,refs,snapshots}. */
  readonly cacheDir: string;
  readonly offline: boolean;
  /** Read when it is needed; undefined: requests tell no name. */
  token(): Promise<string | undefined>;
  /** Between two tries, at first. */
  readonly pauseMs?: number;
}

const expanded = (path: string): string =>
  path === '~' || path.startsWith('~/') ? join(homedir(), path.slice(1)) : path;

/** The settings that variables say; those that are empty count as not set. */
export function hubSettings(variables: Readonly<Record<string, unknown>>): HubSettings {
  const read = (...names: readonly string[]): string | undefined =>
    names
      .map((name) => variables[name])
      .find((value): value is string => typeof value === 'string' && value !== '');
  const cache = read('XDG_CACHE_HOME');
  const home = expanded(read('HF_HOME') ?? (cache ? join(cache, 'huggingface') : '~/.cache/huggingface'));
  const given = read('HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN')?.trim();
  const tokenFile = expanded(read('HF_TOKEN_PATH') ?? join(home, 'token'));
  return {
    endpoint: (read('HF_ENDPOINT') ?? 'https://huggingface.co').replace(/\/+$/, ''),
    cacheDir: expanded(read('HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE') ?? join(home, 'hub')),
    offline: /^(1|true|yes|on)$/i.test(read('HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE') ?? ''),
    token: async () => given || (await readFile(tokenFile, 'utf8').catch(() => '')).trim() || undefined,
  };
}
