/**
 * The failures that EmoTune tells apart. Libraries throw them; `libs/service` maps each to one gRPC
 * status. Anything else that is thrown is a bug and leaves as INTERNAL.
 */

/** One thing that is wrong with an input: where it is, what was expected and what came. */
export interface Violation {
  /** Path of the field, for example `parameters[2].max`. */
  readonly field: string;
  /** "expected …, got …", and what to do about it where that is not plain. */
  readonly description: string;
}

abstract class EmotuneError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The input itself is wrong, whatever the state of the system. Holds every violation found, not just the first. */
export class InvalidArgument extends EmotuneError {
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
export class NotFound extends EmotuneError {}

/** A resource of that name exists already and differs from the one asked for. */
export class AlreadyExists extends EmotuneError {}

/** The input is fine but the system is not in a state that allows it. */
export class FailedPrecondition extends EmotuneError {}

/** Someone else won: a stale owner, attempt or version. Read again, then retry. */
export class Aborted extends EmotuneError {}

/** Out of memory, disk, or quota. */
export class ResourceExhausted extends EmotuneError {}

/** A dependency cannot be reached now; retrying later may succeed. */
export class Unavailable extends EmotuneError {}

/** The caller has not shown that it may do this: a missing or wrong token. */
export class PermissionDenied extends EmotuneError {}

/** Part of the contract, but not built yet. */
export class Unimplemented extends EmotuneError {}

/** A broken invariant of our own. */
export class Internal extends EmotuneError {}
