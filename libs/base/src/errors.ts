/**
 * The failures that EmoTune tells apart. Each class carries what its errors mean to those who pass them on: a reader asks
 * `policyOf(error)`, not for classes. Anything else that is thrown is a bug of ours and treated as `Internal`.
 */

/** One thing that is wrong with an input: where it is, what was expected and what came. */
export interface Violation {
  /** Path of the field, for example `parameters[2].max`. */
  readonly field: string;
  /** "expected …, got …", and what to do about it where that is not plain. */
  readonly description: string;
}

/** What a training run that ends with the error has come to; the first word of a trial's reason. */
export type Ending =
  | 'OutOfMemory'
  | 'InvalidConfiguration'
  | 'Diverged'
  | 'Interrupted'
  | 'LostOrigin'
  | 'DiskFull'
  | 'Damaged'
  | 'Crashed';

/** With which a process ends whose work has come to that. */
export const endingExitCodes = {
  OutOfMemory: 42,
  InvalidConfiguration: 43,
  Diverged: 44,
  Interrupted: 75,
  LostOrigin: 1,
  DiskFull: 76,
  Damaged: 77,
  Crashed: 1,
} as const satisfies Record<Ending, number>;

export interface ErrorPolicy {
  /** The gRPC status as which it leaves a service, by its name. The text of INTERNAL stays inside. */
  readonly status:
    | 'INVALID_ARGUMENT'
    | 'NOT_FOUND'
    | 'ALREADY_EXISTS'
    | 'FAILED_PRECONDITION'
    | 'ABORTED'
    | 'RESOURCE_EXHAUSTED'
    | 'UNAVAILABLE'
    | 'PERMISSION_DENIED'
    | 'UNAUTHENTICATED'
    | 'UNIMPLEMENTED'
    | 'DATA_LOSS'
    | 'INTERNAL';
  /** The exit code of a command that ends with it: 1 failed, 2 refused input, 3 not found, 4 unavailable, or its own. */
  readonly exitCode: number;
  /** A failure of the moment: the same may succeed later. */
  readonly retryable: boolean;
  /** The answer for good: asking again changes nothing. A defect is neither that nor retryable. */
  readonly final: boolean;
  /** Its text is for the user, also where work in the background failed with it; otherwise it is a defect of ours. */
  readonly tellsUser: boolean;
  readonly ending: Ending;
}

const defect: ErrorPolicy = {
  status: 'INTERNAL',
  exitCode: 1,
  retryable: false,
  final: false,
  tellsUser: false,
  ending: 'Crashed',
};

export abstract class EmotuneError extends Error {
  static readonly policy: ErrorPolicy = defect;

  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
  }

  get policy(): ErrorPolicy {
    return (this.constructor as typeof EmotuneError).policy;
  }
}

/** How the file system, and PostgreSQL, say that a disk is full or a quota used up. */
const fullDiskCodes: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', '53100']);

/** Whether it failed for want of space on a disk, whoever has said so first. */
function isFullDisk(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  const { code, cause } = error as { code?: unknown; cause?: unknown };
  return fullDiskCodes.has(code) || isFullDisk(cause);
}

/** What an error means to those who pass it on. */
export function policyOf(error: unknown): ErrorPolicy {
  // The machine's fault, not that of what was to be done, and it passes.
  if (isFullDisk(error)) return { ...ResourceExhausted.policy, ending: 'DiskFull' };
  return error instanceof EmotuneError ? error.policy : defect;
}

/** The input itself is wrong, whatever the state of the system. Holds every violation found, not just the first. */
export class InvalidArgument extends EmotuneError {
  static override readonly policy: ErrorPolicy = {
    ...defect,
    status: 'INVALID_ARGUMENT',
    exitCode: 2,
    final: true,
    tellsUser: true,
    ending: 'InvalidConfiguration',
  };

  readonly violations: readonly Violation[];

  constructor(violations: readonly Violation[], options?: { cause?: unknown }) {
    super(
      violations.map((v) => (v.field ? `${v.field}: ${v.description}` : v.description)).join('; '),
      options,
    );
    this.violations = violations;
  }

  /** One violation. */
  static at(field: string, description: string, options?: { cause?: unknown }): InvalidArgument {
    return new InvalidArgument([{ field, description }], options);
  }
}

/** The named resource does not exist. */
export class NotFound extends EmotuneError {
  static override readonly policy: ErrorPolicy = {
    ...defect,
    status: 'NOT_FOUND',
    exitCode: 3,
    final: true,
    tellsUser: true,
  };
}

/** A resource of that name exists already and differs from the one asked for. */
export class AlreadyExists extends EmotuneError {
  static override readonly policy: ErrorPolicy = {
    ...defect,
    status: 'ALREADY_EXISTS',
    exitCode: 2,
    final: true,
    tellsUser: true,
  };
}

/** The input is fine but the system is not in a state that allows it. */
export class FailedPrecondition extends EmotuneError {
  static override readonly policy: ErrorPolicy = {
    ...defect,
    status: 'FAILED_PRECONDITION',
    exitCode: 2,
    final: true,
    tellsUser: true,
  };
}

/** Someone else won: a stale owner, attempt or version. Read again, then retry. */
export class Aborted extends EmotuneError {
  static override readonly policy: ErrorPolicy = {
    ...defect,
    status: 'ABORTED',
    final: true,
  };
}

/** Out of memory, disk, or quota. */
export class ResourceExhausted extends EmotuneError {
  static override readonly policy: ErrorPolicy = {
    ...defect,
    status: 'RESOURCE_EXHAUSTED',
    exitCode: 4,
    retryable: true,
    tellsUser: true,
    ending: 'OutOfMemory',
  };

  /** After so many milliseconds asking again may succeed; undefined: nobody can tell. */
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    { retryAfterMs, ...options }: { cause?: unknown; retryAfterMs?: number | undefined } = {},
  ) {
    super(message, options);
    this.retryAfterMs = retryAfterMs;
  }
}

/** A dependency cannot be reached now; retrying later may succeed. */
export class Unavailable extends EmotuneError {
  static override readonly policy: ErrorPolicy = {
    ...defect,
    status: 'UNAVAILABLE',
    exitCode: 4,
    retryable: true,
    tellsUser: true,
  };
}

/** The caller has not shown who it is: a missing or wrong token. */
export class Unauthenticated extends EmotuneError {
  static override readonly policy: ErrorPolicy = {
    ...defect,
    status: 'UNAUTHENTICATED',
    exitCode: 4,
    final: true,
    tellsUser: true,
  };
}

/** The caller is known and may not do this: a token that is for something else. */
export class PermissionDenied extends EmotuneError {
  static override readonly policy: ErrorPolicy = {
    ...defect,
    status: 'PERMISSION_DENIED',
    final: true,
  };
}

/** What was stored is not what is there now. Its text names what, and says how it is made whole again. */
export class DataLoss extends EmotuneError {
  static override readonly policy: ErrorPolicy = {
    ...defect,
    status: 'DATA_LOSS',
    final: true,
    tellsUser: true,
    ending: 'Damaged',
  };
}

/** Part of the contract, but not built yet. */
export class Unimplemented extends EmotuneError {
  static override readonly policy: ErrorPolicy = {
    ...defect,
    status: 'UNIMPLEMENTED',
  };
}

/** A broken invariant of our own. */
export class Internal extends EmotuneError {}

/** Every class above whose errors are made of a text alone, so all but InvalidArgument. */
export const errorClasses = [
  NotFound,
  AlreadyExists,
  FailedPrecondition,
  Aborted,
  ResourceExhausted,
  Unavailable,
  PermissionDenied,
  Unauthenticated,
  DataLoss,
  Unimplemented,
  Internal,
] as const;
