/**
 * The trainer process: one attempt of one trial. What it is told and how it ends: the trainer's protocol of libs/jobs. Whoever
 * asks it to end is heard before anything is loaded, which takes seconds.
 */
import type { TrainerMessage } from '@emotune/jobs';

const interrupt = new AbortController();
const longestEndSeconds = 10;
for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.on(signal, () => {
    if (interrupt.signal.aborted) return;
    interrupt.abort();
    void import('@emotune/base').then(({ endWithin }) => endWithin(longestEndSeconds));
  });
// Where what is logged goes once the platform that started it has left on purpose.
let detachedLog: string | undefined;
// It has died: nobody will read the trainer's end, but its checkpoint counts.
process.on('disconnect', () => detachedLog === undefined && interrupt.abort());
if (process.connected === false) interrupt.abort();
// Nor does a log that nobody reads any more end the run.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

const tokenMessage = new Promise<string>((resolve) => {
  process.on('message', (message: TrainerMessage) => {
    if ('token' in message) resolve(message.token);
    else detachedLog = message.detached.log;
  });
});
const interruption = new Promise<undefined>((resolve) => {
  if (interrupt.signal.aborted) resolve(undefined);
  interrupt.signal.addEventListener('abort', () => resolve(undefined), { once: true });
});

const ending = import('./ending.js');
const attempt = await Promise.race([import('./attempt.js'), interruption]);
const exitCode = await attempt?.run({
  environment: process.env,
  token: () => Promise.race([tokenMessage, interruption]),
  signal: interrupt.signal,
  detachedLog: () => detachedLog,
});
// The channels to the platform would keep the process.
process.exit((await ending).leave(exitCode, process.env));
