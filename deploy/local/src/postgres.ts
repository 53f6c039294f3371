import { component } from './component.js';
import { freePorts, loopback, missingProgram } from './script.js';

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
  const { said, call, stop } = await component({
    name: 'postgres',
    path: 'postgres/postgres.sh',
    args: [String(await freePorts(1, host))],
    environment: { HOST: host },
  });
  return {
    url: said,
    kill: async () => void (await call('kill')),
    restart: async () => void (await call('up')),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
