/** The command as users run it: compiled, in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { systemClock } from '@emotune/base';
import { common } from '@emotune/proto';
import { Channel } from '@emotune/service';
import { tokenFile, tokenIn } from '@emotune/service/client';

const program = fileURLToPath(new URL('../../services/platform/dist/main.js', import.meta.url));

/** Nothing of the environment that tests run in, so that no setting of its user counts. */
const environment = { PATH: process.env['PATH'], HOME: process.env['HOME'] };

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that runs, and what it has written so far. */
export interface Running {
  readonly child: ChildProcess;
  readonly output: { stdout: string; stderr: string };
  readonly ended: Promise<Ended>;
}

export interface BeginOptions {
  readonly cwd?: string;
  /** A program that runs the command, with its arguments. */
  readonly launcher?: readonly string[];
  /** Beside PATH and HOME. */
  readonly env?: Readonly<Record<string, string>>;
}

export function begin(args: readonly string[], options: BeginOptions = {}): Running {
  const [file, ...before] = [...(options.launcher ?? []), process.execPath, program];
  const child = spawn(file, [...before, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...environment, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name]!.setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, ...output }));
  });
  return { child, output, ended };
}

export function emotune(args: readonly string[], options?: BeginOptions): Promise<Ended> {
  return begin(args, options).ended;
}

export interface Served {
  readonly child: ChildProcess;
  readonly address: string;
  readonly channel: Channel;
  end(signal: NodeJS.Signals): Promise<Ended>;
}

/** Serves the platform of a data folder until it is ended. */
export async function serve(dataDir: string, options?: BeginOptions): Promise<Served> {
  const { child, ended } = begin(['--json', '--data-dir', dataDir, 'up', '--port', '0'], options);
  for await (const line of createInterface({ input: child.stdout! })) {
    const { address } = JSON.parse(line) as { address: string };
    const channel = Channel.connect(address, { token: await tokenIn(join(dataDir, tokenFile)) });
    return {
      child,
      address,
      channel,
      end(signal) {
        channel.close();
        child.kill(signal);
        return ended;
      },
    };
  }
  throw new Error(`the platform ended before it served: ${(await ended).stderr}`);
}

/** Looks until it holds. */
export async function until(what: string, holds: () => unknown, seconds = 240): Promise<void> {
  for (const deadline = Date.now() + seconds * 1000; !(await holds()); await systemClock.sleep(20))
    if (Date.now() > deadline) throw new Error(`${what}: not within ${seconds} s`);
}

const { BUILD_STATE_READY, BUILD_STATE_FAILED } = common.BuildState;

/** Waits until a dataset or feature set is built. */
export async function built<T extends { state: common.BuildState; failure: string }>(
  look: () => Promise<T>,
): Promise<T> {
  for (const deadline = Date.now() + 240_000; ; await systemClock.sleep(50)) {
    const found = await look();
    if (found.state === BUILD_STATE_READY) return found;
    if (found.state === BUILD_STATE_FAILED || Date.now() > deadline)
      throw new Error(found.failure || 'too slow');
  }
}

/** The PostgreSQL server and the trainers that the platform of a data folder has started, by process id. */
export function childrenOf(dataDir: string): number[] {
  const jobs = join(dataDir, 'jobs');
  // What ends meanwhile takes its file along.
  const read = (path: string) => (existsSync(path) ? readFileSync(path, 'utf8') : '');
  const records = (existsSync(jobs) ? readdirSync(jobs) : []).filter((name) => name.endsWith('.job.json'));
  return [
    Number(read(join(dataDir, 'postgres', 'data', 'postmaster.pid')).split('\n')[0]),
    ...records.map((name) => {
      const { phase, pid } = JSON.parse(read(join(jobs, name)) || '{}') as { phase?: string; pid?: number };
      return phase === 'running' && pid !== undefined ? pid : 0;
    }),
  ].filter((pid) => pid > 0);
}

export function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
