/** One call of the command: its global options, how it answers, and the platform that it talks to. */
import { randomUUID } from 'node:crypto';
import { join, resolve } from 'node:path';
import {
  Internal,
  InvalidArgument,
  printable,
  printableJson,
  show,
  systemClock,
  Unauthenticated,
} from '@emotune/base';
import {
  Channel,
  isLoopback,
  type Patience,
  Tls,
  tokenFile,
  tokenIn,
  tokenOf,
  type Work,
} from '@emotune/service/client';
import { type Io, writeLine } from './io.js';
import { Progress } from './progress.js';

export interface GlobalOptions {
  readonly json?: boolean;
  readonly server?: string;
  readonly dataDir?: string;
}

/** A server as users name it. */
interface Endpoint {
  /** host:port */
  readonly address: string;
  /** Without it nothing is encrypted. */
  readonly tls: Tls | undefined;
}

/**
 * https:// means TLS, http:// none; with neither TLS is meant where a CA was named.
 * @param name of the option or variable @throws InvalidArgument
 */
function endpointOf(text: string, name: string, env: Io['env']): Endpoint {
  const [, scheme, host, port] =
    /^(https?:\/\/)?(\[[\da-f:]+\]|[^\s:/]+)(?::(\d{1,5}))?\/?$/i.exec(text) ?? [];
  const secure =
    scheme === undefined ? Boolean(env['EMOTUNE_TLS_CA_FILE']) : scheme.toLowerCase() === 'https://';
  if (host === undefined || (port === undefined && !(scheme && secure)))
    throw InvalidArgument.at(
      name,
      `expected HOST:PORT such as 127.0.0.1:50051, or https://HOST:PORT, got ${show(text)}`,
    );
  const tls = secure ? Tls.files(env, env['EMOTUNE_TLS_SERVER_NAME'] || undefined) : undefined;
  return { address: `${host}:${port ?? 443}`, tls };
}

export class Session {
  readonly json: boolean;
  readonly dataDir: string;
  /** Undefined means the platform of the data folder. */
  readonly server: Endpoint | undefined;
  /** On stderr, so that stdout holds results only. */
  readonly progress: Progress;

  /** @throws InvalidArgument */
  constructor(
    readonly io: Io,
    options: GlobalOptions,
    /** Of a platform that is started for the command. */
    readonly work: Work,
  ) {
    this.json = options.json ?? false;
    this.dataDir = this.path(options.dataDir ?? (io.env['EMOTUNE_DATA_DIR'] || '.emotune'));
    const server = options.server ?? (io.env['EMOTUNE_SERVER'] || undefined);
    if (server !== undefined)
      this.server = endpointOf(server, options.server === undefined ? 'EMOTUNE_SERVER' : '--server', io.env);
    this.progress = new Progress(io.stderr, systemClock);
  }

  /** A path that the user gave, absolute. */
  path(given: string): string {
    return resolve(this.io.cwd, given);
  }

  get signal(): AbortSignal {
    return this.io.signal;
  }

  /** The result: a line of JSON, or what a person reads. */
  async answer(document: unknown, text: () => string): Promise<void> {
    await this.write(this.json ? JSON.stringify(document) : text());
  }

  /** One line, or several, of a result that comes in parts. */
  write(text: string): Promise<void> {
    return writeLine(this.io.stdout, this.json ? printableJson(text) : printable(text), this.signal);
  }

  /** Something to know beside the result. */
  note(line: string): void {
    this.progress.line(line);
  }
}

/** What is shown to a server, and where it comes from. The data folder's token is told to nobody beyond this machine. */
async function tokenFor(
  { io, dataDir }: Session,
  address: string,
): Promise<{ readonly token: string | undefined; readonly from: string }> {
  const token = await tokenOf(io.env);
  if (token !== undefined) return { token, from: 'the environment (EMOTUNE_TOKEN or EMOTUNE_TOKEN_FILE)' };
  const file = join(dataDir, tokenFile);
  if (!isLoopback(address)) return { token, from: 'EMOTUNE_TOKEN, which is not set' };
  return { token: await tokenIn(file), from: file };
}

/** A server that has too much to do says when to ask again. */
function patienceOf(session: Session): Patience {
  return {
    mostMs: 60_000,
    waits: (ms, { message }) => session.note(`asking again in ${Math.ceil(ms / 1000)} s: ${message}`),
  };
}

async function withServer(
  session: Session,
  { address, tls }: Endpoint,
  use: (channel: Channel, embedded: boolean) => Promise<void>,
): Promise<void> {
  const { token, from } = await tokenFor(session, address);
  const channel = Channel.connect(address, { token, tls, patience: patienceOf(session) });
  try {
    await use(channel, false);
  } catch (error) {
    if (!(error instanceof Unauthenticated)) throw error;
    // A token that it knows, but does not take: it says why.
    if (token !== undefined && !/^expected (?:the|a) token of .*, got (?:none|another)$/.test(error.message))
      throw new Unauthenticated(`${address}: ${error.message} (shown was that of ${from})`, { cause: error });
    const tried = token === undefined ? `none was found in ${from}` : `that in ${from} is not its token`;
    throw new Unauthenticated(
      `${address} asks for a token, and ${tried}: name its data folder by --data-dir, or set EMOTUNE_TOKEN`,
      { cause: error },
    );
  } finally {
    channel.close();
  }
}

/**
 * Connects to the server that was named, else to the platform that serves the data folder, else to one that is started
 * over the data folder for as long as `use` takes.
 */
export async function withPlatform(
  session: Session,
  use: (channel: Channel, embedded: boolean) => Promise<void>,
): Promise<void> {
  const { io, dataDir, signal, work } = session;
  if (session.server !== undefined) return withServer(session, session.server, use);
  const platform = await io.openPlatform({ dataDir, env: io.env, signal, work });
  if (typeof platform === 'string') return withServer(session, { address: platform, tls: undefined }, use);
  try {
    signal.throwIfAborted();
    await use(platform.channel, true);
  } catch (error) {
    throw error instanceof Internal
      ? new Internal(`${error.message} (${platform.logFile})`, { cause: error })
      : error;
  } finally {
    session.progress.end();
    await platform.close();
  }
}

export const newRequestId = randomUUID;
