/** What a trainer process does once it is loaded. */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { endingExitCodes, systemClock, temporaryPrefix } from '@emotune/base';
import { spanned } from '@emotune/base/trace';
import { LogFolder, readEnvironment, SafeLines, secretsOf, type TrainerEnvironment } from '@emotune/jobs';
import { openObjectStore } from '@emotune/objects';
import type { tuning } from '@emotune/proto';
import { Channel, jsonLog, startTracing, Tls } from '@emotune/service/client';
import { failureOf } from './outcome.js';
import { Trial } from './trial.js';

export interface Surroundings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Undefined when it is to end before it has one. */
  token(): Promise<string | undefined>;
  /** Aborts when it is to end. */
  readonly signal: AbortSignal;
  /** The folder that its log goes on in, once who started it has left. */
  detachedLog(): string | undefined;
}

function trusting({ ca, caFile }: NonNullable<TrainerEnvironment['tls']>): Tls {
  return ca === undefined ? Tls.files({ EMOTUNE_TLS_CA_FILE: caFile }) : new Tls(() => ({ ca }));
}

/** The exit code. */
export async function run({ environment, signal, ...given }: Surroundings): Promise<number> {
  let token: string | undefined;
  const write = (line: string) => {
    const folder = given.detachedLog();
    if (folder === undefined) {
      process.stdout.write(line);
      return;
    }
    const log = new LogFolder(folder);
    const lines = new SafeLines(secretsOf(environment, token), (bytes) => log.append(bytes));
    lines.take(Buffer.from(line));
    lines.end();
  };
  const log = jsonLog(write, { service: 'trainer' });
  let work: string | undefined;
  let endTracing: (() => Promise<void>) | undefined;
  try {
    endTracing = await startTracing('trainer', environment);
    work = await mkdtemp(temporaryPrefix('trainer'));
    const {
      tuning: address,
      tls,
      trial,
      objects,
      threads,
      device,
      traceparent,
      ...told
    } = readEnvironment(environment);
    token = told.token ?? (await given.token());
    if (token === undefined) return endingExitCodes.Interrupted;
    const attempt = new Trial({
      trial,
      threads: threads || availableParallelism(),
      device,
      token,
      work,
      log,
      client: Channel.connect(address, { tls: tls && trusting(tls) }).client<tuning.TrialServiceClient>(
        'TrialService',
      ),
      objects: await openObjectStore(objects, environment),
      signal,
      clock: systemClock,
    });
    const attributes = { 'emotune.experiment': trial.experiment, 'emotune.trial': trial.number };
    return await spanned('train', { parent: traceparent, attributes }, () => attempt.run());
  } catch (error) {
    log.error('the trainer failed', { error });
    return failureOf(error).exitCode;
  } finally {
    await endTracing?.();
    if (work !== undefined) await rm(work, { recursive: true, force: true });
  }
}
