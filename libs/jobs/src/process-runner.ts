/** Trainers as child processes of the platform. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdirSync, rmSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import {
  type Clock,
  FailedPrecondition,
  InvalidArgument,
  ResourceExhausted,
  show,
  systemClock,
  Unavailable,
} from '@emotune/base';
import { type JobRecord, readRecords, removeRecord, writeRecord } from './job-record.js';
import { birthOf } from './process-birth.js';
import type { JobSpec, JobStatus, TrialRunner } from './runner.js';

export interface ProcessRunnerOptions {
  /** Records and logs of the jobs; made when missing. One runner at a time. */
  readonly folder: string;
  /** The trainer's JavaScript file. */
  readonly entry: string;
  /** What every trainer's environment holds beside its own settings (PATH, HOME) and TMPDIR, a folder of its own. */
  readonly environment: Readonly<Record<string, string>>;
  /** Arguments of Node.js itself. */
  readonly nodeArguments?: readonly string[];
  /** Between SIGTERM and SIGKILL when the runner closes, or finds a job of an earlier platform process; default 15. */
  readonly graceSeconds?: number;
  readonly clock?: Clock;
}

/** What a trainer is sent over its IPC channel, once. The channel closes when the platform dies. */
export interface TokenMessage {
  readonly token: string;
}

/** A log is cut after this many bytes. */
const maxLogBytes = 8 * 2 ** 20;
const pollMs = 100;
const jobName = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;

interface Job {
  record: JobRecord;
  child?: ChildProcess;
  killTimer?: NodeJS.Timeout;
  /** Resolves when the process is gone and the record says so. */
  ended: Promise<void>;
}

function statusOf({ name, labels, phase, exitCode, cause }: JobRecord): JobStatus {
  return {
    ...{ name, labels, phase },
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(cause === undefined ? {} : { cause }),
  };
}

function startError(error: unknown): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  const exhausted = ['EAGAIN', 'ENOMEM', 'EMFILE', 'ENFILE', 'ENOSPC', 'EDQUOT'].includes(code ?? '');
  return exhausted
    ? new ResourceExhausted(`no trainer can be started now: ${message}`, { cause: error })
    : new Unavailable(`no trainer can be started: ${message}`, { cause: error });
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It is gone already.
  }
}

/** Copies both streams to a file, up to `maxLogBytes`, and drains what comes after. */
function keepLog(path: string, streams: readonly Readable[]): void {
  const file = createWriteStream(path, { mode: 0o600 });
  // A full disk costs the log, not the trial.
  file.on('error', () => {});
  let room = maxLogBytes;
  let open = streams.length;
  for (const stream of streams) {
    stream.on('data', (chunk: Buffer) => {
      if (room <= 0) return;
      file.write(chunk.subarray(0, room));
      room -= chunk.length;
      if (room <= 0) file.write('\n[the log is full; what follows is left out]\n');
    });
    stream.on('close', () => {
      if (--open === 0) file.end();
    });
  }
}

export class ProcessRunner implements TrialRunner {
  private readonly jobs = new Map<string, Job>();
  private readonly listeners = new Set<(status: JobStatus) => void>();
  private readonly clock: Clock;
  private readonly graceSeconds: number;
  private closed = false;

  private constructor(private readonly options: ProcessRunnerOptions) {
    this.clock = options.clock ?? systemClock;
    this.graceSeconds = options.graceSeconds ?? 15;
  }

  /**
   * Takes over the folder. Jobs of an earlier platform process are lost: those that still run are asked to end and
   * show as running until they have; all end as failed with the cause NodeLost.
   */
  static open(options: ProcessRunnerOptions): ProcessRunner {
    mkdirSync(options.folder, { recursive: true });
    const runner = new ProcessRunner(options);
    for (const record of readRecords(options.folder)) {
      const job: Job = { record, ended: Promise.resolve() };
      runner.jobs.set(record.name, job);
      if (record.phase === 'running')
        job.ended = runner
          .endOrphan(record, options.graceSeconds ?? 15)
          .then(() => runner.finish(job, { phase: 'failed', cause: 'NodeLost' }));
    }
    return runner;
  }

  private async endOrphan({ pid, birth }: JobRecord, graceSeconds: number): Promise<void> {
    if (pid === undefined || birth === undefined) return;
    const alive = async () => (await birthOf(pid)) === birth;
    if (!(await alive())) return;
    signal(pid, 'SIGTERM');
    const deadline = this.clock.now() + graceSeconds * 1000;
    while (await alive()) {
      if (this.clock.now() >= deadline) signal(pid, 'SIGKILL');
      await this.clock.sleep(pollMs);
    }
  }

  /** For what a trainer writes while it runs: gone when it is, however it ended. */
  private workFolder(name: string): string {
    return join(this.options.folder, `${name}.work`);
  }

  private finish(job: Job, end: Pick<JobRecord, 'phase' | 'exitCode' | 'cause'>): void {
    clearTimeout(job.killTimer);
    job.record = { ...job.record, ...end };
    try {
      rmSync(this.workFolder(job.record.name), { recursive: true, force: true });
      writeRecord(this.options.folder, job.record);
    } catch {
      // On a full disk the next platform process finds the job gone, and reports it lost.
    }
    this.tell(job);
  }

  private tell({ record }: Job): void {
    for (const listener of this.listeners) listener(statusOf(record));
  }

  async start(spec: JobSpec): Promise<void> {
    const { name, labels, annotations } = spec;
    if (!jobName.test(name) || name.length > 52)
      throw InvalidArgument.at(
        'name',
        `expected at most 52 lower-case letters, digits and dashes, got ${show(name)}`,
      );
    if (this.closed) throw new Unavailable('no trainer can be started: the platform is stopping');
    if (this.jobs.has(name)) return;
    const { folder } = this.options;
    const record: JobRecord = {
      ...{ name, labels: { ...labels }, annotations: { ...annotations } },
      log: join(folder, `${name}.log`),
      phase: 'running',
    };
    const job: Job = { record, ended: Promise.resolve() };
    this.jobs.set(name, job);
    try {
      writeRecord(folder, record);
      const child = this.spawn(spec, record.log);
      job.child = child;
      job.ended = new Promise((resolve) => {
        child.once('exit', (code, death) => {
          const exitCode = code ?? 128 + constants.signals[death as NodeJS.Signals];
          this.finish(job, { phase: exitCode === 0 ? 'succeeded' : 'failed', exitCode });
          resolve();
        });
        // One that cannot be spawned has no exit.
        child.once('error', () => child.pid === undefined && resolve());
      });
      await once(child, 'spawn');
      const pid = child.pid!;
      const birth = await birthOf(pid);
      if (job.record.phase === 'running') {
        job.record = { ...record, pid, ...(birth === undefined ? {} : { birth }) };
        writeRecord(folder, job.record);
        // Only a trainer whose record can be found again gets to work.
        child.send({ token: spec.token } satisfies TokenMessage, () => {});
      }
    } catch (error) {
      job.child?.kill('SIGKILL');
      this.jobs.delete(name);
      removeRecord(folder, record);
      rmSync(this.workFolder(name), { recursive: true, force: true });
      throw startError(error);
    }
    this.tell(job);
  }

  private spawn({ name, environment }: JobSpec, log: string): ChildProcess {
    const work = this.workFolder(name);
    mkdirSync(work, { recursive: true });
    const child = fork(this.options.entry, [], {
      execPath: process.execPath,
      execArgv: [...(this.options.nodeArguments ?? [])],
      env: { ...this.options.environment, TMPDIR: work, ...environment },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // Ctrl-C at a terminal reaches the platform alone, which then ends its trainers in order.
      detached: true,
    });
    child.on('error', () => {});
    keepLog(log, [child.stdout!, child.stderr!]);
    return child;
  }

  async list(): Promise<JobStatus[]> {
    return [...this.jobs.values()].map(({ record }) => statusOf(record));
  }

  async stop(name: string, graceSeconds: number): Promise<void> {
    const job = this.jobs.get(name);
    // One without a child belonged to an earlier process and is being ended already.
    if (job?.record.phase !== 'running' || !job.child) return;
    const { child } = job;
    child.kill('SIGTERM');
    clearTimeout(job.killTimer);
    job.killTimer = setTimeout(() => child.kill('SIGKILL'), graceSeconds * 1000);
  }

  async remove(name: string): Promise<void> {
    const job = this.jobs.get(name);
    if (!job) return;
    if (job.record.phase === 'running')
      throw new FailedPrecondition(`expected a job that has ended, got ${name}, which runs; stop it first`);
    this.jobs.delete(name);
    removeRecord(this.options.folder, job.record);
  }

  onChange(listener: (status: JobStatus) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.closed = true;
    const jobs = [...this.jobs.values()];
    for (const { record } of jobs) await this.stop(record.name, this.graceSeconds);
    await Promise.allSettled(jobs.map(({ ended }) => ended));
  }
}
