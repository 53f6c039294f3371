/**
 * Carries experiments on: reads what is recorded, lets `decide` say what is next, records it, and only then acts on
 * jobs and files. Each act is idempotent by its job's or folder's name, so that a process killed between the two, or a
 * second one beside it, does no harm.
 */
import { Aborted, NotFound, ResourceExhausted, sha256, show, Unavailable } from '@emotune/base';
import type { Sql } from '@emotune/database';
import { consume, emit, topics } from '@emotune/events';
import type { JobSpec, JobStatus } from '@emotune/jobs';
import { common, type featurization } from '@emotune/proto';
import { type Client, Worker } from '@emotune/service';
import type { OnApplicationBootstrap, OnApplicationShutdown } from '@nestjs/common';
import type { TuningContext } from './context.js';
import { type Action, decide } from './decide.js';
import { experimentMessages, trialMessage } from './messages.js';
import type { Models } from './models.js';
import { architectureOf } from './spec.js';
import { jobName } from './state.js';
import { type BoundFeatures, type ExperimentRow, experimentRow, readExperiment, trialRow } from './store.js';
import { newToken } from './token.js';

/** Where nothing wakes it, it looks for work this often. */
const lookMs = 1_000;
const usualLeaseSeconds = 30;
const peerDeadlineMs = 5_000;
const group = 'tuning';

/** What is left to do once a decision is recorded. */
type Effect = () => Promise<void>;

export class Reconciler implements OnApplicationBootstrap, OnApplicationShutdown {
  readonly leaseMs: number;
  private readonly worker: Worker;
  private readonly features: Client<featurization.FeatureServiceClient>;
  /** Jobs that were asked to end; asking again would start their grace period anew. */
  private readonly stopping = new Set<string>();
  private leave: (() => unknown)[] = [];
  private listeningSince = 0;

  constructor(
    private readonly context: TuningContext,
    private readonly models: Models,
  ) {
    const { clock, log, channel } = context;
    this.leaseMs = (context.leaseSeconds ?? usualLeaseSeconds) * 1000;
    this.features = channel.client('FeatureService');
    this.worker = new Worker(() => this.round(), { name: 'experiments', clock, log, everyMs: lookMs });
  }

  async onApplicationBootstrap(): Promise<void> {
    const { database, bus, runner, clock } = this.context;
    this.listeningSince = clock.now();
    const wake = async () => this.wake();
    this.leave = [
      runner.onChange(() => this.wake()),
      await consume({ database, bus, group, topic: topics.featuresReady, handle: wake }),
      await consume({ database, bus, group, topic: topics.featuresFailed, handle: wake }),
      await consume({
        ...{ database, bus, group, topic: topics.evaluationCompleted },
        handle: (sql, message) => this.models.evaluated(sql, message),
      }),
    ];
    this.worker.start();
  }

  async onApplicationShutdown(): Promise<void> {
    for (const leave of this.leave) await leave();
    await this.worker.close();
  }

  wake(): void {
    this.worker.wake();
  }

  private now(): Date {
    return new Date(this.context.clock.now());
  }

  /** Every experiment that is not at rest. Never busy: what it does not finish now waits for something outside. */
  private async round(): Promise<boolean> {
    const { database, runner, log } = this.context;
    const jobs = new Map((await runner.list()).map((job) => [job.name, job]));
    const rows = await database.query<{ name: string }>(
      `select name from experiments e where state not in ('succeeded', 'failed', 'cancelled') or name = any($1)
         or exists (select 1 from trials where experiment = e.name and state in ('queued', 'running')) order by created_at`,
      [[...jobs.values()].map(({ labels }) => labels['emotune.io/experiment'] ?? '')],
    );
    for (const { name } of rows) {
      try {
        await this.carryOn(name, jobs);
      } catch (error) {
        if (error instanceof Aborted) this.wake();
        else
          log.error('an experiment could not be carried on and will be tried again', {
            experiment: name,
            error,
          });
      }
    }
    return false;
  }

  private async carryOn(name: string, jobs: Map<string, JobStatus>): Promise<void> {
    const { database, outbox } = this.context;
    await this.bindFeatures(await experimentRow(database, name));
    for (let changed = true; changed; ) {
      const effects: Effect[] = [];
      changed = await database.transaction(async (sql) => {
        effects.length = 0;
        const row = await experimentRow(sql, name);
        const { listeningSince, leaseMs } = this;
        const experiment = await readExperiment(sql, row, { jobs, listeningSince, leaseMs });
        let recorded = false;
        for (const action of decide(experiment, this.context.clock.now())) {
          const effect = await this.apply(sql, row, action, jobs);
          if (effect) effects.push(effect);
          recorded ||= action.type !== 'stop-job' && action.type !== 'remove-job';
        }
        return recorded;
      });
      if (changed) outbox.wake();
      for (const effect of effects) await effect();
    }
  }

  /** Records an action; gives what is to be done about it after the commit. */
  private async apply(
    sql: Sql,
    row: ExperimentRow,
    action: Action,
    jobs: Map<string, JobStatus>,
  ): Promise<Effect | undefined> {
    const { name } = row;
    switch (action.type) {
      case 'enter':
        await sql.query(
          'update experiments set state = $2, reason = $3, started_at = coalesce(started_at, $4), revision = revision + 1 where name = $1',
          [name, action.state, action.reason, this.now()],
        );
        return undefined;
      case 'finish':
        await this.finish(sql, name, action.state, action.reason);
        return undefined;
      case 'create-trial':
        await sql.query(
          `insert into trials (experiment, number, kind, state, parameters, enqueued, total_tokens, created_at)
           values ($1, $2, $3, 'queued', $4, false, $5, $6)`,
          [
            ...[name, action.number, action.kind, JSON.stringify(action.parameters)],
            ...[action.totalTokens, this.now()],
          ],
        );
        return undefined;
      case 'start-attempt':
        return this.startAttempt(sql, row, action.trial, action.attempt);
      case 'end-attempt':
        await this.endAttempt(sql, name, action);
        return undefined;
      case 'end-trial': {
        await sql.query(
          `update trials set state = $3, reason = $4, ended_at = $5, revision = revision + 1
           where experiment = $1 and number = $2`,
          [name, action.trial, action.state, action.reason, this.now()],
        );
        const trial = trialMessage(await trialRow(sql, name, action.trial));
        await emit(sql, topics.trialFinished, name, { trial });
        return undefined;
      }
      case 'register-model':
        await this.models.register(sql, row.model_version, this.now());
        return undefined;
      case 'store-model':
        return () => this.storeModel(name, action.trial);
      case 'stop-job':
        return async () => {
          if (this.stopping.has(action.job)) return;
          this.stopping.add(action.job);
          await this.context.runner.stop(action.job, action.graceSeconds);
        };
      case 'remove-job':
        return async () => {
          await this.context.runner.remove(action.job);
          this.stopping.delete(action.job);
          jobs.delete(action.job);
        };
    }
  }

  private async finish(sql: Sql, name: string, state: 'succeeded' | 'failed', reason: string): Promise<void> {
    await sql.query(
      'update experiments set state = $2, reason = $3, ended_at = $4, revision = revision + 1 where name = $1',
      [name, state, reason, this.now()],
    );
    const [experiment] = await experimentMessages(sql, [await experimentRow(sql, name)]);
    await emit(sql, topics.experimentFinished, name, { experiment });
  }

  private async startAttempt(sql: Sql, row: ExperimentRow, number: number, attempt: number): Promise<Effect> {
    const { runner, objects, address, log } = this.context;
    const { name, spec } = row;
    // Known to this process and the trainer alone: if we die before the job starts, the attempt is lost and another made.
    const token = newToken();
    const now = this.context.clock.now();
    await sql.query(
      'insert into attempts (experiment, trial, number, token_hash, lease_until, created_at) values ($1, $2, $3, $4, $5, $6)',
      [name, number, attempt, sha256(token), new Date(now + this.leaseMs), new Date(now)],
    );
    await sql.query(
      `update trials set state = 'running', started_at = coalesce(started_at, $3), revision = revision + 1
       where experiment = $1 and number = $2`,
      [name, number, new Date(now)],
    );
    const trial = await trialRow(sql, name, number);
    const job: JobSpec = {
      name: jobName(name, number, attempt),
      labels: {
        'emotune.io/experiment': name,
        'emotune.io/trial': `${name}-t${number}`,
        'emotune.io/trial-number': String(number),
        'emotune.io/architecture': architectureOf(spec, trial.parameters),
        'emotune.io/attempt': String(attempt),
      },
      annotations: { 'emotune.io/parameters': JSON.stringify(trial.parameters) },
      environment: {
        EMOTUNE_TUNING: address,
        EMOTUNE_EXPERIMENT: name,
        EMOTUNE_TRIAL: String(number),
        EMOTUNE_ATTEMPT: String(attempt),
        EMOTUNE_OBJECTS: objects.url,
        // The final training runs alone: it takes what its machine has.
        EMOTUNE_THREADS: String(trial.kind === 'final' ? 0 : (spec.training?.threads ?? 0)),
      },
      token,
    };
    return async () => {
      try {
        await runner.start(job);
      } catch (error) {
        log.warn('a trainer could not be started and will be tried again', { job: job.name, error });
        const reason = `Interrupted: no trainer could be started: ${(error as Error).message}`;
        await this.context.database.transaction((again) =>
          this.endAttempt(again, name, { trial: number, attempt, outcome: 'interrupted', reason }),
        );
      }
    };
  }

  private async endAttempt(
    sql: Sql,
    name: string,
    end: Pick<Extract<Action, { type: 'end-attempt' }>, 'trial' | 'attempt' | 'outcome' | 'reason'>,
  ): Promise<void> {
    await sql.query(
      'update attempts set outcome = $4, reason = $5, ended_at = $6 where experiment = $1 and trial = $2 and number = $3 and outcome is null',
      [name, end.trial, end.attempt, end.outcome, end.reason, this.now()],
    );
  }

  private async storeModel(name: string, number: number): Promise<void> {
    const { database, outbox } = this.context;
    const row = await experimentRow(database, name);
    let id = '';
    let failure = '';
    try {
      id = await this.models.store(row, await trialRow(database, name, number));
    } catch (error) {
      if (error instanceof ResourceExhausted || error instanceof Unavailable) throw error;
      failure = `the trained model cannot be used: ${(error as Error).message}`;
    }
    await database.transaction(async (sql) => {
      // It may have been cancelled meanwhile.
      if ((await experimentRow(sql, name)).state !== 'finalizing') return;
      if (failure !== '') await this.finish(sql, name, 'failed', failure);
      else
        await sql.query(
          'update experiments set model_version = $2, reason = $3, revision = revision + 1 where name = $1',
          [name, id, `waits for the evaluation of ${id}`],
        );
    });
    outbox.wake();
  }

  /** Notes what has become of the features that an experiment waits for. */
  private async bindFeatures(row: ExperimentRow): Promise<void> {
    if ((row.state !== 'waiting' && row.state !== 'paused') || row.features || row.features_failure !== null)
      return;
    const set = await this.featureSet(row.spec.features);
    if (!set) return;
    const { database } = this.context;
    if (set.state === common.BuildState.BUILD_STATE_FAILED) {
      await database.query('update experiments set features_failure = $2 where name = $1', [
        row.name,
        set.failure,
      ]);
      return;
    }
    if (set.state !== common.BuildState.BUILD_STATE_READY) return;
    const prefixes = Object.fromEntries(set.tokenized.map(({ tokenizer, prefix }) => [tokenizer, prefix]));
    const missing = row.bases.filter(({ tokenizer }) => prefixes[tokenizer] === undefined);
    if (missing.length > 0) {
      const names = missing.map(({ model }) => model).join(', ');
      const failure = `feature set ${show(set.name)} was not made for the tokenizer of ${names}; create one whose baseModels name it`;
      await database.query('update experiments set features_failure = $2 where name = $1', [
        row.name,
        failure,
      ]);
      return;
    }
    const bound: BoundFeatures = {
      version: set.version,
      dataset: set.spec?.dataset ?? '',
      datasetVersion: set.datasetVersion,
      prefixes,
    };
    await database.query('update experiments set features = $2 where name = $1', [
      row.name,
      JSON.stringify(bound),
    ]);
  }

  /** Undefined while it does not exist or its service is away. */
  private async featureSet(name: string): Promise<featurization.FeatureSet | undefined> {
    try {
      return await this.features.call('getFeatureSet', { name }, { deadlineMs: peerDeadlineMs });
    } catch (error) {
      if (error instanceof NotFound || error instanceof Unavailable) return undefined;
      throw error;
    }
  }
}
