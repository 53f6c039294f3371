import { execFile, execFileSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const folder = fileURLToPath(new URL('..', import.meta.url));

/** Where programs of components are kept between runs. */
export const cache =
  process.env.EMOTUNE_TEST_CACHE ??
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'emotune-test');

export function scriptFile(path: string): string {
  return join(folder, path);
}

/**
 * Runs a script of this package; its last line.
 * @param lock a file: of the scripts with the same one runs at a time
 * @throws with what it wrote on stderr
 */
export async function script(
  path: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  lock?: string,
): Promise<string> {
  const command = [scriptFile(path), ...args];
  const [program, ...rest] = lock === undefined ? command : ['flock', '--close', lock, ...command];
  const { stdout } = await run(program, rest, {
    env: { ...process.env, EMOTUNE_TEST_CACHE: cache, ...environment },
  });
  return stdout.trim().split('\n').at(-1) ?? '';
}

/** The first of the programs that is not on PATH. */
export function missingProgram(...programs: readonly string[]): string | undefined {
  return programs.find((program) => {
    try {
      execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
      return false;
    } catch {
      return true;
    }
  });
}

export const loopback = '127.0.0.1';

/** Below those that systems give to whoever connects: a server that is away finds its port free when it comes back. */
const [lowestPort, highestPort] = [10_240, 22_000];

/** The first of `count` ports of an address of this machine in a row, each free when it was looked at. */
export async function freePorts(count: number, host = loopback): Promise<number> {
  for (;;) {
    const first = randomInt(lowestPort, highestPort - count);
    try {
      for (let i = 0; i < count; i++) await checkPort(first + i, host);
      return first;
    } catch {
      // One of them is taken: elsewhere.
    }
  }
}

/** @throws when it is taken */
function checkPort(port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer()
      .once('error', reject)
      .listen(port, host, () => server.close(() => resolve()));
  });
}
