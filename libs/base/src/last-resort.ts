/** An end for a process that does not find its own. */
import { spawn } from 'node:child_process';

/** Waits beside the process, whose end it hears of by its input. */
const watcher = `
process.stdin.on('end', () => process.exit()).resume();
process.stdin.on('error', () => process.exit());
setTimeout(() => { try { process.kill(Number(process.argv[1]), 'SIGKILL'); } catch {} process.exit(); }, Number(process.argv[2]));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});
`;

/**
 * Kills this process unless it has ended by then: neither work that never ends nor a thread that waits for a file, which holds up
 * `process.exit` for ever, keeps it.
 */
export function endWithin(seconds: number): void {
  const ms = seconds * 1000;
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), ms).unref();
  const child = spawn(
    process.execPath,
    ['--input-type=commonjs', '-e', watcher, String(process.pid), String(ms)],
    {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
      env: {},
    },
  );
  // Where no process can be started, the timer is left.
  child.on('error', () => {});
  child.stdin.on('error', () => {});
  child.unref();
  (child.stdin as unknown as { unref(): void }).unref();
}
