/** One call of the command: its global options, how it answers, and the platform that it talks to. */
import { randomUUID } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Internal, InvalidArgument, show, systemClock } from '@emotune/base';
import { Channel, jsonLog, type Log } from '@emotune/service';
import { type Io, writeLine } from './io.js';
import type { Platform, PlatformOptions } from './platform.js';
import { Progress } from './progress.js';
import { runningPlatform } from './running-platform.js';

export interface GlobalOptions {
  readonly json?: boolean;
  readonly server?: string;
  readonly dataDir?: string;
}

export class Session {
  readonly json: boolean;
  readonly dataDir: string;
  /** host:port; undefined means the platform of the data folder. */
  readonly server: string | undefined;
  /** On stderr, so that stdout holds results only. */
  readonly progress: Progress;

  /** @throws InvalidArgument */
  constructor(
    readonly io: Io,
    options: GlobalOptions,
  ) {
    this.json = options.json ?? false;
    this.dataDir = this.path(options.dataDir ?? (io.env['EMOTUNE_DATA_DIR'] || '.emotune'));
    this.server = options.server ?? (io.env['EMOTUNE_SERVER'] || undefined);
    if (this.server !== undefined && !/^(\[[\da-f:]+\]|[^\s:/]+):\d{1,5}$/i.test(this.server)) {
      const name = options.server === undefined ? 'EMOTUNE_SERVER' : '--server';
      throw InvalidArgument.at(name, `expected HOST:PORT such as 127.0.0.1:50051, got ${show(this.server)}`);
    }
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
    return writeLine(this.io.stdout, text, this.signal);
  }

  /** Something to know beside the result. */
  note(line: string): void {
    this.progress.line(line);
  }
}

async function withServer(
  address: string,
  use: (channel: Channel, embedded: boolean) => Promise<void>,
): Promise<void> {
  const channel = Channel.connect(address);
  try {
    await use(channel, false);
  } finally {
    channel.close();
  }
}

/** A command that uses the data folder for a moment is waited for this long. */
const turnMs = 15_000;
const lookMs = 100;

/** Starts the platform of the data folder; gives the host:port of the one that serves it already. */
export async function openPlatform(
  { io, dataDir, signal }: Session,
  options: Omit<PlatformOptions, 'dataDir'>,
): Promise<Platform | string> {
  const { startPlatform } = await import('./platform.js');
  const { ClusterInUse } = await import('@emotune/database');
  for (const deadline = systemClock.now() + turnMs; ; await systemClock.sleep(lookMs, signal)) {
    const address = await runningPlatform(dataDir);
    signal.throwIfAborted();
    if (address !== undefined) return address;
    try {
      const corporaDir = io.env['EMOTUNE_CORPORA'] || undefined;
      return await startPlatform({ corporaDir, ...options, dataDir });
    } catch (error) {
      if (!(error instanceof ClusterInUse) || systemClock.now() > deadline) throw error;
    }
  }
}

/** Of the platform of a command: its log, and where that lies. */
export function logInto(dataDir: string): { log: Log; logFile: string } {
  const logFile = join(dataDir, 'platform.log');
  const write = (line: string) => {
    try {
      appendFileSync(logFile, line);
    } catch {
      // A full disk costs the log, not the command.
    }
  };
  return { logFile, log: jsonLog(write) };
}

/**
 * Connects to the server that was named, else to the platform that serves the data folder, else to one that is started
 * over the data folder for as long as `use` takes.
 * @param announce lets other commands use that one meanwhile: for work of which nobody knows how long it takes
 */
export async function withPlatform(
  session: Session,
  use: (channel: Channel, embedded: boolean) => Promise<void>,
  announce = false,
): Promise<void> {
  const { dataDir, signal } = session;
  if (session.server !== undefined) return withServer(session.server, use);
  const { log, logFile } = logInto(dataDir);
  const platform = await openPlatform(session, { log, announce });
  if (typeof platform === 'string') return withServer(platform, use);
  try {
    signal.throwIfAborted();
    await use(platform.channel, true);
  } catch (error) {
    throw error instanceof Internal ? new Internal(`${error.message} (${logFile})`, { cause: error }) : error;
  } finally {
    session.progress.end();
    await platform.close();
  }
}

export const newRequestId = randomUUID;
