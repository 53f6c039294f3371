/** Trainers as child processes of the platform. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import {
  type Clock,
  FailedPrecondition,
  InvalidArgument,
  NotFound,
  ResourceExhausted,
  show,
  systemClock,
  Unavailable,
} from '@emotune/base';
import { type JobRecord, readRecords, removeRecord, writeRecord } from './job-record.js';
import { type LogPiece, piecesOf } from './log.js';
import { LogFolder } from './log-folder.js';
import { SafeLines, secretsOf } from './log-secrets.js';
import { birthOf } from './process-birth.js';
import {
  type JobSpec,
  type JobStatus,
  jobNameViolation,
  type LogOptions,
  type TrialRunner,
} from './runner.js';
import { stoppedCause, type TrainerMessage, terminationTo } from './trainer-protocol.js';

export interface ProcessRunnerOptions {
  /** Records and logs of the jobs; made when missing. One runner at a time. */
  readonly folder: string;
  /** The trainer's JavaScript file. */
  readonly entry: string;
  /**
   * What every trainer's environment holds beside its own settings (PATH, HOME, credentials) and TMPDIR, a folder of its own.
   * In no record; its secrets stay out of logs.
   */
  readonly environment: Readonly<Record<string, string>>;
  /** Arguments of Node.js itself. */
  readonly nodeArguments?: readonly string[];
  /** Between SIGTERM and SIGKILL when the runner closes, or finds a job of an earlier platform process; default 15. */
  readonly graceSeconds?: number;
  /** Default true; else it shows jobs that an earlier runner has left, and leaves those alone that still run. */
  readonly takesOver?: boolean;
  readonly clock?: Clock;
}

/** What of a process's environment those need that it starts. */
export function inherited(environment: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(
    ['PATH', 'HOME', 'TMPDIR'].flatMap((name) => {
      const value = environment[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

const pollMs = 100;
/** What a trainer that has ended has written is there after this time, if no other process holds its output open. */
const drainMs = 5000;
/** The longest that one timer waits. */
const longestTimerMs = 2 ** 31 - 1;

interface Job {
  record: JobRecord;
  child?: ChildProcess;
  /** Absent where it is being ended already, or has ended. */
  kill?: (signal: NodeJS.Signals) => void;
  killTimer?: NodeJS.Timeout;
  /** It has run for as long as it may. */
  late: boolean;
  /** It was asked to end. */
  asked: boolean;
  /** Aborts at its end. */
  readonly over: AbortController;
  /** Resolves when the process is gone and the record says so. */
  ended: Promise<void>;
}

function newJob(record: JobRecord): Job {
  return { record, late: false, asked: false, over: new AbortController(), ended: Promise.resolve() };
}

function statusOf({ name, labels, phase, exitCode, cause }: JobRecord): JobStatus {
  return {
    name,
    labels,
    phase,
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(cause === undefined ? {} : { cause }),
  };
}

/** What is known of why it ended beside how it did. */
function causeOf(
  { late, asked }: Job,
  { phase, exitCode, cause }: Pick<JobRecord, 'phase' | 'exitCode' | 'cause'>,
): Partial<Pick<JobRecord, 'phase' | 'cause'>> {
  if (late) return { cause: 'DeadlineExceeded', phase: 'failed' };
  const killed = phase === 'failed' && (exitCode === undefined || exitCode > 128);
  return asked && killed && cause === undefined ? { cause: stoppedCause } : {};
}

function startError(error: unknown): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  const exhausted = ['EAGAIN', 'ENOMEM', 'EMFILE', 'ENFILE', 'ENOSPC', 'EDQUOT'].includes(code ?? '');
  return exhausted
    ? new ResourceExhausted(`no trainer can be started now: ${message}`, { cause: error })
    : new Unavailable(`no trainer can be started: ${message}`, { cause: error });
}

/** Whether the process of a record runs, and no later one that was given its number. */
async function isAlive({ pid, birth }: JobRecord): Promise<boolean> {
  return pid !== undefined && birth !== undefined && (await birthOf(pid)) === birth;
}

async function signal(record: JobRecord, name: NodeJS.Signals): Promise<void> {
  if (!(await isAlive(record))) return;
  try {
    process.kill(record.pid!, name);
  } catch {
    // It is gone already.
  }
}

/** How a trainer that was nobody's child ended: by its own word, if it came to say one. */
function readTermination(path: string): Pick<JobRecord, 'phase' | 'exitCode'> {
  try {
    const exitCode = Number.parseInt(readFileSync(path, 'utf8'), 10);
    if (Number.isInteger(exitCode)) return { phase: exitCode === 0 ? 'succeeded' : 'failed', exitCode };
  } catch {
    // It was killed, or its disk was full.
  }
  return { phase: 'failed' };
}

function letGoOfOutput({ stdout, stderr }: ChildProcess): void {
  stdout?.destroy();
  stderr?.destroy();
}

export class ProcessRunner implements TrialRunner {
  private readonly jobs = new Map<string, Job>();
  /** Calls of `start` that are under way. */
  private readonly starting = new Set<Promise<void>>();
  private readonly listeners = new Set<(status: JobStatus) => void>();
  private readonly clock: Clock;
  private readonly graceSeconds: number;
  private closed = false;

  private constructor(private readonly options: ProcessRunnerOptions) {
    this.clock = options.clock ?? systemClock;
    this.graceSeconds = options.graceSeconds ?? 15;
  }

  /**
   * Takes over the folder. Jobs that an earlier runner has left by `detach` are followed to their end. Those of one that
   * was killed are lost: where they still run they are asked to end and show as running until they have; all end as failed
   * with the cause NodeLost.
   */
  static open(options: ProcessRunnerOptions): ProcessRunner {
    mkdirSync(options.folder, { recursive: true });
    const runner = new ProcessRunner(options);
    for (const record of readRecords(options.folder)) {
      const job = newJob(record);
      runner.jobs.set(record.name, job);
      if (record.phase !== 'running') continue;
      if (options.takesOver === false) job.ended = runner.lookAt(job);
      else if (record.detached) runner.adopt(job);
      else
        job.ended = runner
          .endOrphan(record)
          .then(() => runner.finish(job, { phase: 'failed', cause: 'NodeLost' }));
    }
    return runner;
  }

  /** Whether it is there still. */
  private async lookAt(job: Job): Promise<void> {
    const { record } = job;
    if (await isAlive(record)) return;
    const end = { phase: 'failed', cause: 'NodeLost' } as const;
    this.finish(job, record.detached ? readTermination(this.termination(record.name)) : end);
  }

  private adopt(job: Job): void {
    const { record } = job;
    job.kill = (name) => void signal(record, name);
    job.ended = this.gone(record, job.over.signal).then(
      () => this.finish(job, readTermination(this.termination(record.name))),
      // This runner has left it, too.
      () => {},
    );
    this.endInTime(job);
  }

  private async gone(record: JobRecord, signal: AbortSignal): Promise<void> {
    while (await isAlive(record)) await this.clock.sleep(pollMs, signal);
  }

  private async endOrphan(record: JobRecord): Promise<void> {
    await signal(record, 'SIGTERM');
    const deadline = this.clock.now() + this.graceSeconds * 1000;
    while (await isAlive(record)) {
      if (this.clock.now() >= deadline) await signal(record, 'SIGKILL');
      await this.clock.sleep(pollMs);
    }
  }

  /** Ends a job that has run for as long as it may. */
  private endInTime(job: Job): void {
    const { name, endBy } = job.record;
    if (endBy === undefined) return;
    const wait = async () => {
      for (let left = endBy - this.clock.now(); left > 0; left = endBy - this.clock.now())
        await this.clock.sleep(Math.min(left, longestTimerMs), job.over.signal);
      job.late = true;
      await this.stop(name, this.graceSeconds);
    };
    // It has ended by itself.
    wait().catch(() => {});
  }

  private termination(name: string): string {
    return join(this.options.folder, `${name}.end`);
  }

  /** For what a trainer writes while it runs: gone when it is, however it ended. */
  private workFolder(name: string): string {
    return join(this.options.folder, `${name}.work`);
  }

  private finish(job: Job, end: Pick<JobRecord, 'phase' | 'exitCode' | 'cause'>): void {
    clearTimeout(job.killTimer);
    job.over.abort();
    job.record = { ...job.record, ...end, ...causeOf(job, end) };
    try {
      rmSync(this.workFolder(job.record.name), { recursive: true, force: true });
      rmSync(this.termination(job.record.name), { force: true });
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
    const { name, ranks } = spec;
    const violation = jobNameViolation(name);
    if (violation) throw violation;
    if (ranks !== 1)
      throw InvalidArgument.at(
        'ranks',
        `expected 1, since this runner starts one process a job, got ${ranks}`,
      );
    if (this.closed) throw new Unavailable('no trainer can be started: the platform is stopping');
    if (this.jobs.has(name)) return;
    const starting = this.begin(spec);
    this.starting.add(starting);
    await starting.finally(() => this.starting.delete(starting));
  }

  private async begin(spec: JobSpec): Promise<void> {
    const { name, labels, annotations, deadlineSeconds } = spec;
    const { folder } = this.options;
    const record: JobRecord = {
      name,
      labels: { ...labels },
      annotations: { ...annotations },
      log: join(folder, `${name}.log`),
      ...(deadlineSeconds === undefined ? {} : { endBy: this.clock.now() + deadlineSeconds * 1000 }),
      phase: 'running',
    };
    const job = newJob(record);
    this.jobs.set(name, job);
    try {
      writeRecord(folder, record);
      const { child, written } = this.spawn(spec, record.log);
      job.child = child;
      job.kill = (signal) => child.kill(signal);
      job.ended = new Promise((resolve) => {
        child.once('exit', async (code, death) => {
          const drain = setTimeout(() => letGoOfOutput(child), drainMs);
          // Its log is complete before anybody hears of its end.
          await written;
          clearTimeout(drain);
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
        child.send({ token: spec.token } satisfies TrainerMessage, () => {});
      }
    } catch (error) {
      job.child?.kill('SIGKILL');
      this.jobs.delete(name);
      removeRecord(folder, record);
      rmSync(this.workFolder(name), { recursive: true, force: true });
      throw startError(error);
    }
    this.endInTime(job);
    this.tell(job);
  }

  private spawn(
    { name, environment, token }: JobSpec,
    log: string,
  ): { child: ChildProcess; written: Promise<unknown> } {
    const work = this.workFolder(name);
    mkdirSync(work, { recursive: true });
    const child = fork(this.options.entry, [], {
      execPath: process.execPath,
      execArgv: [...(this.options.nodeArguments ?? [])],
      env: {
        ...this.options.environment,
        TMPDIR: work,
        ...environment,
        ...terminationTo(this.termination(name)),
      },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // Ctrl-C at a terminal reaches the platform alone, which then ends its trainers in order.
      detached: true,
    });
    child.on('error', () => {});
    const folder = new LogFolder(log);
    const secrets = secretsOf({ ...this.options.environment, ...environment }, token);
    const written = [child.stdout!, child.stderr!].map((stream) => {
      const lines = new SafeLines(secrets, (bytes) => folder.append(bytes));
      stream.on('data', (chunk: Buffer) => lines.take(chunk));
      return new Promise<void>((resolve) => {
        stream.once('close', () => {
          lines.end();
          resolve();
        });
      });
    });
    return { child, written: Promise.all(written) };
  }

  async list(): Promise<JobStatus[]> {
    return [...this.jobs.values()].map(({ record }) => statusOf(record));
  }

  async stop(name: string, graceSeconds: number): Promise<void> {
    const job = this.jobs.get(name);
    if (job?.record.phase !== 'running' || !job.kill) return;
    const { kill } = job;
    job.asked = true;
    kill('SIGTERM');
    clearTimeout(job.killTimer);
    job.killTimer = setTimeout(() => kill('SIGKILL'), graceSeconds * 1000);
  }

  async *log(name: string, { from = 0, follow = false, signal }: LogOptions = {}): AsyncGenerator<LogPiece> {
    const job = this.jobs.get(name);
    if (!job) throw new NotFound(`expected a job, got ${show(name)}`);
    const folder = new LogFolder(job.record.log);
    for (let position = from; ; ) {
      // What was written before it ended is read after that.
      const last = !follow || job.record.phase !== 'running' || this.closed;
      for await (const piece of piecesOf(folder, position)) {
        yield piece;
        position = piece.offset + piece.bytes.length;
      }
      if (last || signal?.aborted) return;
      await this.clock.sleep(pollMs, signal).catch(() => {});
    }
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

  /** What trainers write to their standard output from now on is lost; what they log is not. */
  async detach(): Promise<void> {
    this.closed = true;
    await Promise.allSettled(this.starting);
    const running = [...this.jobs.values()].filter(({ record }) => record.phase === 'running');
    await Promise.all(running.map((job) => this.letGo(job)));
  }

  private async letGo(job: Job): Promise<void> {
    const { child } = job;
    clearTimeout(job.killTimer);
    delete job.kill;
    // One of an earlier runner is nobody's child: it is there for the next one as it is.
    if (!child) return job.over.abort();
    const message: TrainerMessage = { detached: { log: job.record.log } };
    const told = await new Promise<boolean>((resolve) => {
      child.send(message, (error) => resolve(error === null));
    });
    if (!told || job.record.phase !== 'running') return;
    child.removeAllListeners('exit');
    job.over.abort();
    job.ended = Promise.resolve();
    job.record = { ...job.record, detached: true };
    writeRecord(this.options.folder, job.record);
    child.disconnect();
    letGoOfOutput(child);
    child.unref();
  }

  async close(): Promise<void> {
    this.closed = true;
    const jobs = [...this.jobs.values()];
    for (const { record } of jobs) await this.stop(record.name, this.graceSeconds);
    await Promise.allSettled(jobs.map(({ ended }) => ended));
  }
}
