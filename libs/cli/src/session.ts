/** One call of the command: its global options, how it answers, and the platform that it talks to. */
import { randomUUID } from 'node:crypto';
import { join, resolve } from 'node:path';
import { Internal, printable, printableJson, systemClock, Unauthenticated } from '@emotune/base';
import {
  type Channel,
  isLoopback,
  type Patience,
  tokenFile,
  tokenIn,
  tokenOf,
  type Work,
} from '@emotune/service/client';
import { type Io, writeLine } from './io.js';
import { Progress } from './progress.js';
import { oneServer, type Servers, serversOf } from './servers.js';

export interface GlobalOptions {
  readonly json?: boolean;
  readonly server?: string;
  readonly dataDir?: string;
}

export class Session {
  readonly json: boolean;
  readonly dataDir: string;
  /** Undefined means the platform of the data folder. */
  readonly servers: Servers | undefined;
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
      this.servers = serversOf(server, options.server === undefined ? 'EMOTUNE_SERVER' : '--server', io.env);
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
  { addresses }: Servers,
): Promise<{ readonly token: string | undefined; readonly from: string }> {
  const token = await tokenOf(io.env);
  if (token !== undefined) return { token, from: 'the environment (EMOTUNE_TOKEN or EMOTUNE_TOKEN_FILE)' };
  const file = join(dataDir, tokenFile);
  if (!addresses.every(isLoopback)) return { token, from: 'EMOTUNE_TOKEN, which is not set' };
  return { token: await tokenIn(file), from: file };
}

/** A server that has too much to do says when to ask again. */
function patienceOf(session: Session): Patience {
  return {
    mostMs: 60_000,
    waits: (ms, { message }) => session.note(`asking again in ${Math.ceil(ms / 1000)} s: ${message}`),
  };
}

async function withServers(
  session: Session,
  servers: Servers,
  use: (channel: Channel, embedded: boolean) => Promise<void>,
): Promise<void> {
  const { token, from } = await tokenFor(session, servers);
  const channel = servers.connect({ token, patience: patienceOf(session) });
  const asking = servers.addresses.join(', ');
  try {
    await use(channel, false);
  } catch (error) {
    if (!(error instanceof Unauthenticated)) throw error;
    // A token that it knows, but does not take: it says why.
    if (token !== undefined && !/^expected (?:the|a) token of .*, got (?:none|another)$/.test(error.message))
      throw new Unauthenticated(`${asking}: ${error.message} (shown was that of ${from})`, { cause: error });
    const tried = token === undefined ? `none was found in ${from}` : `that in ${from} is not its token`;
    throw new Unauthenticated(
      `${asking} asks for a token, and ${tried}: name its data folder by --data-dir, or set EMOTUNE_TOKEN`,
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
  if (session.servers !== undefined) return withServers(session, session.servers, use);
  const platform = await io.openPlatform({ dataDir, env: io.env, signal, work });
  if (typeof platform === 'string') return withServers(session, oneServer({ address: platform }), use);
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
