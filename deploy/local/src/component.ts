import { spawn } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { script, scriptFile } from './script.js';

/** What a script of this package runs, with its state in a temporary folder. It ends with this process, however that ends. */
export interface Component {
  /** Of its state. */
  readonly folder: string;
  /** The last line of its start. */
  readonly said: string;
  /** Runs a command of its script; its last line. @throws with what it wrote on stderr */
  call(command: string, ...args: readonly string[]): Promise<string>;
  /** Ends it and removes its folder. */
  stop(): Promise<void>;
}

interface ComponentOptions {
  /** In the name of its folder. */
  readonly name: string;
  /** Of its script, in this package, which knows `up` and `down`. */
  readonly path: string;
  /** After a command and the folder of its state. */
  readonly args?: readonly string[];
  /** After `up` alone. */
  readonly up?: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** Waits at its stdin: for a line when there is nothing left to end, for its end when this process is gone. One command at a time. */
const survivor = 'read -r _ && exit; flock --close "$0" "$@"; rm -rf "$(dirname "$0")"';

export async function component({
  name,
  path,
  args = [],
  up = [],
  environment,
}: ComponentOptions): Promise<Component> {
  const temporary = await mkdtemp(join(tmpdir(), `emotune-${name}-`));
  // PostgreSQL runs as another user.
  await chmod(temporary, 0o711);
  const [folder, lock] = [join(temporary, name), join(temporary, 'lock')];
  const call = (command: string, ...more: readonly string[]) =>
    script(path, [command, folder, ...args, ...more], environment, lock);
  const watch = spawn('sh', ['-c', survivor, lock, scriptFile(path), 'down', folder, ...args], {
    env: { ...process.env, ...environment },
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  watch.unref();
  (watch.stdin as Socket).unref();
  const end = async () => {
    await call('down');
    watch.stdin.end('\n');
    await rm(temporary, { recursive: true, force: true });
  };
  let ended: Promise<void> | undefined;
  const stop = () => {
    ended ??= end();
    return ended;
  };
  try {
    return { folder, said: await call('up', ...up), call, stop };
  } catch (error) {
    // Its folder stays for whoever looks for the reason.
    await call('down').catch(() => {});
    watch.stdin.end('\n');
    throw error;
  }
}
