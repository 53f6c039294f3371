/** Experiments as their owners see them: accepted, watched, paused, cancelled. */
import {
  AlreadyExists,
  canonicalJson,
  FailedPrecondition,
  InvalidArgument,
  NotFound,
  show,
  type Violation,
} from '@emotune/base';
import type { Sql } from '@emotune/database';
import { emit, topics } from '@emotune/events';
import type { tuning } from '@emotune/proto';
import { parseAssignment } from '@emotune/search';
import { once, paged, pageOf } from '@emotune/service';
import type { TuningContext } from './context.js';
import { ranking } from './decide.js';
import { experimentMessages, measuredTrials, trialMessage } from './messages.js';
import type { Models } from './models.js';
import type { Reconciler } from './reconciler.js';
import { type Plan, planOf } from './spec.js';
import { hasEnded, isOpen } from './state.js';
import {
  type Base,
  type ExperimentRow,
  experimentRow,
  type TrialRow,
  trialOf,
  trialRow,
  trialRows,
} from './store.js';
import { plainValues } from './values.js';

/** How often a watched experiment is looked at, whichever process changes it. */
const watchMs = 300;

/** JSON without null fields, as the database keeps it. */
function stored<T>(value: T): string {
  return JSON.stringify(value, (_, v) => v ?? undefined);
}

export class Experiments {
  constructor(
    private readonly context: TuningContext,
    private readonly models: Models,
    private readonly reconciler: Reconciler,
  ) {}

  private now(): Date {
    return new Date(this.context.clock.now());
  }

  private async message(sql: Sql, name: string): Promise<tuning.Experiment> {
    const [message] = await experimentMessages(sql, [await experimentRow(sql, name)]);
    return message;
  }

  /** The versions of the base models that the trials will use. @throws InvalidArgument naming those that are not there. */
  private async basesOf(sql: Sql, { spec }: Plan): Promise<Base[]> {
    const violations: Violation[] = [];
    const bases: Base[] = [];
    for (const [i, { architecture, model }] of spec.baseModels.entries()) {
      try {
        const { name, version, prefix, tokenizer } = await this.models.find(model, sql, 'base');
        bases.push({ architecture, model: name, version, prefix, tokenizer });
      } catch (error) {
        if (!(error instanceof NotFound)) throw error;
        violations.push({ field: `baseModels[${i}].model`, description: error.message });
      }
    }
    const [base] = await sql.query("select 1 from models where name = $1 and kind = 'base'", [spec.model]);
    if (base)
      violations.push({
        field: 'model',
        description: `expected a name of its own, got ${show(spec.model)}, which is a base model`,
      });
    if (violations.length > 0) throw new InvalidArgument(violations);
    return bases;
  }

  async create({ spec, requestId }: tuning.CreateExperimentRequest): Promise<tuning.Experiment> {
    const plan = planOf(spec);
    const text = stored(plan.spec);
    const { name, features } = plan.spec;
    const created = await this.context.database.transaction(async (sql) => {
      const made = await once(sql, { method: 'CreateExperiment', id: requestId, body: spec }, async () => {
        const [row] = await sql.query<ExperimentRow>('select * from experiments where name = $1', [name]);
        if (row && canonicalJson(row.spec) !== canonicalJson(JSON.parse(text)))
          throw new AlreadyExists(
            `name: an experiment ${show(name)} with another spec exists; choose another name`,
          );
        if (!row)
          await sql.query(
            'insert into experiments (name, spec, bases, state, reason, created_at) values ($1, $2, $3, $4, $5, $6)',
            [
              ...[name, text, JSON.stringify(await this.basesOf(sql, plan)), 'waiting'],
              ...[`waits for the feature set ${show(features)}`, this.now()],
            ],
          );
        return name;
      });
      return this.message(sql, made);
    });
    this.reconciler.wake();
    return created;
  }

  get(name: string): Promise<tuning.Experiment> {
    return this.message(this.context.database, name);
  }

  async list(request: tuning.ListExperimentsRequest): Promise<tuning.ListExperimentsResponse> {
    const { limit, after } = pageOf(request);
    const { database } = this.context;
    const rows = await database.query<ExperimentRow>(
      'select * from experiments where name > $1 order by name limit $2',
      [after, limit + 1],
    );
    const { shown, nextPageToken } = paged(rows, limit, ({ name }) => name);
    return { experiments: await experimentMessages(database, shown), nextPageToken };
  }

  /** Everything at first, then what changed, until the experiment has ended and none of its trials is open. */
  async *watch(name: string, signal: AbortSignal): AsyncGenerator<tuning.ExperimentUpdate> {
    const { database, clock } = this.context;
    const seen = new Map<number, number>();
    let revision = -1;
    while (!signal.aborted) {
      const row = await experimentRow(database, name);
      const trials = await trialRows(database, [name]);
      const changed = trials.filter((trial) => seen.get(trial.number) !== trial.revision);
      if (changed.length > 0 || row.revision !== revision) {
        for (const trial of changed) seen.set(trial.number, trial.revision);
        revision = row.revision;
        const [experiment] = await experimentMessages(database, [row]);
        yield { experiment, trials: await measuredTrials(database, changed, 'last') };
      }
      if (hasEnded(row.state) && !trials.some(isOpen)) return;
      await clock.sleep(watchMs, signal).catch(() => {});
    }
  }

  /** Moves an experiment to another state. @throws FailedPrecondition where `next` refuses the present one. */
  private async change(
    name: string,
    next: (row: ExperimentRow) => Pick<ExperimentRow, 'state' | 'reason'>,
  ): Promise<tuning.Experiment> {
    const { database, outbox } = this.context;
    const changed = await database.transaction(async (sql) => {
      const row = await experimentRow(sql, name);
      const { state, reason } = next(row);
      if (state === row.state) return this.message(sql, name);
      await sql.query(
        'update experiments set state = $2, reason = $3, ended_at = $4, revision = revision + 1 where name = $1',
        [name, state, reason, hasEnded(state) ? this.now() : null],
      );
      const experiment = await this.message(sql, name);
      if (hasEnded(state)) await emit(sql, topics.experimentFinished, name, { experiment });
      return experiment;
    });
    outbox.wake();
    this.reconciler.wake();
    return changed;
  }

  pause(name: string): Promise<tuning.Experiment> {
    return this.change(name, ({ state, reason }) => {
      if (state === 'finalizing' || hasEnded(state))
        throw new FailedPrecondition(
          `experiment ${name} is ${state}: only one that waits or searches can be paused`,
        );
      return state === 'paused' ? { state, reason } : { state: 'paused', reason: 'paused on request' };
    });
  }

  resume(name: string): Promise<tuning.Experiment> {
    return this.change(name, ({ state, reason, spec, started_at: startedAt }) => {
      if (hasEnded(state))
        throw new FailedPrecondition(
          `experiment ${name} is ${state}: it cannot be resumed; submit a new one`,
        );
      if (state !== 'paused') return { state, reason };
      if (startedAt) return { state: 'running', reason: '' };
      return { state: 'waiting', reason: `waits for the feature set ${show(spec.features)}` };
    });
  }

  cancel(name: string): Promise<tuning.Experiment> {
    return this.change(name, ({ state, reason }) => {
      if (state === 'succeeded' || state === 'failed')
        throw new FailedPrecondition(`experiment ${name} is ${state}: there is nothing left to cancel`);
      return state === 'cancelled'
        ? { state, reason }
        : { state: 'cancelled', reason: 'cancelled on request' };
    });
  }

  /** @throws InvalidArgument naming each wrong value; FailedPrecondition when no further trial can start. */
  async enqueue(request: tuning.EnqueueTrialRequest): Promise<tuning.Trial> {
    const { experiment: name, parameters, requestId } = request;
    const trial = await this.context.database.transaction(async (sql) => {
      const body = { experiment: name, parameters };
      const number = await once(sql, { method: 'EnqueueTrial', id: requestId, body }, async () => {
        const row = await experimentRow(sql, name);
        const plan = planOf(row.spec);
        const values = parseAssignment(plan.space, plainValues(parameters));
        if (row.state === 'finalizing' || hasEnded(row.state))
          throw new FailedPrecondition(`experiment ${name} is ${row.state}: its search is over`);
        const trials = await trialRows(sql, [name]);
        if (trials.length >= plan.limits.maxTrials)
          throw new FailedPrecondition(
            `experiment ${name} has its limits.maxTrials (${plan.limits.maxTrials}) trials already`,
          );
        await sql.query(
          `insert into trials (experiment, number, kind, state, parameters, enqueued, total_tokens, created_at)
           values ($1, $2, 'search', 'queued', $3, true, $4, $5)`,
          [name, trials.length, JSON.stringify(values), plan.training.trialTokens, this.now()],
        );
        await sql.query('update experiments set revision = revision + 1 where name = $1', [name]);
        return String(trials.length);
      });
      return trialMessage(await trialRow(sql, name, Number(number)));
    });
    this.reconciler.wake();
    return trial;
  }

  async trials(request: tuning.ListTrialsRequest): Promise<tuning.ListTrialsResponse> {
    const { limit, after } = pageOf(request);
    const { database } = this.context;
    await experimentRow(database, request.experiment);
    const from = after === '' ? 0 : Number(after) + 1;
    const all = await trialRows(database, [request.experiment]);
    const { shown, nextPageToken } = paged(
      all.filter(({ number }) => number >= from).slice(0, limit + 1),
      limit,
      ({ number }) => String(number),
    );
    const trials = request.withoutMeasurements
      ? shown.map((row) => trialMessage(row))
      : await measuredTrials(database, shown, 'all');
    return { trials, nextPageToken };
  }

  async optimalTrials(name: string): Promise<tuning.ListOptimalTrialsResponse> {
    const { database } = this.context;
    await experimentRow(database, name);
    const rows = new Map<number, TrialRow>();
    for (const row of await trialRows(database, [name])) rows.set(row.number, row);
    const ranked = ranking([...rows.values()].map((row) => trialOf(row)));
    const best = ranked.filter(
      ({ objective, state }) => objective === ranked[0].objective && state === ranked[0].state,
    );
    const trials = await measuredTrials(
      database,
      best.map(({ number }) => rows.get(number)!),
      'all',
    );
    return { trials };
  }
}
