import { InvalidArgument } from '@emotune/base';
import { expect, it } from 'vitest';
import { readEnvironment, serviceEnvironment } from './environment.js';

const schema = serviceEnvironment(['data', 'tuning']);
const right = {
  EMOTUNE_DATABASE_URL: 'postgres://user:pass@db/emotune',
  EMOTUNE_OBJECTS_URL: 'file:///srv/objects',
  EMOTUNE_BUS_URL: 'postgresql://user:pass@db/emotune',
  EMOTUNE_PEERS: 'data=data:50051, tuning=[::1]:50052,inference=10.0.0.1:1',
};

function violations(variables: Record<string, string>): string[] {
  try {
    readEnvironment(schema, variables);
  } catch (error) {
    if (error instanceof InvalidArgument)
      return error.violations.map(({ field, description }) => `${field}: ${description}`);
    throw error;
  }
  return [];
}

it('is read with its defaults; what is set to nothing is not set, and variables of others are left alone', () => {
  expect(readEnvironment(schema, { ...right, EMOTUNE_LISTEN: '', PATH: '/bin' })).toEqual({
    ...right,
    EMOTUNE_LISTEN: '127.0.0.1:50051',
    EMOTUNE_MIGRATIONS: 'apply',
    EMOTUNE_DATABASE_POOL: 5,
    EMOTUNE_DATABASE_STATEMENT_SECONDS: 60,
    EMOTUNE_KAFKA_TLS: false,
    EMOTUNE_OIDC_AUDIENCE: 'emotune',
    EMOTUNE_OIDC_USER_CLAIM: 'sub',
    EMOTUNE_OIDC_GROUPS_CLAIM: 'groups',
    EMOTUNE_TOKEN_REVIEW: false,
    EMOTUNE_OBJECTS_CACHE_MIB: 20_480,
    EMOTUNE_BUILD_MEMORY_MIB: 0,
    EMOTUNE_BUILD_HOURS: 48,
    EMOTUNE_PEERS: { data: 'data:50051', tuning: '[::1]:50052', inference: '10.0.0.1:1' },
    EMOTUNE_DRAIN_SECONDS: 8,
    EMOTUNE_MAX_CONNECTIONS: 1000,
    EMOTUNE_MAX_CALLS: 1000,
    EMOTUNE_MAX_STREAMS: 1000,
    EMOTUNE_MAX_REQUEST_MIB: 256,
  });
});

it.each(['kafka://broker:9092', 'kafka://a:9092,[::1]:9093/', 'postgres://db/emotune'])(
  '%s is a bus',
  (url) => {
    expect(violations({ ...right, EMOTUNE_BUS_URL: url })).toEqual([]);
  },
);

it('every violation is named at once, and no password is told', () => {
  const wrong = {
    EMOTUNE_LISTEN: '50051',
    EMOTUNE_DATABASE_URL: 'mysql://user:secret@db/emotune',
    EMOTUNE_OBJECTS_URL: 'secret',
    EMOTUNE_BUS_URL: 'kafka://user:secret@broker:9092',
    EMOTUNE_PEERS: 'data=nowhere,tunning=tuning:50051',
    EMOTUNE_DRAIN_SECONDS: 'long',
  };
  const peers = '"data=nowhere,tunning=tuning:50051"';
  expect(violations(wrong)).toEqual([
    'EMOTUNE_LISTEN: expected host:port, got "50051"',
    'EMOTUNE_DATABASE_URL: expected a URL such as postgres://user:password@host:5432/database, got one with the scheme "mysql"',
    'EMOTUNE_OBJECTS_URL: expected a URL such as s3://bucket/prefix, got no URL',
    'EMOTUNE_BUS_URL: expected postgres://user:password@host:5432/database or kafka://host:port[,host:port], got one with the scheme "kafka"',
    `EMOTUNE_PEERS: expected data=host:port, got ${peers}`,
    `EMOTUNE_PEERS: expected data, featurization, tuning, evaluation, inference before "=" in "tunning=tuning:50051", got ${peers}`,
    `EMOTUNE_PEERS: expected tuning=host:port among the peers, got ${peers}`,
    'EMOTUNE_DRAIN_SECONDS: expected a whole number from 0 to 3600, got "long"',
  ]);
});

it.each([
  ['EMOTUNE_LISTEN', 'host:65536'],
  ['EMOTUNE_PEERS', 'data=data:1,tuning=tuning:1,data=data:2'],
  ['EMOTUNE_LISTEN', 'http://host:80'],
  ['EMOTUNE_DATABASE_URL', 'postgres://user:secret@:port'],
  ['EMOTUNE_BUS_URL', 'kafka://broker'],
  ['EMOTUNE_BUS_URL', 'kafka://a:9092,b'],
  ['EMOTUNE_KAFKA_TLS', 'yes'],
  ['EMOTUNE_KAFKA_SASL_MECHANISM', 'GSSAPI'],
  ['EMOTUNE_DRAIN_SECONDS', '-1'],
  ['EMOTUNE_DRAIN_SECONDS', '1.5'],
])('%s is refused as %s', (name, value) => {
  const found = violations({ ...right, [name]: value });
  expect(found).toEqual([expect.stringMatching(`^${name}: expected `)]);
  expect(found[0]).not.toContain('secret');
});
