/** How much a server takes at a time, so that more than it can do is refused and not piled up. */
import { z } from 'zod';

/** A whole number. */
export function whole(least: number, most: number) {
  const error = `expected a whole number from ${least} to ${most}`;
  return z.coerce.number({ error }).int(error).min(least, error).max(most, error);
}

/** Rows of the environment of every process that listens. */
export const limitVariables = {
  EMOTUNE_MAX_CONNECTIONS: whole(1, 100_000).default(1000).meta({
    description: 'Connections at a time; further ones are closed.',
  }),
  EMOTUNE_MAX_CALLS: whole(1, 100_000).default(1000).meta({
    description:
      'Calls at a time that are answered once, and as many of trainers beside them; further ones are RESOURCE_EXHAUSTED, with when to ask again.',
  }),
  EMOTUNE_MAX_STREAMS: whole(1, 100_000).default(1000).meta({
    description: 'Streams at a time (those who watch, uploads, downloads), likewise.',
  }),
  EMOTUNE_MAX_REQUEST_MIB: whole(16, 1_000_000).default(256).meta({
    description: 'MiB of requests at a time that have come, also in part, and are not answered, likewise.',
  }),
};

const schema = z.object(limitVariables);

export interface Limits {
  readonly connections: number;
  /** Calls that are answered once. Those of trainers have the same room again, so that nobody else takes theirs. */
  readonly calls: number;
  readonly streams: number;
  /** Of all requests that are not answered. */
  readonly requestBytes: number;
}

export function limitsOf(environment: z.output<typeof schema>): Limits {
  return {
    connections: environment.EMOTUNE_MAX_CONNECTIONS,
    calls: environment.EMOTUNE_MAX_CALLS,
    streams: environment.EMOTUNE_MAX_STREAMS,
    requestBytes: environment.EMOTUNE_MAX_REQUEST_MIB * 2 ** 20,
  };
}

export const usualLimits: Limits = limitsOf(schema.parse({}));
