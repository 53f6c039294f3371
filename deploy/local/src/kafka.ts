import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cache, freePorts, missingProgram, script } from './script.js';

/** A real Kafka broker of one node on a free port of 127.0.0.1. */
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

export async function startKafka(): Promise<Kafka> {
  const folder = await mkdtemp(join(tmpdir(), 'emotune-kafka-'));
  const port = String(await freePorts(2));
  const call = (command: string) => script('kafka/kafka.sh', [command, folder, port], { KAFKA_JARS: jars });
  const stop = async () => {
    await call('down');
    await rm(folder, { recursive: true, force: true });
  };
  await call('up');
  return {
    broker: `127.0.0.1:${port}`,
    kill: async () => void (await call('kill')),
    restart: async () => void (await call('up')),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
