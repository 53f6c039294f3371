import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidArgument } from '@emotune/base';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { type KafkaVariables, kafkaSettingsOf, kafkaVariables } from './kafka-settings.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'emotune-kafka-settings-'));
  await Promise.all(
    Object.entries({ ca: 'CA', cert: 'CERT', key: 'KEY', password: 's3cret\n', empty: '\n' }).map(
      ([name, text]) => writeFile(join(folder, name), text),
    ),
  );
});
afterAll(() => rm(folder, { recursive: true }));

const variables = (given: Record<string, string>): KafkaVariables =>
  z
    .object(kafkaVariables)
    .parse(
      Object.fromEntries(
        Object.entries(given).map(([name, value]) => [
          `EMOTUNE_KAFKA_${name}`,
          name.endsWith('_FILE') ? join(folder, value) : value,
        ]),
      ),
    );

async function violations(given: Record<string, string>): Promise<string[]> {
  const error = await kafkaSettingsOf(variables(given)).catch((thrown) => thrown);
  if (!(error instanceof InvalidArgument)) throw error;
  return error.violations.map(({ field, description }) => `${field}: ${description}`);
}

it('without variables Kafka is reached as it is', async () => {
  expect(await kafkaSettingsOf(variables({}))).toEqual({});
});

it('reads certificates and the password from their files', async () => {
  const given = {
    ...{ TLS: 'true', CA_FILE: 'ca', CERT_FILE: 'cert', KEY_FILE: 'key' },
    ...{ SASL_MECHANISM: 'SCRAM-SHA-512', USERNAME: 'emotune', PASSWORD_FILE: 'password' },
    ...{ REPLICATION: '3', PARTITIONS: '24' },
  };
  expect(await kafkaSettingsOf(variables(given))).toEqual({
    tls: { ca: 'CA', cert: 'CERT', key: 'KEY' },
    sasl: { mechanism: 'SCRAM-SHA-512', username: 'emotune', password: 's3cret' },
    ...{ replication: 3, partitions: 24 },
  });
});

it.each([
  [
    { SASL_MECHANISM: 'PLAIN' },
    ['USERNAME: expected a user for PLAIN', 'PASSWORD: expected a password for PLAIN'],
  ],
  [{ USERNAME: 'emotune' }, ['SASL_MECHANISM: expected PLAIN, SCRAM-SHA-256, SCRAM-SHA-512']],
  [
    { SASL_MECHANISM: 'PLAIN', USERNAME: 'emotune', PASSWORD_FILE: 'none' },
    ['PASSWORD_FILE: expected a file'],
  ],
  [
    { SASL_MECHANISM: 'PLAIN', USERNAME: 'emotune', PASSWORD_FILE: 'empty' },
    ['PASSWORD_FILE: expected a password'],
  ],
  [{ CA_FILE: 'ca' }, ['TLS: expected true']],
  [{ TLS: 'true', CERT_FILE: 'cert' }, ['KEY_FILE: expected a file']],
  [{ TLS: 'true', CA_FILE: 'none' }, ['CA_FILE: expected a file that can be read, got ENOENT']],
])('refuses %o', async (given, expected) => {
  const found = await violations(given as unknown as Record<string, string>);
  expect(found).toEqual(expected.map((text) => expect.stringContaining(`EMOTUNE_KAFKA_${text}`)));
});
