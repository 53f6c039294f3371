import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts, loopback, missingProgram, script } from './script.js';

/** A real PostgreSQL server on a free port. */
export interface Postgres extends AsyncDisposable {
  /** Of its administrator, with the password. */
  readonly url: string;
  /** SIGKILL; what was committed stays. */
  kill(): Promise<void>;
  /** Starts it again on the same port with the same data. */
  restart(): Promise<void>;
  /** Stops it and removes its data. */
  stop(): Promise<void>;
}

/** Why no PostgreSQL server can be started here. */
export function withoutPostgres(): string | undefined {
  return missingProgram('/usr/lib/postgresql/*/bin/postgres') && "needs Debian's postgresql";
}

/** @param host an address of this machine */
export async function startPostgres({ host = loopback } = {}): Promise<Postgres> {
  const folder = await mkdtemp(join(tmpdir(), 'emotune-postgres-'));
  const port = String(await freePorts(1, host));
  const call = (command: string) => script('postgres/postgres.sh', [command, folder, port], { HOST: host });
  const stop = async () => {
    await call('down');
    await rm(folder, { recursive: true, force: true });
  };
  return {
    url: await call('up'),
    kill: async () => void (await call('kill')),
    restart: async () => void (await call('up')),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
