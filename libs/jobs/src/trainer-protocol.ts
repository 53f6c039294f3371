/**
 * What a trainer and whoever starts, watches or judges it agree on: its environment, its labels, its messages, and
 * the word for how it ended. Its exit codes are `endingExitCodes`, and 0 for done.
 */
import { constants } from 'node:os';
import { type Ending, endingExitCodes, parse } from '@emotune/base';
import type { Blame } from '@emotune/search';
import { z } from 'zod';
import type { JobStatus } from './runner.js';

const whole = (least: number) => z.coerce.number().int().min(least);

/** Before the address of a tuning service that is called by TLS. */
const secure = 'https://';

const variables = z.object({
  /** Tuning service, host:port; https:// before it where it is called by TLS. */
  EMOTUNE_TUNING: z.string().regex(/^(https:\/\/)?[^/]+:\d+$/, 'expected host:port or https://host:port'),
  /** The CA of the tuning service's certificate, PEM; without it that of the file, without both those of the system. */
  EMOTUNE_TLS_CA: z.string().optional(),
  EMOTUNE_TLS_CA_FILE: z.string().optional(),
  EMOTUNE_EXPERIMENT: z.string().min(1),
  EMOTUNE_TRIAL: whole(0),
  EMOTUNE_ATTEMPT: whole(1),
  /** URL of the object store. */
  EMOTUNE_OBJECTS: z.string().min(1),
  /** 0: as many as the machine has. */
  EMOTUNE_THREADS: whole(0).default(0),
  /** Where it computes if its assignment does not say. */
  EMOTUNE_DEVICE: z.string().optional(),
  /** The trace of the trial, W3C. */
  TRACEPARENT: z.string().optional(),
  /** Absent where the token comes in a message. */
  EMOTUNE_TOKEN: z.string().min(1).optional(),
});

/** What a trainer is told when it is started. */
export interface TrainerEnvironment {
  /** Where the tuning service is, host:port. */
  readonly tuning: string;
  /** How it is called by TLS: by its CA, PEM, or a file of it; with neither by those of the system. */
  readonly tls?: { readonly ca?: string | undefined; readonly caFile?: string | undefined } | undefined;
  readonly trial: { readonly experiment: string; readonly number: number; readonly attempt: number };
  /** URL of the object store. */
  readonly objects: string;
  /** 0: as many as the machine has. */
  readonly threads: number;
  /** Where it computes if its assignment does not say; whoever set up the machine knows. */
  readonly device?: string | undefined;
  readonly token?: string | undefined;
  /** The trace of the trial, W3C. */
  readonly traceparent?: string | undefined;
}

/** The variables that `readEnvironment` reads. A token is a secret: it stays out of them unless it is given. */
export function writeEnvironment(given: TrainerEnvironment): Record<string, string> {
  const { tuning, tls, trial, objects, threads, token, traceparent } = given;
  return {
    EMOTUNE_TUNING: tls ? `${secure}${tuning}` : tuning,
    ...(tls?.ca ? { EMOTUNE_TLS_CA: tls.ca } : {}),
    ...(tls?.caFile ? { EMOTUNE_TLS_CA_FILE: tls.caFile } : {}),
    EMOTUNE_EXPERIMENT: trial.experiment,
    EMOTUNE_TRIAL: String(trial.number),
    EMOTUNE_ATTEMPT: String(trial.attempt),
    EMOTUNE_OBJECTS: objects,
    EMOTUNE_THREADS: String(threads),
    ...(token === undefined ? {} : { EMOTUNE_TOKEN: token }),
    ...(traceparent === undefined ? {} : { TRACEPARENT: traceparent }),
  };
}

const terminationLog = 'EMOTUNE_TERMINATION_LOG';

/**
 * The variable that a runner adds of its own accord: a file into which the trainer writes its exit code last of all, for a
 * runner that is not its parent any more.
 */
export function terminationTo(file: string): Record<string, string> {
  return { [terminationLog]: file };
}

export function terminationLogOf(given: Readonly<Record<string, string | undefined>>): string | undefined {
  return given[terminationLog] || undefined;
}

/** @throws InvalidArgument naming every variable that is missing or wrong, without the token. */
export function readEnvironment(given: Readonly<Record<string, string | undefined>>): TrainerEnvironment {
  const found = parse(variables, given);
  const { EMOTUNE_TUNING: tuning, EMOTUNE_TLS_CA: ca, EMOTUNE_TLS_CA_FILE: caFile } = found;
  return {
    ...(tuning.startsWith(secure)
      ? { tuning: tuning.slice(secure.length), tls: { ca, caFile } }
      : { tuning }),
    trial: {
      experiment: found.EMOTUNE_EXPERIMENT,
      number: found.EMOTUNE_TRIAL,
      attempt: found.EMOTUNE_ATTEMPT,
    },
    objects: found.EMOTUNE_OBJECTS,
    threads: found.EMOTUNE_THREADS,
    device: found.EMOTUNE_DEVICE || undefined,
    token: found.EMOTUNE_TOKEN,
    traceparent: found.TRACEPARENT,
  };
}

/** What a trainer that is a child process is sent over its IPC channel. The channel closes when its parent dies. */
export type TrainerMessage =
  | { readonly token: string }
  /** The parent leaves on purpose: the trainer goes on, and adds what it has to say to the log in this folder. */
  | { readonly detached: { readonly log: string } };

/** The labels of a job and its pods. */
export const labels = {
  experiment: 'emotune.io/experiment',
  /** The trial's name over all experiments: `<experiment>-t<number>`. */
  trial: 'emotune.io/trial',
  trialNumber: 'emotune.io/trial-number',
  architecture: 'emotune.io/architecture',
  attempt: 'emotune.io/attempt',
} as const;

export const annotations = {
  /** Hyperparameters as JSON. */
  parameters: 'emotune.io/parameters',
  /** The newest objective of its trial, and the step that it has come to. */
  objective: 'emotune.io/objective',
  step: 'emotune.io/step',
} as const;

interface Meaning {
  /** Who is to blame, and with it whether the sampler hears of it and whether another attempt helps. */
  readonly blames: Blame;
  /** It left on request after a checkpoint, or its machine was taken or never came: no attempt is used up by it. */
  readonly interrupts?: true;
  /** It interrupts for as long as something outside stands in the way, however often: somebody has to mend that. */
  readonly waits?: true;
}

/** Why a trial or an attempt ended, by the word before the colon of its reason. */
const meanings = {
  OutOfMemory: { blames: 'parameters' },
  InvalidConfiguration: { blames: 'parameters' },
  Diverged: { blames: 'parameters' },
  DeadlineExceeded: { blames: 'parameters' },
  Crashed: { blames: 'unknown' },
  BrokenObjective: { blames: 'unknown' },
  Killed: { blames: 'machine' },
  LostLease: { blames: 'machine' },
  LostJob: { blames: 'machine' },
  LostOrigin: { blames: 'machine' },
  NoReport: { blames: 'machine' },
  Cancelled: { blames: 'machine' },
  Interrupted: { blames: 'machine', interrupts: true },
  Evicted: { blames: 'machine', interrupts: true },
  ImagePull: { blames: 'machine', interrupts: true },
  CreateContainer: { blames: 'machine', interrupts: true },
  Refused: { blames: 'machine' },
  Queued: { blames: 'machine', interrupts: true },
  Unschedulable: { blames: 'machine', interrupts: true, waits: true },
  Unavailable: { blames: 'machine', interrupts: true, waits: true },
  DiskFull: { blames: 'machine', interrupts: true, waits: true },
  Damaged: { blames: 'machine', interrupts: true, waits: true },
} as const satisfies Record<Ending, Meaning> & Record<string, Meaning>;

type ReasonWord = keyof typeof meanings;

/** The cause that a runner gives where it has asked a job to end, which then died of a signal: before it could hear it, or in the end. */
export const stoppedCause = 'Stopped';

/** Causes that a runner gives, in Kubernetes' words. */
const causes: ReadonlyMap<string, `${ReasonWord}: ${string}`> = new Map([
  [stoppedCause, 'Interrupted: stopped on request before it could leave a checkpoint'],
  ['OOMKilled', 'OutOfMemory: killed for its memory'],
  ['Evicted', 'Evicted: its machine was needed for something else'],
  ['Preempted', 'Evicted: preempted'],
  ['NodeLost', 'Evicted: its machine was lost'],
  ['DeadlineExceeded', 'DeadlineExceeded: ran longer than its job may'],
  ['ErrImagePull', "ImagePull: the trainer's image could not be pulled"],
  ['CreateContainerError', "CreateContainer: the trainer's container could not be created"],
  ['Deleted', 'Interrupted: its job was deleted'],
]);

/** "OutOfMemory: 3 GiB asked for" → "OutOfMemory". */
export function reasonWord(reason: string): string {
  const colon = reason.indexOf(':');
  return colon < 0 ? reason : reason.slice(0, colon);
}

/** What a reason means; of one with a word that is not known, nobody knows who is to blame. */
export function meaningOf(reason: string): Meaning {
  const word = reasonWord(reason);
  return Object.hasOwn(meanings, word) ? meanings[word as ReasonWord] : { blames: 'unknown' };
}

/** Signals that ask a process to end. */
const requests: ReadonlySet<number> = new Set([
  constants.signals.SIGHUP,
  constants.signals.SIGINT,
  constants.signals.SIGTERM,
]);

/** The reason of a job's end, of which no trainer has told. 128 + n is death by signal n. */
export function reasonOfEnd(
  job: Pick<JobStatus, 'phase' | 'exitCode' | 'cause' | 'message'>,
): `${ReasonWord}: ${string}` {
  const { phase, exitCode, cause, message } = job;
  const general = causes.get(cause ?? '');
  const known = general && message ? (`${general}: ${message}` as const) : general;
  // One that is ready hears them.
  if (known === undefined && exitCode !== undefined && requests.has(exitCode - 128))
    return `Interrupted: asked to end by signal ${exitCode - 128} before it could hear it`;
  if (known !== undefined) return known;
  if (phase === 'succeeded' || exitCode === 0) return 'NoReport: the trainer ended without a report';
  switch (exitCode) {
    case undefined:
      return `Killed: the trainer died${cause === undefined ? '' : ` (${cause})`}`;
    case endingExitCodes.OutOfMemory:
      return 'OutOfMemory: the trainer ran out of memory';
    case endingExitCodes.InvalidConfiguration:
      return 'InvalidConfiguration: the trainer refused its configuration';
    case endingExitCodes.Diverged:
      return 'Diverged: the loss is not finite';
    case endingExitCodes.Interrupted:
      return 'Interrupted: stopped on request after a checkpoint';
    case endingExitCodes.DiskFull:
      return 'DiskFull: the trainer ran out of space on a disk';
    case endingExitCodes.Damaged:
      return 'Damaged: the trainer found files that are damaged; its log names them';
    default:
      return exitCode > 128 && exitCode < 160
        ? `Killed: by signal ${exitCode - 128}`
        : `Crashed: exit code ${exitCode}`;
  }
}
