/** The environment of a service's process. What all services read stands here; each adds its own variables in its `config.ts`. */
import { parse, show } from '@emotune/base';
import { busExpectation, isBusUrl } from '@emotune/events';
import { storeSchemes, usualCacheMiB } from '@emotune/objects';
import { z } from 'zod';
import { byAreaOf, isAddress } from './area-addresses.js';
import type { Peers } from './channel.js';
import type { Area } from './contract.js';
import { kafkaVariables } from './kafka-settings.js';
import { limitVariables, whole } from './limits.js';
import { isLoopback } from './loopback.js';
import { tlsVariables } from './tls.js';
import { tokenExpectation, tokenPattern } from './token.js';

export type Variables = Readonly<Record<string, string | undefined>>;

/** host:port */
export function address() {
  return z.string({ error: 'expected host:port' }).refine(isAddress, 'expected host:port');
}

function schemeOf(url: string): string {
  return /^([a-z][a-z\d+.-]*):/i.exec(url)?.[1].toLowerCase() ?? '';
}

/** What may hold a password: messages tell no more of it than its scheme. */
function secretUrl(schemes: readonly string[], example: string) {
  const error = `expected a URL such as ${example}`;
  return z.string({ error }).refine((text) => schemes.includes(schemeOf(text)) && URL.canParse(text), error);
}

/** The addresses of the peers that `needed` names, and of others. */
function peersOf(needed: readonly Area[]) {
  return z
    .string()
    .default('')
    .transform((text, context): Peers => {
      const read = (address: string) => (isAddress(address) ? address : undefined);
      const { found, faults } = byAreaOf(text, read, 'host:port');
      const missing = needed.filter((area) => !text.includes(`${area}=`));
      for (const message of [
        ...faults,
        ...missing.map((area) => `expected ${area}=host:port among the peers`),
      ])
        context.addIssue({ code: 'custom', message });
      return found;
    });
}

/** What one build may take. */
export const buildVariables = {
  EMOTUNE_BUILD_MEMORY_MIB: whole(0, 2 ** 30)
    .default(0)
    .meta({
      description: 'MiB of memory that the process of one build may take; 0: half of what the machine has.',
    }),
  EMOTUNE_BUILD_HOURS: whole(1, 10_000).default(48).meta({
    description: 'How long one attempt at a build may take.',
  }),
};

function isIssuer(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, host, port } = new URL(text);
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(port === '' ? `${host}:80` : host));
}

const issuerExpectation = 'expected an https URL, as tokens have it in `iss`';

/** Who users are. */
const userVariables = {
  EMOTUNE_OIDC_ISSUER: z.string().refine(isIssuer, issuerExpectation).optional().meta({
    description: 'The OpenID Connect issuer whose tokens users show; http only on the same machine.',
  }),
  EMOTUNE_OIDC_AUDIENCE: z.string().default('emotune').meta({
    description: 'The audience that tokens of users are for, those of Kubernetes, too.',
  }),
  EMOTUNE_OIDC_USER_CLAIM: z.string().default('sub').meta({
    description: "The claim with the user's name, such as `email`.",
  }),
  EMOTUNE_OIDC_GROUPS_CLAIM: z.string().default('groups').meta({
    description: "The claim with the user's groups.",
  }),
  EMOTUNE_TOKEN_REVIEW: z
    .enum(['true', 'false'], { error: 'expected true or false' })
    .default('false')
    .transform((text) => text === 'true')
    .meta({ description: 'Whether users may show tokens of the Kubernetes cluster: true or false.' }),
  EMOTUNE_ROLES_FILE: z.string().optional().meta({
    description: 'Who of the users has which role, YAML; needed where users show tokens.',
  }),
};

/** What every service reads. @param peers the areas that it calls */
export function serviceEnvironment(peers: readonly Area[]) {
  return z.object({
    EMOTUNE_LISTEN: address().default('127.0.0.1:50051').meta({
      description: 'Where it listens, host:port; 0.0.0.0 is every address of the machine, port 0 a free one.',
    }),
    EMOTUNE_DATABASE_URL: secretUrl(
      ['postgres', 'postgresql'],
      'postgres://user:password@host:5432/database',
    ).meta({
      secret: 'URL',
      description:
        'PostgreSQL, in which each service has a schema of its own. By TLS with `?sslmode=verify-full`, and `&sslrootcert=file` where its authority is your own.',
    }),
    EMOTUNE_DATABASE_PASSWORD_FILE: z.string().optional().meta({
      description: 'A file that holds the password, read at each connection, in place of that of the URL.',
    }),
    EMOTUNE_DATABASE_POOL: whole(1, 1000).default(5).meta({
      description: 'Connections to the database at a time; a few more watch it and listen.',
    }),
    EMOTUNE_DATABASE_STATEMENT_SECONDS: whole(1, 86_400).default(60).meta({
      description:
        'How long a statement, or a pause within a transaction, may take. Migrations take what they take.',
    }),
    EMOTUNE_MIGRATIONS: z
      .enum(['apply', 'await'], { error: 'expected apply or await' })
      .default('apply')
      .meta({
        description:
          'Whether it brings its schema up to date itself when it starts (`apply`), or waits for its command `migrate` to have done so (`await`).',
      }),
    EMOTUNE_OBJECTS_URL: secretUrl(storeSchemes, 's3://bucket/prefix').meta({
      secret: 'URL',
      description:
        'The object store: `s3://bucket/prefix`, or `file:///folder`, which must be the same for all services and trainers.',
    }),
    EMOTUNE_S3_ENDPOINT: z
      .string()
      .refine((text) => /^https?:$/i.test(URL.parse(text)?.protocol ?? ''), 'expected https://host:port')
      .optional()
      .meta({ secret: 'URL', description: 'Of an S3 server other than AWS.' }),
    EMOTUNE_OBJECTS_CACHE_DIR: z.string().optional().meta({
      description:
        'The folder for local copies of what lies in S3, which processes of one user share; without it `/tmp/emotune-objects-<uid>`.',
    }),
    EMOTUNE_OBJECTS_CACHE_MIB: whole(1, 2 ** 30)
      .default(usualCacheMiB)
      .meta({
        description: 'MiB of local copies that stay when nobody uses them.',
      }),
    EMOTUNE_BUS_URL: z.string({ error: busExpectation }).refine(isBusUrl, busExpectation).meta({
      secret: 'URL',
      description:
        'The event bus: PostgreSQL, in which it has a schema of its own, or the brokers of Kafka, `kafka://host:port[,host:port]`.',
    }),
    ...kafkaVariables,
    EMOTUNE_PEERS: peersOf(peers).meta({
      description: 'The services that it calls: `area=host:port`, with commas between them.',
      needed: peers,
    }),
    EMOTUNE_TOKEN: z.string().regex(tokenPattern, tokenExpectation).optional().meta({
      secret: true,
      description:
        'What callers show, the same for all services; needed where others than this machine reach `EMOTUNE_LISTEN`.',
    }),
    EMOTUNE_TOKEN_FILE: z.string().optional().meta({
      description: 'A file that holds the token, read where `EMOTUNE_TOKEN` is not set.',
    }),
    ...tlsVariables,
    ...userVariables,
    EMOTUNE_HEALTH_LISTEN: address().optional().meta({
      description:
        "host:port where it answers about its health alone, without TLS: Kubernetes' probes know none. Health is answered at `EMOTUNE_LISTEN`, too.",
    }),
    EMOTUNE_METRICS_LISTEN: address().optional().meta({
      description:
        'host:port where Prometheus is told of it, `/metrics`, without token and TLS; without it nobody is.',
    }),
    EMOTUNE_DRAIN_SECONDS: whole(0, 3600).default(8).meta({
      description: 'How long calls that are open may take to end after SIGTERM.',
    }),
    ...limitVariables,
    ...buildVariables,
  });
}

export type ServiceEnvironment = ReturnType<typeof serviceEnvironment>;

/** @throws InvalidArgument naming every variable that is missing or wrong. */
export function readEnvironment<S extends z.ZodObject>(schema: S, variables: Variables): z.output<S> {
  // One that is set to nothing counts as not set.
  const set = Object.keys(schema.shape).flatMap((name) => {
    const value = variables[name];
    return value === undefined || value === '' ? [] : [[name, value]];
  });
  return parse(schema, Object.fromEntries(set), [], (value, [name]) => {
    const secret = (schema.shape[String(name)] as z.ZodType).meta()?.['secret'];
    if (secret === undefined || value === undefined) return show(value);
    if (secret !== 'URL') return `${String(value).length} characters`;
    const scheme = schemeOf(String(value));
    return scheme === '' ? 'no URL' : `one with the scheme ${show(scheme)}`;
  });
}
