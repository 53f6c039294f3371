export {
  isFull,
  type LogPiece,
  type LogPlace,
  type LogSegment,
  piecesOf,
  segmentName,
  segmentOffset,
  surplus,
} from './log.js';
export { LogFolder } from './log-folder.js';
export { SafeLines, secretsOf } from './log-secrets.js';
export { inherited, ProcessRunner, type ProcessRunnerOptions } from './process-runner.js';
export {
  hasEnded,
  type JobEvent,
  type JobSpec,
  type JobStatus,
  type LogOptions,
  type Resources,
  type Toleration,
  type TrialRunner,
} from './runner.js';
export {
  annotations,
  labels,
  meaningOf,
  readEnvironment,
  reasonOfEnd,
  reasonWord,
  stoppedCause,
  type TrainerEnvironment,
  type TrainerMessage,
  terminationLogOf,
  writeEnvironment,
} from './trainer-protocol.js';
