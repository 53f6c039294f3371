/** Where trainers run, as a port: processes on this machine, Jobs on a cluster. */
import { InvalidArgument, show } from '@emotune/base';
import type { LogPiece } from './log.js';

export interface JobSpec {
  /** `<experiment>-t<number>-a<attempt>`, at most 52 characters: a pure function of the attempt, so creating it twice is harmless. */
  readonly name: string;
  /** See `labels` of the trainer's protocol. */
  readonly labels: Readonly<Record<string, string>>;
  /** See `annotations` of the trainer's protocol. */
  readonly annotations: Readonly<Record<string, string>>;
  /** Settings of the trainer: see `writeEnvironment`. No secrets but `token`. */
  readonly environment: Readonly<Record<string, string>>;
  /** The trial's own token; reaches the trainer without being shown in the job's specification. */
  readonly token: string;
  /** The container image; a runner of processes has its program already. */
  readonly image?: string;
  /** What the trainer needs; a runner that places jobs on machines reserves it. */
  readonly resources: Resources;
  /** Processes that train together, at least 1. */
  readonly ranks: number;
  /** Labels that a machine must have to run it; a runner with one machine has no choice. */
  readonly nodeSelector: Readonly<Record<string, string>>;
  /** Taints of machines that do not keep it away, in Kubernetes' words; likewise. */
  readonly tolerations?: readonly Toleration[];
  /** Whose turn it is where machines are short, in the cluster's words; likewise. */
  readonly priorityClass?: string;
  /** The job is ended, with the cause DeadlineExceeded, once it has run for so long; absent: never. */
  readonly deadlineSeconds?: number;
}

const jobName = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;

/** What is wrong with the name of a job. */
export function jobNameViolation(name: string): InvalidArgument | undefined {
  if (jobName.test(name) && name.length <= 52) return undefined;
  return InvalidArgument.at(
    'name',
    `expected at most 52 lower-case letters, digits and dashes, got ${show(name)}`,
  );
}

export interface Toleration {
  readonly key?: string;
  /** Exists or Equal. */
  readonly operator?: string;
  readonly value?: string;
  /** NoSchedule, PreferNoSchedule or NoExecute; absent: all of them. */
  readonly effect?: string;
}

/** What one rank gets; 0: what the machine gives. */
export interface Resources {
  readonly cpus: number;
  readonly memoryMib: number;
  readonly gpus: number;
  /** By which a cluster knows its GPUs or parts of them, such as nvidia.com/mig-1g.10gb; absent: the usual one. */
  readonly gpuResource?: string;
}

export interface JobStatus {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Queued: none of its processes runs now, but they will. */
  readonly phase: 'queued' | 'running' | 'succeeded' | 'failed';
  /** What a queued job waits for, as a reason such as "Unschedulable: …"; absent: nothing but time. */
  readonly waits?: string;
  /** The exit code of an ended process; 128 + n is death by signal n. */
  readonly exitCode?: number;
  /**
   * In Kubernetes' words where there is one: OOMKilled, Evicted, NodeLost, DeadlineExceeded, ErrImagePull; `stoppedCause`
   * where it died of a signal after it was asked to end.
   */
  readonly cause?: string;
  /** What whoever has ended it says of the cause. */
  readonly message?: string;
}

export function hasEnded({ phase }: Pick<JobStatus, 'phase'>): boolean {
  return phase === 'succeeded' || phase === 'failed';
}

/** Something that has happened to a trial, for people who look at its job. */
export interface JobEvent {
  /** One word such as TrialStarted; a job has one event of each. */
  readonly reason: string;
  readonly message: string;
  readonly warning?: boolean;
}

export interface LogOptions {
  /** Bytes to leave out; default 0. */
  readonly from?: number;
  /** Goes on until the job has ended. */
  readonly follow?: boolean;
  /** Ends it. */
  readonly signal?: AbortSignal;
}

export interface TrialRunner {
  /**
   * Creates the job; one of the same name, running or ended, stays as it is.
   * @param signal Once it aborts, nothing is created any more.
   * @throws InvalidArgument for a job that no cluster takes or this runner cannot run; AlreadyExists where somebody else has
   * one of that name; PermissionDenied, ResourceExhausted, Unavailable.
   */
  start(spec: JobSpec, signal?: AbortSignal): Promise<void>;
  /** Every job that was started and not removed, also by an earlier runner of the same place. */
  list(): Promise<JobStatus[]>;
  /** Asks it to end (SIGTERM), then ends it (SIGKILL) after the grace period. Resolves at once; an unknown name is no error. */
  stop(name: string, graceSeconds: number): Promise<void>;
  /**
   * What the job has written to its standard output and error, whole lines as they come, its token taken out. Of a long
   * one parts may be left out, which the offsets of what follows show. That of a job that has ended is complete.
   * @throws NotFound for a job that is not listed
   */
  log(name: string, options?: LogOptions): AsyncIterable<LogPiece>;
  /** Forgets an ended job, its log included. */
  remove(name: string): Promise<void>;
  /** Shows people who look at the job the newest values, soon, not each of them. Absent where nobody can look. */
  annotate?(name: string, annotations: Readonly<Record<string, string>>): void;
  /** Tells them what has happened to it; likewise. */
  announce?(name: string, event: JobEvent): void;
  /** Called when a job's status has changed. */
  onChange(listener: (status: JobStatus) => void): () => void;
  /** Leaves jobs as they are, running ones too: the next runner of the same place has them. */
  detach(): Promise<void>;
  /** Asks every running job to end and waits for it. */
  close(): Promise<void>;
}
