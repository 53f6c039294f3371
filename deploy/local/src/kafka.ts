import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cache, freePorts, loopback, missingProgram, script } from './script.js';

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
  return start(await temporary(), host, await freePorts(2, host), {});
}

export async function startSecuredKafka(): Promise<SecuredKafka> {
  const folder = await temporary();
  const port = await freePorts(4);
  const password = 'local-secret';
  const file = (name: string) => join(folder, name);
  return {
    ...(await start(folder, loopback, port, { KAFKA_PASSWORD: password })),
    mutual: `${loopback}:${port + 3}`,
    password,
    files: { ca: file('ca.crt'), clientCert: file('client.crt'), clientKey: file('client.key') },
  };
}

function temporary(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'emotune-kafka-'));
}

async function start(
  folder: string,
  host: string,
  port: number,
  environment: Readonly<Record<string, string>>,
): Promise<Kafka> {
  const call = (command: string) =>
    script('kafka/kafka.sh', [command, folder, String(port)], {
      KAFKA_JARS: jars,
      HOST: host,
      ...environment,
    });
  const stop = async () => {
    await call('down');
    await rm(folder, { recursive: true, force: true });
  };
  await call('up');
  return {
    broker: `${host}:${port}`,
    kill: async () => void (await call('kill')),
    restart: async () => void (await call('up')),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
