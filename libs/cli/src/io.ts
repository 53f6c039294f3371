/** What the command line touches of the process it runs in, so that tests can run it in theirs. */
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { EmotuneError, type ErrorPolicy } from '@emotune/base';
import type { Channel, Work } from '@emotune/service/client';

export type TextOutput = Writable & { readonly isTTY?: boolean };
type TextInput = Readable & { readonly isTTY?: boolean };

/** Which platform is opened, and by whom. */
export interface OpenOptions extends Pick<Io, 'env' | 'signal'> {
  readonly dataDir: string;
  /** What one that is started does in the background. One that carries experiments on lets other commands find it. */
  readonly work: Work;
}

/** A platform that runs in this process. */
export interface Embedded {
  readonly channel: Channel;
  readonly logFile: string;
  close(): Promise<void>;
}

export interface Io {
  readonly stdin: TextInput;
  readonly stdout: TextOutput;
  readonly stderr: TextOutput;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Paths that the user gives are relative to this folder. */
  readonly cwd: string;
  /** Aborts with `Stopped` when the user or the system wants the command to end. */
  readonly signal: AbortSignal;
  /** The platform of a data folder: started in this process, or the host:port of the one that serves it already. */
  readonly openPlatform: (options: OpenOptions) => Promise<Embedded | string>;
}

/** Asked to end from outside. */
export class Stopped extends EmotuneError {
  constructor(
    readonly exitCode: number,
    message: string,
  ) {
    super(message);
  }

  override get policy(): ErrorPolicy {
    return { ...super.policy, exitCode: this.exitCode };
  }
}

/** Writes one line, no faster than it is read. */
export async function writeLine(output: TextOutput, line: string, signal: AbortSignal): Promise<void> {
  if (!output.write(`${line}\n`)) await once(output, 'drain', { signal });
}
