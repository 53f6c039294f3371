export { ProcessRunner, type ProcessRunnerOptions, type TokenMessage } from './process-runner.js';
export type { JobSpec, JobStatus, TrialRunner } from './runner.js';
