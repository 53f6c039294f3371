/**
 * Why a trial or an attempt ended: one word for machines, then a colon and a sentence for people. The word
 * decides who is to blame, and with it whether the sampler hears of it and whether another attempt helps.
 */

export interface Reason {
  /** `parameters`: told to the sampler, never retried. `machine`: retried, hidden from it. `unknown`: retried, then told. */
  readonly blames: 'parameters' | 'machine' | 'unknown';
}

export const reasons: Readonly<Record<string, Reason | undefined>> = Object.freeze(
  Object.assign(Object.create(null) as Record<string, Reason>, {
    OutOfMemory: { blames: 'parameters' },
    InvalidConfiguration: { blames: 'parameters' },
    Diverged: { blames: 'parameters' },
    Crashed: { blames: 'unknown' },
    Killed: { blames: 'machine' },
    LostLease: { blames: 'machine' },
    LostJob: { blames: 'machine' },
    NoReport: { blames: 'machine' },
    Interrupted: { blames: 'machine' },
    Evicted: { blames: 'machine' },
    ImagePull: { blames: 'machine' },
    BrokenObjective: { blames: 'unknown' },
    DeadlineExceeded: { blames: 'parameters' },
    LostOrigin: { blames: 'machine' },
    Cancelled: { blames: 'machine' },
  } satisfies Record<string, Reason>),
);

/** "OutOfMemory: 3 GiB asked for" → "OutOfMemory". */
export function reasonWord(reason: string): string {
  const colon = reason.indexOf(':');
  return colon < 0 ? reason : reason.slice(0, colon);
}

/** How an attempt ended, from what the runner shows of its job. */
export interface JobEnd {
  readonly reason: string;
  readonly blames: Reason['blames'];
  /** It left on request after a checkpoint, or its machine was taken or never came: no attempt is used up by it. */
  readonly interrupted: boolean;
}

/** Exit codes of a trainer that mean something, beside 0: done. */
const exitCodes = {
  outOfMemory: 42,
  invalidConfiguration: 43,
  diverged: 44,
  interrupted: 75,
} as const;

/** Causes that a runner gives, in Kubernetes' words. */
const causes: Readonly<Record<string, string>> = {
  OOMKilled: 'OutOfMemory: killed for its memory',
  Evicted: 'Evicted: its machine was needed for something else',
  Preempted: 'Evicted: preempted',
  NodeLost: 'Evicted: its machine was lost',
  DeadlineExceeded: 'DeadlineExceeded: ran longer than its job may',
  ErrImagePull: "ImagePull: the trainer's image could not be pulled",
  ImagePullBackOff: "ImagePull: the trainer's image could not be pulled",
};

/** Reads the end of a job whose trainer reported none. 128 + n is death by signal n. */
export function endOfJob(job: {
  readonly phase: 'succeeded' | 'failed';
  readonly exitCode?: number;
  readonly cause?: string;
}): JobEnd {
  const reason = wordsFor(job);
  const word = reasonWord(reason);
  return {
    reason,
    blames: (reasons[word] as Reason).blames,
    interrupted: isInterruption(word),
  };
}

/** Whether an attempt that ended with this word may be repeated without being counted. */
export function isInterruption(word: string): boolean {
  return word === 'Interrupted' || word === 'Evicted' || word === 'ImagePull';
}

function wordsFor({ phase, exitCode, cause }: Parameters<typeof endOfJob>[0]): string {
  if (cause !== undefined && Object.hasOwn(causes, cause)) return causes[cause];
  if (phase === 'succeeded' || exitCode === 0) return 'NoReport: the trainer ended without a report';
  switch (exitCode) {
    case undefined:
      return `Killed: the trainer died${cause === undefined ? '' : ` (${cause})`}`;
    case exitCodes.outOfMemory:
      return 'OutOfMemory: the trainer ran out of memory';
    case exitCodes.invalidConfiguration:
      return 'InvalidConfiguration: the trainer refused its configuration';
    case exitCodes.diverged:
      return 'Diverged: the loss is not finite';
    case exitCodes.interrupted:
      return 'Interrupted: stopped on request after a checkpoint';
    default:
      return exitCode > 128 && exitCode < 160
        ? `Killed: by signal ${exitCode - 128}`
        : `Crashed: exit code ${exitCode}`;
  }
}
