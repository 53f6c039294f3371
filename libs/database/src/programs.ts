/** Runs PostgreSQL's programs, as another user where this process is root: they refuse to run as root. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { basename } from 'node:path';
import { endOf } from '@emotune/base';

/** Empty: the user of this process. */
export interface ServerUser {
  readonly uid?: number;
  readonly gid?: number;
}

/** Nothing of this process's own environment reaches the server. */
const env = { LC_ALL: 'C', TZ: 'UTC' };

/** An account without rights for root's servers: postgres where there is one, else nobody. */
export function serverUser(): ServerUser {
  if (process.getuid?.() !== 0) return {};
  const id = (option: string, account: string) =>
    Number(execFileSync('id', [option, account], { stdio: ['ignore', 'pipe', 'ignore'] }));
  for (const account of ['postgres', 'nobody']) {
    try {
      return { uid: id('-u', account), gid: id('-g', account) };
    } catch {
      // No such account.
    }
  }
  return { uid: 65534, gid: 65534 };
}

/**
 * How a program started on `dir` names that folder. Root's server may not enter the folders above it (/root), so there
 * it goes in by an open handle, which Linux offers as a path.
 */
export function folderName(dir: string, user: ServerUser): string {
  return user.uid !== undefined && process.platform === 'linux' ? '/proc/self/fd/3' : dir;
}

/** Starts a program on `dir`, in a process group of its own: a Ctrl-C must not end a server before those who use it. */
export function startProgram(
  file: string,
  args: readonly string[],
  user: ServerUser,
  dir: string,
  output: number | 'pipe',
): ChildProcess {
  const handle = openSync(dir, 'r');
  try {
    const stdio = ['ignore', output, output, handle] as const;
    return spawn(file, args, { ...user, env, cwd: '/', stdio: [...stdio], detached: true });
  } finally {
    closeSync(handle);
  }
}

/** What it said. Rejects with the end of that, or with the system's `code` when it cannot be started. */
export function runProgram(
  file: string,
  args: readonly string[],
  user: ServerUser,
  dir: string,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = startProgram(file, args, user, dir, 'pipe');
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data) => (said += data));
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code === 0) resolve(said);
      else reject(new Error(`${basename(file)} ended with ${code ?? signal}: ${endOf(said.trim(), 500)}`));
    });
  });
}
