/**
 * What trainers write: followed while they run and kept in the object store, so that it outlives their job and its machine;
 * and shown, of a job that is there as it comes, else what is kept of it.
 */
import { every, Lanes, NotFound } from '@emotune/base';
import { type JobStatus, type LogOptions, type LogPiece, labels, piecesOf } from '@emotune/jobs';
import type { ObjectStore } from '@emotune/objects';
import type { tuning } from '@emotune/proto';
import { Outages } from '@emotune/service';
import type { TuningContext } from './context.js';
import { isOpen, jobName, type Outcome } from './state.js';
import { experimentRow, logsPrefix, type TrialRow, trialRow } from './store.js';
import { logPlace, StoredLog } from './stored-log.js';

/** What a trainer has written is lost with its machine for no longer than this. */
const storeMs = 5_000;
/** After a log could not be kept. */
const againMs = 15_000;
/** How often is looked whether a trial has another attempt, and for more of a log that another process follows. */
const lookMs = 300;
/** Logs that are opened or stored at a time. */
const mostStoring = 8;
/** For the log. */
const keeping = 'keeping the log of a trainer';

/** Removes all logs of an experiment that is deleted. */
export function deleteLogs(objects: ObjectStore, experiment: string): Promise<void> {
  return objects.delete(logsPrefix(experiment));
}

function prefixOf(experiment: string, trial: number | string, attempt: number | string): string {
  return `${logsPrefix(experiment)}/${trial}/${attempt}`;
}

interface Followed {
  readonly ended: Promise<void>;
  readonly leave: AbortController;
  /** All that the job has written is kept. */
  whole: boolean;
}

interface Attempt {
  readonly outcome: Outcome | null;
  readonly reason: string;
}

export class TrialLogs {
  /** By job. */
  private readonly followed = new Map<string, Followed>();

  private readonly lanes = new Lanes(mostStoring);
  private readonly outages: Outages;

  constructor(private readonly context: TuningContext) {
    this.outages = new Outages(context.log);
  }

  /** Keeps what these jobs have written and write from now on; forgets those that are gone. One that is queued has written nothing. */
  follow(jobs: readonly JobStatus[], lost: AbortSignal): void {
    const names = new Set(jobs.map(({ name }) => name));
    for (const name of this.followed.keys()) if (!names.has(name)) this.followed.delete(name);
    for (const job of jobs) if (job.phase !== 'queued' && !this.followed.has(job.name)) this.begin(job, lost);
  }

  private begin({ name, labels: of }: JobStatus, lost: AbortSignal): void {
    const leave = new AbortController();
    const prefix = prefixOf(of[labels.experiment], of[labels.trialNumber], of[labels.attempt]);
    const signal = AbortSignal.any([leave.signal, lost]);
    const ended = this.keep(name, prefix, signal).then(
      () => {
        followed.whole = true;
        this.outages.over(keeping, { job: name });
      },
      async (error) => {
        if (signal.aborted) return;
        const { clock } = this.context;
        this.outages.failed(keeping, error, { job: name });
        await clock.sleep(againMs, signal).catch(() => {});
        this.followed.delete(name);
      },
    );
    const followed: Followed = { ended, leave, whole: false };
    this.followed.set(name, followed);
  }

  /** Whether all that an ended job has written is kept, so that it can be removed. */
  isKept(job: string): boolean {
    return this.followed.get(job)?.whole ?? false;
  }

  /** Another process goes on with it. */
  async leave(): Promise<void> {
    const all = [...this.followed.values()];
    this.followed.clear();
    for (const { leave } of all) leave.abort();
    await Promise.all(all.map(({ ended }) => ended));
  }

  private async keep(job: string, prefix: string, signal: AbortSignal): Promise<void> {
    const { objects, runner, clock } = this.context;
    const stored = await this.lanes.run(() => StoredLog.open(objects, prefix));
    const store = () => this.lanes.run(() => stored.store());
    const stop = every(storeMs, clock, async () => {
      // What cannot be stored now is tried again, and in the end.
      if (!signal.aborted) await store().catch(() => {});
    });
    try {
      for await (const piece of runner.log(job, { from: stored.end, follow: true, signal }))
        stored.add(piece);
    } finally {
      await stop();
    }
    // Who goes on with it must not find less than it has kept.
    signal.throwIfAborted();
    await store();
  }

  /** @throws NotFound */
  async *read(
    { experiment, number, attempt: wanted, follow }: tuning.ReadTrialLogRequest,
    signal: AbortSignal,
  ): AsyncGenerator<tuning.TrialLogPiece> {
    const { database, clock } = this.context;
    await experimentRow(database, experiment);
    const look = () => trialRow(database, experiment, number);
    let trial = await look();
    if (wanted < 0 || wanted > trial.attempts) throw noSuchAttempt(trial, wanted);
    const goesOn = () => follow && wanted === 0 && isOpen(trial) && !signal.aborted;
    let attempt = wanted || Math.max(1, trial.attempts);
    let found = false;
    for (;;) {
      if (attempt <= trial.attempts)
        for await (const { offset, bytes } of this.pieces(trial, attempt, follow, signal)) {
          found = true;
          if (bytes.length > 0) yield { attempt, offset, data: Buffer.from(bytes) };
        }
      const next = attempt <= trial.attempts ? attempt + 1 : attempt;
      for (trial = await look(); next > trial.attempts && goesOn(); trial = await look())
        await clock.sleep(lookMs, signal).catch(() => {});
      if (!follow || wanted > 0 || next > trial.attempts || signal.aborted) break;
      attempt = next;
    }
    if (!found && !signal.aborted) throw await this.nothingKept(trial, attempt);
  }

  /** The log of an attempt; where it is followed, until its end. An empty piece tells that there is one. */
  private async *pieces(
    { experiment, number }: TrialRow,
    attempt: number,
    follow: boolean,
    signal: AbortSignal,
  ): AsyncGenerator<LogPiece> {
    const { objects, clock } = this.context;
    const job = jobName(experiment, number, attempt);
    const place = logPlace(objects, prefixOf(experiment, number, attempt));
    for (let position = 0; ; ) {
      const { outcome } = await this.attempt(experiment, number, attempt);
      let known = false;
      for await (const piece of this.ofJob(job, { from: position, follow, signal })) {
        known = true;
        yield piece;
        position = piece.offset + piece.bytes.length;
      }
      if ((await place.segments()).length > 0) yield { offset: position, bytes: new Uint8Array() };
      for await (const piece of piecesOf(place, position)) {
        yield piece;
        position = piece.offset + piece.bytes.length;
      }
      // Else it has not begun, or another process runs it, of which more will be kept.
      if (!follow || known || outcome !== null || signal.aborted) return;
      await clock.sleep(lookMs, signal).catch(() => {});
    }
  }

  /** Nothing where there is no such job; else an empty piece at first. */
  private async *ofJob(job: string, options: LogOptions): AsyncGenerator<LogPiece> {
    const { runner } = this.context;
    const isThere = (await runner.list()).some(({ name }) => name === job);
    if (!isThere) return;
    yield { offset: options.from ?? 0, bytes: new Uint8Array() };
    try {
      yield* runner.log(job, options);
    } catch (error) {
      // It was removed meanwhile, so all of it is kept.
      if (!(error instanceof NotFound)) throw error;
    }
  }

  private async attempt(experiment: string, trial: number, attempt: number): Promise<Attempt> {
    const [row] = await this.context.database.query<Attempt>(
      'select outcome, reason from attempts where experiment = $1 and trial = $2 and number = $3',
      [experiment, trial, attempt],
    );
    if (!row) throw new NotFound(`attempt ${attempt} of trial ${trial} of ${experiment} is gone`);
    return row;
  }

  private async nothingKept(
    { experiment, number, attempts, state }: TrialRow,
    attempt: number,
  ): Promise<NotFound> {
    const trial = `trial ${number} of ${experiment}`;
    if (attempts === 0) return new NotFound(`${trial} has no log: it is ${state} and has had no attempt`);
    const { reason } = await this.attempt(experiment, number, attempt);
    return new NotFound(
      `no log is kept of attempt ${attempt} of ${trial}: ${reason || 'its trainer has not begun'}`,
    );
  }
}

function noSuchAttempt({ experiment, number, attempts }: TrialRow, got: number): NotFound {
  const had = attempts === 0 ? 'none so far' : attempts === 1 ? '1' : `1 to ${attempts}`;
  return new NotFound(
    `attempt: expected one that trial ${number} of ${experiment} has had (${had}), got ${got}`,
  );
}
