export { besideModule } from './beside-module.js';
export { beginningOf, charactersOf, endOf } from './characters.js';
export { type Clock, ManualClock, systemClock } from './clock.js';
export {
  Aborted,
  AlreadyExists,
  DataLoss,
  EmotuneError,
  type Ending,
  type ErrorPolicy,
  endingExitCodes,
  errorClasses,
  FailedPrecondition,
  Internal,
  InvalidArgument,
  NotFound,
  PermissionDenied,
  policyOf,
  ResourceExhausted,
  Unauthenticated,
  Unavailable,
  Unimplemented,
  type Violation,
} from './errors.js';
export { fieldPath } from './field-path.js';
export { exists, makeFolder, syncToDisk } from './folder.js';
export { canonicalJson, sha256, sha256OfFile } from './hash.js';
export { Idle, idleMs } from './idle.js';
export { Lanes } from './lanes.js';
export { endWithin } from './last-resort.js';
export { machineMemoryMiB } from './machine-memory.js';
export { mean } from './mean.js';
export { grown, Numbering } from './numbering.js';
export { own } from './own.js';
export { printable, printableJson } from './printable.js';
export { callersMode, closeToOthers } from './private.js';
export { isAlive } from './process.js';
export {
  fileWork,
  type OpenOptions,
  openRegularFile,
  piecesOf,
  type RegularFile,
  readRegularFile,
} from './regular-file.js';
export { aborted, every, Rest } from './rest.js';
export { philox4x32, Rng } from './rng.js';
export { chunkBytes, largestRowFileBytes, tooLarge } from './sent-files.js';
export { type TemporaryKind, temporaryOwner, temporaryPrefix } from './temporary.js';
export {
  decoded,
  type Line,
  lineEnds,
  lineTooLong,
  longestLine,
  textFault,
  textLines,
} from './text-lines.js';
export { Turns } from './turns.js';
export { nearest, parse, show, unknownField } from './validate.js';
export { Violations } from './violations.js';
