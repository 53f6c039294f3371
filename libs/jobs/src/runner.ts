/** Where trainers run, as a port: processes on this machine, Jobs on a cluster. */

export interface JobSpec {
  /** `<experiment>-t<number>-a<attempt>`, at most 52 characters: a pure function of the attempt, so creating it twice is harmless. */
  readonly name: string;
  /** emotune.io/experiment, emotune.io/trial, … */
  readonly labels: Readonly<Record<string, string>>;
  /** emotune.io/parameters, … */
  readonly annotations: Readonly<Record<string, string>>;
  /** Settings of the trainer. No secrets but `token`. */
  readonly environment: Readonly<Record<string, string>>;
  /** The trial's own token; reaches the trainer without being shown in the job's specification. */
  readonly token: string;
}

export interface JobStatus {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly phase: 'running' | 'succeeded' | 'failed';
  /** Of an ended process; 128 + n is death by signal n. */
  readonly exitCode?: number;
  /** In Kubernetes' words where there is one: OOMKilled, Evicted, NodeLost, DeadlineExceeded, ErrImagePull. */
  readonly cause?: string;
}

export interface TrialRunner {
  /** Creates the job; one of the same name, running or ended, stays as it is. @throws ResourceExhausted, Unavailable. */
  start(spec: JobSpec): Promise<void>;
  /** Every job that was started and not removed, also by an earlier process of the platform. */
  list(): Promise<JobStatus[]>;
  /** Asks it to end (SIGTERM), then ends it (SIGKILL) after the grace period. Resolves at once; an unknown name is no error. */
  stop(name: string, graceSeconds: number): Promise<void>;
  /** Forgets an ended job. */
  remove(name: string): Promise<void>;
  /** Called when a job's status has changed. */
  onChange(listener: (status: JobStatus) => void): () => void;
  /** Asks every running job to end and waits for it. */
  close(): Promise<void>;
}
