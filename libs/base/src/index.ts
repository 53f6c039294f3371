export { type Clock, ManualClock, systemClock } from './clock.js';
export {
  Aborted,
  AlreadyExists,
  FailedPrecondition,
  Internal,
  InvalidArgument,
  NotFound,
  PermissionDenied,
  ResourceExhausted,
  Unavailable,
  Unimplemented,
  type Violation,
} from './errors.js';
export { makeFolder } from './folder.js';
export { canonicalJson, sha256 } from './hash.js';
export { Rng } from './rng.js';
export { fieldPath, nearest, parse, show, unknownField } from './validate.js';
