/**
 * Carries experiments on: reads what is recorded, lets `decide` say what is next, records it, and only then acts on
 * jobs and files. Each act is idempotent by its job's or folder's name, so that a process killed between the two does no
 * harm. Of the service's processes one does it at a time; one that no longer leads records nothing any more.
 */
import { Aborted, aborted, every, Lanes, NotFound, policyOf, Unavailable } from '@emotune/base';
import { beginEpoch, lead, type Sql, type Term } from '@emotune/database';
import { consume, emit, on, topics } from '@emotune/events';
import { hasEnded, type JobStatus, labels as jobLabels, meaningOf } from '@emotune/jobs';
import type { ModelConfig } from '@emotune/models';
import { common, type featurization } from '@emotune/proto';
import { BuildDied, type Client, Outages, Worker } from '@emotune/service';
import type { OnApplicationBootstrap, OnApplicationShutdown } from '@nestjs/common';
import type { TuningContext } from './context.js';
import { type Action, historyOf } from './decide.js';
import { shortageOf } from './disk-space.js';
import { bound, isUnbound } from './features.js';
import type { Fitting } from './fitting.js';
import { jobOf } from './job.js';
import { notesOf, valuesOf } from './job-notes.js';
import { Leases } from './leases.js';
import { Ledger } from './ledger.js';
import { rowLengths } from './memory.js';
import { experimentMessages, trialMessage } from './messages.js';
import { storeModel } from './model-store.js';
import type { Models } from './models.js';
import type { ReportQueue } from './report-queue.js';
import { deciding, saveChanges, saveReport } from './save.js';
import type { Experiment, Surroundings } from './state.js';
import {
  checkpointsPrefix,
  type ExperimentRow,
  experimentRow,
  featuresOf,
  ownerOf,
  trialRow,
} from './store.js';
import type { Suggestions } from './suggestions.js';
import {
  type Advance,
  advancing,
  endOfAttempt,
  record,
  withModel,
  withoutCheckpoints,
} from './transitions.js';
import type { TrialLogs } from './trial-logs.js';
import { traceEnded, trialTrace } from './trial-trace.js';

/** Where nothing wakes it, it looks for work this often. */
const lookMs = 1_000;
/** A process that does not lead counts the running trainers this often. */
const countMs = 5_000;
const usualLeaseSeconds = 30;
/** Of the lock, the epoch and the notification. */
const controller = 'controller';
const peerDeadlineMs = 5_000;

/** Between two rounds, in durations of the last one, and at most so long: changes that come together are taken up together. */
const restShare = 3;
const longestRestMs = 250;
/** Reports a second of all trainers together: what pauses between them aim at. */
const reportsPerSecond = 200;
/** Between SIGTERM and SIGKILL of a trainer whose experiment is not there. */
const orphanGraceSeconds = 5;
/** Trainers that are being started or stopped at the same time. */
const mostActs = 32;

/** Between tries to store a model for which there was no space, or of which files were damaged. */
const storeAgainMs = 10_000;

/** What is left to do once a decision is recorded. */
type Effect = () => Promise<void>;

export class Reconciler implements OnApplicationBootstrap, OnApplicationShutdown {
  readonly leaseMs: number;
  readonly ledger = new Ledger();
  /** Runs while this process leads. */
  private worker: Worker | undefined;
  /** Fails in transactions of a process that no longer leads. */
  private fence: (sql: Sql) => Promise<void> = async () => {};
  /** Aborts when this process leads no more against its will. */
  private lost: AbortSignal = new AbortController().signal;
  private readonly closing = new AbortController();
  private led: Promise<void> | undefined;
  private stopCounting: (() => Promise<void>) | undefined;
  private readonly features: Client<featurization.FeatureServiceClient>;
  /** Jobs that were asked to end; asking again would start their grace period anew. */
  private readonly stopping = new Set<string>();
  private running = 0;
  /** When a trained model that could not be stored is tried again, by experiment. */
  private readonly storeAgainAt = new Map<string, number>();
  /** Of base models, by folder, whose content never changes. */
  private readonly configs = new Map<string, ModelConfig>();
  private leave: (() => unknown)[] = [];
  private listeningSince = 0;
  private readonly outages: Outages;
  private readonly leases = new Leases();

  constructor(
    private readonly context: TuningContext,
    private readonly models: Models,
    private readonly logs: TrialLogs,
    private readonly suggestions: Suggestions,
    readonly fitting: Fitting,
    private readonly reports: ReportQueue,
  ) {
    this.leaseMs = (context.leaseSeconds ?? usualLeaseSeconds) * 1000;
    this.features = context.channel.client('FeatureService');
    this.outages = new Outages(context.log);
  }

  async onApplicationBootstrap(): Promise<void> {
    const { database, bus, runner, clock, work, election } = this.context;
    this.listeningSince = clock.now();
    const wake = async () => this.wake();
    this.leave = [
      runner.onChange(() => this.wake()),
      await consume({
        database,
        bus,
        group: 'tuning',
        handlers: [
          on(topics.featuresReady, wake),
          on(topics.featuresFailed, wake),
          on(topics.evaluationCompleted, (sql, message) => this.models.evaluated(sql, message)),
        ],
      }),
    ];
    if (work !== 'trials') return;
    const { signal } = this.closing;
    this.led = lead(database, controller, { clock, signal, election }, (term) => this.control(term));
    this.stopCounting = every(countMs, clock, async () => {
      if (!this.worker) this.count(await runner.list().catch(() => []));
    });
  }

  async onApplicationShutdown(): Promise<void> {
    for (const leave of this.leave) await leave();
    this.closing.abort();
    await this.led;
    await this.suggestions.close();
    await this.fitting.close();
    await this.stopCounting?.();
  }

  private async control({ session, signal, lost }: Term): Promise<void> {
    const { database, clock, log } = this.context;
    const options = { name: 'experiments', clock, log, everyMs: lookMs };
    const worker = new Worker((signal) => this.round(signal), options);
    this.fence = await beginEpoch(database, controller);
    await session.listen(this.channel, () => worker.wake());
    this.stopping.clear();
    this.lost = lost;
    this.worker = worker;
    worker.start();
    await aborted(signal);
    this.worker = undefined;
    await worker.close();
    await this.logs.leave();
  }

  /** Has what has changed looked at soon, by whichever process leads. */
  wake(): void {
    if (this.worker) this.worker.wake();
    // It looks by itself, if it is not told.
    else void this.context.database.query("select pg_notify($1, '')", [this.channel]).catch(() => {});
  }

  private get channel(): string {
    return `${this.context.database.schema}.${controller}`;
  }

  /** A transaction of the process that leads. @throws Aborted when it no longer does. */
  private record<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    return deciding(this.context.database, async (sql) => {
      await this.fence(sql);
      return work(sql);
    });
  }

  private count(jobs: readonly JobStatus[]): void {
    this.running = jobs.filter(({ phase }) => phase === 'running').length;
  }

  /** How often a trainer should report, so that all of them together are not too many. */
  get reportSeconds(): number {
    return Math.min(Math.max(1, this.running / reportsPerSecond), this.leaseMs / 5000);
  }

  private now(): Date {
    return new Date(this.context.clock.now());
  }

  /** Every experiment that is not at rest. Never busy: what it does not finish now waits for something outside. */
  private async round(signal: AbortSignal): Promise<boolean> {
    const { database, objects, runner, clock } = this.context;
    const began = clock.now();
    const jobs = await runner.list();
    this.count(jobs);
    this.logs.follow(jobs, this.lost);
    const jobsOf = (name: string) =>
      new Map(
        jobs.filter(({ labels }) => labels[jobLabels.experiment] === name).map((job) => [job.name, job]),
      );
    const rows = await database.query<{ name: string }>(
      `select name from experiments e where state not in ('succeeded', 'failed', 'cancelled') or name = any($1)
         or exists (select 1 from trials where experiment = e.name and state in ('queued', 'running', 'paused'))
         or exists (select 1 from trials where experiment = e.name and keeps_checkpoint) order by created_at`,
      [[...new Set(jobs.map(({ labels }) => labels[jobLabels.experiment] ?? ''))]],
    );
    await this.endOrphans(jobs, new Set(rows.map(({ name }) => name)));
    const freeBytes = await objects.freeBytes();
    for (const { name } of rows) {
      if (this.lost.aborted) break;
      try {
        await this.carryOn(name, jobsOf(name), freeBytes);
        this.outages.over('an experiment', { experiment: name });
      } catch (error) {
        if (this.lost.aborted) break;
        if (error instanceof Aborted) this.wake();
        else this.outages.failed('an experiment', error, { experiment: name });
      }
    }
    const rest = Math.min(longestRestMs, restShare * Math.max(0, clock.now() - began));
    await clock.sleep(rest, signal).catch(() => {});
    return false;
  }

  /** Jobs of experiments that are not there: deleted, or newer than the database that was restored. */
  private async endOrphans(jobs: readonly JobStatus[], known: ReadonlySet<string>): Promise<void> {
    const { runner, log } = this.context;
    for (const job of jobs) {
      const experiment = job.labels[jobLabels.experiment];
      if (this.lost.aborted || experiment === undefined || known.has(experiment)) continue;
      if (hasEnded(job)) await runner.remove(job.name);
      else if (!this.stopping.has(job.name)) {
        log.warn('a trainer of an experiment that is not there is stopped', { job: job.name });
        this.stopping.add(job.name);
        await runner.stop(job.name, orphanGraceSeconds);
      }
    }
  }

  private async carryOn(
    name: string,
    listed: ReadonlyMap<string, JobStatus>,
    freeBytes: number,
  ): Promise<void> {
    const { database, outbox, clock } = this.context;
    const found = await experimentRow(database, name);
    await this.bindFeatures(found);
    const shortage = await this.shortage(found, freeBytes);
    let jobs = listed;
    for (let more = true; more && !this.lost.aborted; ) {
      let effects: Effect[] = [];
      let after = jobs;
      more = await this.record(async (sql) => {
        const row = await experimentRow(sql, name);
        const { listeningSince, leaseMs } = this;
        const read = await this.ledger.read(sql, row, { jobs, listeningSince, leaseMs, shortage });
        const before = this.leases.watched(read, clock.now(), this.reports.lateBy);
        const { experiment, changed, acts } = await this.advance(row, before);
        after = experiment.jobs;
        const started = await saveChanges(sql, before, experiment);
        effects = started.map(({ trial, attempt, secret }) =>
          this.start(row, experiment, trial, attempt, secret),
        );
        for (const act of acts) effects.push(...(await this.act(sql, row, act)));
        effects.push(async () => this.show(before, experiment));
        effects.push(async () => traceEnded(before, experiment));
        const clears = acts.flatMap((act) => (act.type === 'clear-checkpoints' ? [act.trial] : []));
        if (clears.length > 0) effects.push(() => this.clearCheckpoints(name, clears));
        await this.tell(sql, before, experiment);
        const stores = acts.some(({ type }) => type === 'store-model') && !this.waitsToStore(name);
        return changed || stores || acts.some(({ type }) => type === 'register-model');
      });
      jobs = after;
      if (more) outbox.wake();
      const lanes = new Lanes(mostActs);
      const unlessLost = (effect: Effect) => async () => {
        if (!this.lost.aborted) await effect();
      };
      await Promise.all(effects.map((effect) => lanes.run(unlessLost(effect))));
    }
  }

  /** To people who look at the jobs. */
  private show(before: Experiment, after: Experiment): void {
    const { runner } = this.context;
    for (const [job, values] of valuesOf(after)) runner.annotate?.(job, values);
    for (const { job, event } of notesOf(before, after)) runner.announce?.(job, event);
  }

  /** While values are computed for a trial, calls are answered. */
  private async advance({ bases, features }: ExperimentRow, before: Experiment): Promise<Advance> {
    const steps = advancing(before, this.context.clock.now());
    let step = steps.next();
    while (!step.done) {
      const { plan, trials } = step.value;
      const asked = { plan, bases, rows: features?.rows, history: historyOf(step.value) };
      const { suggestion } = await this.suggestions.ask({ ...asked, trialNumber: trials.length });
      step = steps.next(suggestion);
    }
    return step.value;
  }

  /** What an action that is not recorded by itself does; what is to come after the commit. */
  private async act(sql: Sql, row: ExperimentRow, action: Action): Promise<Effect[]> {
    const { runner } = this.context;
    switch (action.type) {
      case 'register-model':
        await this.models.register(sql, row.model_version, this.now());
        return [];
      case 'store-model':
        if (this.waitsToStore(row.name)) return [];
        return [() => this.storeModel(row.name, action.trial)];
      case 'stop-job':
        if (this.stopping.has(action.job)) return [];
        return [
          async () => {
            this.stopping.add(action.job);
            await runner.stop(action.job, action.graceSeconds);
          },
        ];
      case 'remove-job':
        return [
          async () => {
            // Not before what it wrote is kept elsewhere.
            if (!this.logs.isKept(action.job)) return;
            await runner.remove(action.job);
            this.stopping.delete(action.job);
          },
        ];
      default:
        return [];
    }
  }

  /** The facts that a change has made true. */
  async tell(sql: Sql, before: Experiment, after: Experiment): Promise<void> {
    const { name } = after;
    for (const trial of after.trials) {
      if (trial === before.trials[trial.number] || trial.endedAt === null) continue;
      const message = trialMessage(await trialRow(sql, name, trial.number, this.now()));
      await emit(sql, topics.trialFinished, name, { trial: message }, trialTrace(name, trial));
    }
    await this.tellEnd(sql, before, after);
  }

  private async tellEnd(sql: Sql, before: Experiment, { name, endedAt }: Experiment): Promise<void> {
    if (endedAt === null || before.endedAt !== null) return;
    const [experiment] = await experimentMessages(sql, [await experimentRow(sql, name)], this.now());
    await emit(sql, topics.experimentFinished, name, { experiment });
  }

  private start(
    row: ExperimentRow,
    experiment: Experiment,
    number: number,
    attempt: number,
    secret: string,
  ): Effect {
    const { runner, objects, address, image, log, trainerToken, trainerCa, tracing } = this.context;
    const { name, spec } = row;
    const job = jobOf(
      spec,
      experiment.trials[number],
      { attempt, token: trainerToken(secret) },
      {
        tracing: tracing && { variables: tracing, parent: trialTrace(name, experiment.trials[number]) },
        address,
        ca: trainerCa(),
        objects: objects.url,
        image,
      },
    );
    return async () => {
      try {
        await runner.start(job, this.lost);
      } catch (error) {
        // Whoever leads now finds an attempt without a job.
        if (this.lost.aborted) return;
        log.warn('a trainer could not be started', { job: job.name, error });
        const reason = `${unstartedWord(error)}: no trainer could be started: ${(error as Error).message}`;
        await this.giveUp({ experiment: name, trial: number, attempt }, reason);
      }
    };
  }

  /** An attempt without a job has ended. */
  private async giveUp(
    place: { readonly experiment: string; readonly trial: number; readonly attempt: number },
    reason: string,
  ): Promise<void> {
    const { clock, database } = this.context;
    await database.transaction(async (sql) => {
      await this.fence(sql);
      const owner = await ownerOf(sql, place);
      if (!owner) return;
      const outcome = meaningOf(reason).interrupts ? 'interrupted' : 'failed';
      const attempt = endOfAttempt(owner.attempt, outcome, reason, clock.now());
      await saveReport(sql, place.experiment, owner, { ...owner, attempt });
    }, 'read committed');
  }

  /** Reads an experiment and records what `next` makes of it, with the facts that this makes true. */
  private async change(name: string, next: (experiment: Experiment) => Experiment): Promise<void> {
    const { outbox } = this.context;
    await this.record(async (sql) => {
      const before = await this.ledger.read(sql, await experimentRow(sql, name));
      const after = next(before);
      await saveChanges(sql, before, after);
      await this.tellEnd(sql, before, after);
    });
    outbox.wake();
  }

  /** Whether what its final trial left was tried to store a moment ago, and could not be. */
  private waitsToStore(name: string): boolean {
    return this.context.clock.now() < (this.storeAgainAt.get(name) ?? 0);
  }

  private async shortage(row: ExperimentRow, freeBytes: number): Promise<Surroundings['shortage']> {
    const known = await Promise.all(
      row.bases.map(async ({ architecture, prefix }) => ({
        architecture,
        config: await this.configOf(prefix),
      })),
    );
    const planned = known.flatMap(({ config, ...base }) => (config ? [{ ...base, config }] : []));
    return shortageOf(this.ledger.plan(row), planned, freeBytes, this.context.objects.url);
  }

  /** Of a base model; undefined where its files cannot be read, which its trainer will tell. */
  private async configOf(prefix: string): Promise<ModelConfig | undefined> {
    const config = this.configs.get(prefix) ?? (await this.models.config(prefix).catch(() => undefined));
    if (config) this.configs.set(prefix, config);
    return config;
  }

  private async clearCheckpoints(name: string, numbers: readonly number[]): Promise<void> {
    const { objects } = this.context;
    for (const number of numbers) await objects.delete(checkpointsPrefix(name, number));
    await this.change(name, (experiment) => withoutCheckpoints(experiment, numbers));
  }

  private async storeModel(name: string, number: number): Promise<void> {
    const { database, clock } = this.context;
    const row = await experimentRow(database, name);
    let id = '';
    let failure = '';
    try {
      id = await storeModel(this.models, row, await trialRow(database, name, number));
    } catch (error) {
      const { ending, retryable } = policyOf(error);
      // Nothing that was trained is lost for want of memory on this machine.
      if (meaningOf(ending).waits || error instanceof BuildDied) {
        this.storeAgainAt.set(name, clock.now() + storeAgainMs);
        const obstacle = `${ending}: the trained model cannot be stored: ${(error as Error).message}`;
        return this.change(name, (experiment) => ({ ...experiment, obstacle }));
      }
      if (retryable) throw error;
      failure = `the trained model cannot be used: ${(error as Error).message}`;
    }
    this.storeAgainAt.delete(name);
    await this.change(name, (experiment) => {
      // It may have been cancelled meanwhile.
      if (experiment.state !== 'finalizing') return experiment;
      if (failure === '') return withModel(experiment, id);
      return record(experiment, { type: 'finish', state: 'failed', reason: failure }, clock.now());
    });
  }

  /** Notes what has become of the features that an experiment waits for. */
  private async bindFeatures(row: ExperimentRow): Promise<void> {
    if (!isUnbound({ state: row.state, features: featuresOf(row) })) return;
    const set = await this.featureSet(row.spec.features);
    if (!set) return;
    const ready = set.state === common.BuildState.BUILD_STATE_READY;
    const rows = ready ? rowLengths(set) : undefined;
    const [misfit] = ready ? await this.fitting.nothingFits(this.ledger.plan(row), row.bases, rows) : [];
    await this.change(row.name, (experiment) => bound(experiment, set, misfit));
  }

  /** Undefined while it does not exist or its service is away. */
  async featureSet(name: string): Promise<featurization.FeatureSet | undefined> {
    try {
      return await this.features.call('getFeatureSet', { name }, { deadlineMs: peerDeadlineMs });
    } catch (error) {
      if (error instanceof NotFound || error instanceof Unavailable) return undefined;
      throw error;
    }
  }
}

/** The word for why a trainer could not be started. */
function unstartedWord(error: unknown): string {
  const { ending, final, status } = policyOf(error);
  if (meaningOf(ending).waits) return ending;
  if (status === 'UNAVAILABLE') return 'Unavailable';
  // The same job would be refused again.
  return final ? 'Refused' : 'Interrupted';
}
