/** What the API server's refusals mean to the runner. */
import { InvalidArgument, PermissionDenied, ResourceExhausted, Unavailable } from '@emotune/base';
import { ApiError } from './api.js';

/** The refusal of a Job in our words. */
export function refused(error: unknown, name: string): Error {
  if (!(error instanceof ApiError)) return error as Error;
  const { code, message } = error;
  const text = `the cluster refuses the Job ${name}: ${message}`;
  if (code === 422 || code === 400) return InvalidArgument.at('', text, { cause: error });
  if (code === 403 && /exceeded quota/.test(message)) return new ResourceExhausted(text, { cause: error });
  if (code === 403 || code === 401) return new PermissionDenied(text, { cause: error });
  return new Unavailable(text, { cause: error });
}

/** For what is done when its object is gone. */
export function ifGone(error: unknown): undefined {
  if (error instanceof ApiError && (error.code === 404 || error.code === 409)) return undefined;
  throw error;
}

/** For what is done when its object is there. */
export function ifThere(error: unknown): undefined {
  if (error instanceof ApiError && error.reason === 'AlreadyExists') return undefined;
  throw error;
}
