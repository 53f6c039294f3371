/** The server process that a cluster's postmaster.pid names: whose it is, and how to end it. */
import { execFileSync } from 'node:child_process';
import { readFileSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { FailedPrecondition, Unavailable } from '@emotune/base';

const stopSeconds = 60;

/** Another process serves this cluster, or has not left it yet. */
export class ClusterInUse extends FailedPrecondition {}

export interface Postmaster {
  readonly pid: number;
  /** starting, ready, stopping, standby */
  readonly state: string;
}

/** What postmaster.pid says; undefined when there is none. Its process may be long gone. */
export function readPostmaster(data: string): Postmaster | undefined {
  let lines: string[];
  try {
    lines = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n');
  } catch {
    return undefined;
  }
  const pid = Number(lines[0]);
  return Number.isInteger(pid) && pid > 0 ? { pid, state: (lines[7] ?? '').trim() } : undefined;
}

/** The setting that tells later processes who started a server. */
export function ownerMark(pid: number): string {
  return `emotune-of-${pid}`;
}

interface Inspected {
  readonly command: string;
  readonly parent: number;
  /** Working in the cluster's folder, as a server does. */
  readonly inside: boolean;
}

/** Undefined when the process is gone. */
function inspect(pid: number, data: string): Inspected | undefined {
  try {
    if (process.platform === 'linux') {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      // "pid (name) state parent …"; the name may hold anything.
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (state === 'Z') return undefined;
      return { command, parent: Number(parent), inside: readlinkSync(`/proc/${pid}/cwd`) === data };
    }
    const text = execFileSync('ps', ['-ww', '-p', String(pid), '-o', 'ppid=,args='], { encoding: 'utf8' });
    const [, parent, command] = /^\s*(\d+)\s+(.*)/s.exec(text) ?? [];
    if (command === undefined) return undefined;
    return { command, parent: Number(parent), inside: command.includes(` ${data} `) };
  } catch {
    return undefined;
  }
}

/**
 * Ends the server that a killed process left behind on this cluster, so that a new one can start. Ends no other process.
 * @throws ClusterInUse while the server's owner lives.
 */
export async function stopOrphan(data: string): Promise<void> {
  const postmaster = readPostmaster(data);
  if (postmaster === undefined) return;
  const { pid } = postmaster;
  const running = () => {
    const found = inspect(pid, data);
    return found?.inside && found.command.includes('postgres') ? found : undefined;
  };
  const server = running();
  if (server === undefined) {
    // Its number was given to another program since; PostgreSQL would take that one for a server and refuse to start.
    if (inspect(pid, data) !== undefined) rmSync(join(data, 'postmaster.pid'), { force: true });
    return;
  }
  if (server.command.split(/[ =]/).includes(ownerMark(server.parent))) {
    throw new ClusterInUse(
      `The database in ${data} is in use by process ${server.parent}; stop that first, or choose another data folder`,
    );
  }
  try {
    process.kill(pid, 'SIGINT');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ESRCH') throw notStopped(data, pid, cause);
  }
  for (let waited = 0; running() !== undefined; waited += 0.02) {
    if (waited > stopSeconds) throw notStopped(data, pid);
    await delay(20);
  }
}

function notStopped(data: string, pid: number, cause?: unknown): Unavailable {
  return new Unavailable(`A PostgreSQL server left behind on ${data} does not stop; end process ${pid}`, {
    cause,
  });
}
