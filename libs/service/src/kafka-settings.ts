/** How services reach Kafka, out of their environment. */
import { readFile } from 'node:fs/promises';
import { InvalidArgument, type Violation } from '@emotune/base';
import { type KafkaSettings, saslMechanisms } from '@emotune/events';
import { z } from 'zod';
import { whole } from './limits.js';

const file = () => z.string().optional();

export const kafkaVariables = {
  EMOTUNE_KAFKA_TLS: z
    .enum(['true', 'false'], { error: 'expected true or false' })
    .default('false')
    .transform((text) => text === 'true')
    .meta({ description: 'Whether Kafka is reached by TLS: true or false.' }),
  EMOTUNE_KAFKA_CA_FILE: file().meta({
    description: 'A PEM file of whom to trust; without it those whom Node trusts.',
  }),
  EMOTUNE_KAFKA_CERT_FILE: file().meta({
    description: 'A PEM file with the certificate that Kafka is shown, where it asks for one.',
  }),
  EMOTUNE_KAFKA_KEY_FILE: file().meta({ description: 'A PEM file with the key of that certificate.' }),
  EMOTUNE_KAFKA_SASL_MECHANISM: z
    .enum(saslMechanisms, { error: `expected ${saslMechanisms.join(', ')}` })
    .optional()
    .meta({
      description: `How the user is proven: ${saslMechanisms.join(', ')}; without it by no password.`,
    }),
  EMOTUNE_KAFKA_USERNAME: z.string().optional().meta({ description: 'The user of Kafka.' }),
  EMOTUNE_KAFKA_PASSWORD: z
    .string()
    .optional()
    .meta({ secret: true, description: 'The password of the user.' }),
  EMOTUNE_KAFKA_PASSWORD_FILE: file().meta({
    description: 'A file that holds the password, read where `EMOTUNE_KAFKA_PASSWORD` is not set.',
  }),
  EMOTUNE_KAFKA_REPLICATION: whole(1, 100).optional().meta({
    description: 'Copies of each partition of a topic that is created; without it as the brokers are set.',
  }),
  EMOTUNE_KAFKA_PARTITIONS: whole(1, 10_000).optional().meta({
    description:
      'Partitions of a topic that is created: so many processes of a service share its events at most; without it 3, and 12 of what trials tell.',
  }),
};

const schema = z.object(kafkaVariables);
export type KafkaVariables = z.output<typeof schema>;

/** @throws InvalidArgument naming every variable that is missing or wrong; never a password. */
export async function kafkaSettingsOf(variables: KafkaVariables): Promise<KafkaSettings> {
  const violations: Violation[] = [];
  const wrong = (field: keyof KafkaVariables, description: string) => violations.push({ field, description });
  const read = async (field: keyof KafkaVariables): Promise<string | undefined> => {
    const path = variables[field];
    if (typeof path !== 'string') return undefined;
    return await readFile(path, 'utf8').catch((error) => {
      wrong(field, `expected a file that can be read, got ${error.code}`);
      return undefined;
    });
  };
  const [ca, cert, key] = [
    await read('EMOTUNE_KAFKA_CA_FILE'),
    await read('EMOTUNE_KAFKA_CERT_FILE'),
    await read('EMOTUNE_KAFKA_KEY_FILE'),
  ];
  for (const field of ['EMOTUNE_KAFKA_CA_FILE', 'EMOTUNE_KAFKA_CERT_FILE', 'EMOTUNE_KAFKA_KEY_FILE'] as const)
    if (variables[field] !== undefined && !variables.EMOTUNE_KAFKA_TLS)
      wrong('EMOTUNE_KAFKA_TLS', `expected true, since ${field} is set, got false`);
  if ((cert === undefined) !== (key === undefined))
    wrong(
      cert === undefined ? 'EMOTUNE_KAFKA_CERT_FILE' : 'EMOTUNE_KAFKA_KEY_FILE',
      'expected a file: certificate and key go together, got nothing',
    );
  const {
    EMOTUNE_KAFKA_SASL_MECHANISM: mechanism,
    EMOTUNE_KAFKA_USERNAME: username,
    EMOTUNE_KAFKA_REPLICATION: replication,
    EMOTUNE_KAFKA_PARTITIONS: partitions,
  } = variables;
  const password =
    variables.EMOTUNE_KAFKA_PASSWORD ?? (await read('EMOTUNE_KAFKA_PASSWORD_FILE'))?.replace(/\r?\n$/, '');
  if (mechanism === undefined) {
    if (username !== undefined)
      wrong(
        'EMOTUNE_KAFKA_SASL_MECHANISM',
        `expected ${saslMechanisms.join(', ')}, since EMOTUNE_KAFKA_USERNAME is set, got nothing`,
      );
  } else {
    if (username === undefined)
      wrong('EMOTUNE_KAFKA_USERNAME', `expected a user for ${mechanism}, got nothing`);
    if (!password && variables.EMOTUNE_KAFKA_PASSWORD_FILE === undefined)
      wrong(
        'EMOTUNE_KAFKA_PASSWORD',
        `expected a password for ${mechanism}, here or in EMOTUNE_KAFKA_PASSWORD_FILE, got nothing`,
      );
    else if (password === '') wrong('EMOTUNE_KAFKA_PASSWORD_FILE', 'expected a password, got an empty file');
  }
  if (violations.length > 0) throw new InvalidArgument(violations);
  const given = <T>(values: Record<string, T | undefined>) =>
    Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
  return {
    ...(variables.EMOTUNE_KAFKA_TLS ? { tls: given({ ca, cert, key }) } : {}),
    ...(mechanism && username && password ? { sasl: { mechanism, username, password } } : {}),
    ...given({ replication, partitions }),
  };
}
