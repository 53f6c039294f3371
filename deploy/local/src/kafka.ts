import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { component } from './component.js';
import { cache, freePorts, loopback, missingProgram } from './script.js';

/** A real Kafka broker of one node on a free port. */
export interface Kafka extends AsyncDisposable {
  /** host:port */
  readonly broker: string;
  /** SIGKILL; what it had on disk stays. */
  kill(): Promise<void>;
  /** Starts it again on the same port with the same data. */
  restart(): Promise<void>;
  /** Stops it and removes its data. */
  stop(): Promise<void>;
}

/** One that is reached by TLS alone: at `broker` with a password, by PLAIN or SCRAM, at `mutual` with a certificate. */
export interface SecuredKafka extends Kafka {
  /** host:port */
  readonly mutual: string;
  /** Of the users emotune, who may do everything, and guest, who may do nothing. */
  readonly password: string;
  /** PEM files. */
  readonly files: { readonly ca: string; readonly clientCert: string; readonly clientKey: string };
}

const jars = join(cache, 'kafka-jars-4.4.0');

/** Why no broker can be started here. */
export function withoutKafka(): string | undefined {
  const missing = missingProgram('java', ...(existsSync(join(jars, '.complete')) ? [] : ['mvn']));
  return missing && `Kafka needs ${missing}, which is not on PATH`;
}

/** @param host an address of this machine */
export async function startKafka({ host = loopback } = {}): Promise<Kafka> {
  const { kafka } = await start(host, await freePorts(2, host), {});
  return kafka;
}

export async function startSecuredKafka(): Promise<SecuredKafka> {
  const port = await freePorts(4);
  const password = 'local-secret';
  const { kafka, folder } = await start(loopback, port, { KAFKA_PASSWORD: password });
  const file = (name: string) => join(folder, name);
  return {
    ...kafka,
    mutual: `${loopback}:${port + 3}`,
    password,
    files: { ca: file('ca.crt'), clientCert: file('client.crt'), clientKey: file('client.key') },
  };
}

async function start(
  host: string,
  port: number,
  environment: Readonly<Record<string, string>>,
): Promise<{ readonly kafka: Kafka; readonly folder: string }> {
  const { folder, call, stop } = await component({
    name: 'kafka',
    path: 'kafka/kafka.sh',
    args: [String(port)],
    environment: { KAFKA_JARS: jars, HOST: host, ...environment },
  });
  const kafka: Kafka = {
    broker: `${host}:${port}`,
    kill: async () => void (await call('kill')),
    restart: async () => void (await call('up')),
    stop,
    [Symbol.asyncDispose]: stop,
  };
  return { kafka, folder };
}
