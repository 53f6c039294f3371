/** The trainer process: one attempt of one trial. Its exit codes are those of `endings`. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@emotune/base';
import type { TokenMessage } from '@emotune/jobs';
import { openObjectStore } from '@emotune/objects';
import type { tuning } from '@emotune/proto';
import { Channel, jsonLog } from '@emotune/service/client';
import { endings } from '@emotune/training';
import { trainerEnvironment } from './environment.js';
import { failureOf } from './outcome.js';
import { Trial } from './trial.js';

const interrupt = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => interrupt.abort());
// The platform that started it has died: nobody will read its end, but its checkpoint counts.
process.on('disconnect', () => interrupt.abort());
if (process.connected === false) interrupt.abort();
// Nor does a log that nobody reads any more end the run.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

const tokenMessage = new Promise<string>((resolve) => {
  process.on('message', (message: Partial<TokenMessage>) => {
    if (typeof message?.token === 'string') resolve(message.token);
  });
});
const interruption = new Promise<undefined>((resolve) => {
  if (interrupt.signal.aborted) resolve(undefined);
  interrupt.signal.addEventListener('abort', () => resolve(undefined), { once: true });
});

const log = jsonLog((line) => process.stdout.write(line), { service: 'trainer' });
const work = await mkdtemp(join(tmpdir(), 'emotune-trainer-'));
let exitCode: number;
try {
  const { tuning: address, trial, objects, threads, ...given } = trainerEnvironment(process.env);
  const token = given.token ?? (await Promise.race([tokenMessage, interruption]));
  exitCode =
    token === undefined
      ? endings.Interrupted.exitCode
      : await new Trial({
          ...{ trial, threads, token, work, log },
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
// The channels to the platform would keep the process.
process.exit(exitCode);
