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

const jars = join(cache, 'kafka-jars-4.4.0');

/** Why no broker can be started here. */
export function withoutKafka(): string | undefined {
  const missing = missingProgram('java', ...(existsSync(join(jars, '.complete')) ? [] : ['mvn']));
  return missing && `Kafka needs ${missing}, which is not on PATH`;
}

/** @param host an address of this machine */
export async function startKafka({ host = loopback } = {}): Promise<Kafka> {
  const folder = await mkdtemp(join(tmpdir(), 'emotune-kafka-'));
  const port = String(await freePorts(2, host));
  const call = (command: string) =>
    script('kafka/kafka.sh', [command, folder, port], { KAFKA_JARS: jars, HOST: host });
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
