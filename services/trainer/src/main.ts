/** The trainer process: one attempt of one trial. What it is told and how it ends: the trainer's protocol of libs/jobs. */
import { appendFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { endingExitCodes, systemClock } from '@emotune/base';
import { readEnvironment, type TrainerMessage } from '@emotune/jobs';
import { openObjectStore } from '@emotune/objects';
import type { tuning } from '@emotune/proto';
import { Channel, jsonLog } from '@emotune/service/client';
import { failureOf } from './outcome.js';
import { Trial } from './trial.js';

const interrupt = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => interrupt.abort());
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

function write(line: string): void {
  if (detachedLog === undefined) {
    process.stdout.write(line);
    return;
  }
  try {
    appendFileSync(detachedLog, line);
  } catch {
    // A full disk costs the log, not the trial.
  }
}

const log = jsonLog(write, { service: 'trainer' });
const work = await mkdtemp(join(tmpdir(), 'emotune-trainer-'));
let exitCode: number;
let terminationLog: string | undefined;
try {
  const { tuning: address, trial, objects, threads, ...given } = readEnvironment(process.env);
  ({ terminationLog } = given);
  const token = given.token ?? (await Promise.race([tokenMessage, interruption]));
  exitCode =
    token === undefined
      ? endingExitCodes.Interrupted
      : await new Trial({
          trial,
          threads: threads || availableParallelism(),
          token,
          work,
          log,
          client: Channel.connect(address).client<tuning.TrialServiceClient>('TrialService'),
          objects: await openObjectStore(objects),
          signal: interrupt.signal,
          clock: systemClock,
        }).run();
} catch (error) {
  log.error('the trainer failed', { error });
  ({ exitCode } = failureOf(error));
}
await rm(work, { recursive: true, force: true });
if (terminationLog !== undefined) await writeFile(terminationLog, String(exitCode)).catch(() => {});
// The channels to the platform would keep the process.
process.exit(exitCode);
