/** What a service and the process of its build tell each other. */
import { EmotuneError, errorClasses, Internal, InvalidArgument, type Violation } from '@emotune/base';
import type { common } from '@emotune/proto';

export interface BuildRequest {
  /** A function that the module of the process exports. */
  readonly work: string;
  readonly request: unknown;
}

export type BuildReply =
  | { readonly kind: 'progress'; readonly progress: common.Progress }
  | { readonly kind: 'answer'; readonly answer: unknown }
  | { readonly kind: 'failure'; readonly failure: Failure };

/** An error on its way between processes. */
export interface Failure {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly violations: readonly Violation[];
  /** Of the error or its cause, where that is a failure of the system. */
  readonly code: string | undefined;
}

/** What a build's thread says last when it ends the process for its memory. */
export const beyondMemory = 'emotune: beyond the memory of a build';

export function failureOf(error: unknown): Failure {
  const { name, message, stack, cause, code } = error as NodeJS.ErrnoException;
  return {
    name: error instanceof EmotuneError ? name : '',
    message,
    stack,
    violations: error instanceof InvalidArgument ? error.violations : [],
    code: code ?? (cause as { code?: string } | undefined)?.code,
  };
}

export function errorOf({ name, message, stack, violations, code }: Failure): Error {
  const cause = Object.assign(new Error(message), { stack, ...(code === undefined ? {} : { code }) });
  if (name === 'InvalidArgument') return new InvalidArgument(violations, { cause });
  const Class = errorClasses.find((known) => known.name === name) ?? Internal;
  return new Class(message, { cause });
}
