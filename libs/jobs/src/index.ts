export { inherited, ProcessRunner, type ProcessRunnerOptions } from './process-runner.js';
export type { JobSpec, JobStatus, Resources, TrialRunner } from './runner.js';
export {
  annotations,
  labels,
  meaningOf,
  readEnvironment,
  reasonOfEnd,
  reasonWord,
  type TrainerEnvironment,
  type TrainerMessage,
  writeEnvironment,
} from './trainer-protocol.js';
