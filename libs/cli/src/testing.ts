/** A process to run commands in, for tests of the command line. */
import { PassThrough, Readable, Writable } from 'node:stream';
import type { Commands } from './commands.js';
import { type Io, Stopped } from './io.js';
import { run } from './run.js';

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly commands: Commands;
  readonly cwd: string;
  /** Default: there is none. */
  readonly openPlatform?: Io['openPlatform'];
  readonly env?: Readonly<Record<string, string>>;
  /** Absent: a terminal. */
  readonly stdin?: string | Uint8Array;
  /** Asked after every line of output whether to press Ctrl-C. */
  readonly interruptAt?: (stdout: string) => boolean;
}

/** Runs a command line as a process would. */
export async function runCommand(args: readonly string[], options: RunOptions): Promise<Outcome> {
  const stop = new AbortController();
  let [stdout, stderr] = ['', ''];
  const out = new Writable({
    write: (chunk, _, done) => {
      stdout += chunk;
      if (options.interruptAt?.(stdout)) stop.abort(new Stopped(130, 'stopped'));
      done();
    },
  });
  const err = new Writable({
    write: (chunk, _, done) => {
      stderr += chunk;
      done();
    },
  });
  const terminal = Object.assign(new PassThrough(), { isTTY: true });
  const code = await run(
    args,
    {
      stdin: options.stdin === undefined ? terminal : Readable.from([options.stdin]),
      stdout: out,
      stderr: err,
      env: options.env ?? {},
      cwd: options.cwd,
      signal: stop.signal,
      openPlatform: options.openPlatform ?? (() => Promise.reject(new Error('this test has no platform'))),
    },
    options.commands,
  );
  return { code, stdout, stderr };
}
