/** The `emotune` program. What a command does not need is not loaded for it. */
import { endWithin } from '@emotune/base';
import { run, Stopped } from '@emotune/cli';
import { commands } from './commands.js';

const longestEndSeconds = 10;
const stop = new AbortController();
const signals = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
for (const [signal, exitCode] of Object.entries(signals)) {
  // A second one ends the process at once: who presses Ctrl-C sees it stop, and has no need of a limit.
  process.once(signal, () => {
    stop.abort(new Stopped(exitCode, 'stopped'));
    if (signal !== 'SIGINT') endWithin(longestEndSeconds);
  });
}
// Whoever reads the output has seen enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  stop.abort(new Stopped(0, 'the output was closed'));
});

process.exitCode = await run(
  process.argv.slice(2),
  {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    cwd: process.cwd(),
    signal: stop.signal,
    openPlatform: async (options) => (await import('./open-platform.js')).embedded(options),
  },
  commands,
);
