/** Experiments as their owners see them: accepted, watched, paused, cancelled. */
import { AlreadyExists, canonicalJson, InvalidArgument, NotFound, show, Violations } from '@emotune/base';
import type { Sql } from '@emotune/database';
import { common, tuning } from '@emotune/proto';
import { type Assignment, completed } from '@emotune/search';
import { numberedPageOf, once, paged, pageOf } from '@emotune/service';
import { cancelled, enqueued, paused, raised, resumed, withStudy, withTrial } from './commands.js';
import type { TuningContext } from './context.js';
import { type Estimate, estimate } from './cost.js';
import { contextOf } from './decide.js';
import { deleteExperiment } from './deletions.js';
import { fittedStudy, type ImportedStudy, importedStudy, type WholeStudy } from './imported.js';
import { rowLengths } from './memory.js';
import { bestFirst, experimentMessages, isMeasured, measuredTrials, trialMessage } from './messages.js';
import type { Models } from './models.js';
import type { Reconciler } from './reconciler.js';
import { recordsOf } from './records.js';
import { deciding, filled, saveChanges, saveNew } from './save.js';
import { type Plan, planOf } from './spec.js';
import { type Base, type BoundFeatures, type Experiment, hasEnded, isOpen, searchTrials } from './state.js';
import { type ExperimentRow, experimentRow, trialRow, trialRows } from './store.js';
import { newExperiment } from './transitions.js';
import { traceEnded } from './trial-trace.js';
import { type Earlier, warmStart } from './warm-start.js';

/** How often a watched experiment is looked at, whichever process changes it. */
const watchMs = 300;

/** Whether the database keeps the same of both. */
function same(a: unknown, b: unknown): boolean {
  const [one, other] = [a, b].map((value) => canonicalJson(JSON.parse(filled(value))));
  return one === other;
}

/** The values of a trial of which some are given, as its sampler completes them. @throws InvalidArgument */
function valuesOf(experiment: Experiment, given: tuning.EnqueueTrialRequest['parameters']): Assignment {
  const { plan, trials, history } = experiment;
  const known = [...history, ...recordsOf(searchTrials(trials))];
  return completed(plan.algorithm, plan.space, given, known, contextOf(experiment, trials.length));
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
    const [message] = await experimentMessages(sql, [await experimentRow(sql, name)], this.now());
    return message;
  }

  /** The versions of the base models that the trials will use; those that are not there become violations. */
  private async basesOf(sql: Sql, { spec, training }: Plan, violations: Violations): Promise<Base[]> {
    const bases: Base[] = [];
    for (const [i, { architecture, model }] of spec.baseModels.entries()) {
      try {
        const { name, version, prefix, tokenizer } = await this.models.find(model, sql, 'base');
        const asked = training.memoryLimitMib > 0;
        const config = asked ? { config: await this.models.config(prefix) } : {};
        bases.push({ architecture, model: name, version, prefix, tokenizer, ...config });
      } catch (error) {
        if (!(error instanceof NotFound)) throw error;
        violations.add(`baseModels[${i}].model`, error.message);
      }
    }
    const [base] = await sql.query("select 1 from models where name = $1 and kind = 'base'", [spec.model]);
    if (base)
      violations.add('model', `expected a name of its own, got ${show(spec.model)}, which is a base model`);
    return bases;
  }

  async create({ spec, requestId }: tuning.CreateExperimentRequest): Promise<tuning.Experiment> {
    const plan = planOf(spec);
    const { name } = plan.spec;
    const rows = await this.rowsOf(plan);
    const created = await this.context.database.transaction(async (sql) => {
      const made = await once(sql, { method: 'CreateExperiment', id: requestId, body: spec }, async () => {
        const [row] = await sql.query<ExperimentRow>('select * from experiments where name = $1', [name]);
        if (row && !same(planOf(row.spec).spec, plan.spec))
          throw new AlreadyExists(
            `name: an experiment ${show(name)} with another spec exists; choose another name`,
          );
        if (row) return name;
        const { bases, earlier } = await this.settle(sql, plan, rows);
        const { history, first } = warmStart(plan, bases, earlier);
        const now = this.context.clock.now();
        const fresh = newExperiment(plan, bases, history, now);
        const experiment = first
          .slice(0, plan.limits.maxTrials)
          .reduce((before, values) => enqueued(before, values, now), fresh);
        await saveNew(sql, experiment);
        return name;
      });
      return this.message(sql, made);
    });
    this.reconciler.wake();
    return created;
  }

  /** The lengths of the rows of the feature set, where the memory of trials is limited and it is ready. */
  private async rowsOf({ spec, training }: Plan): Promise<BoundFeatures['rows']> {
    const set = training.memoryLimitMib > 0 ? await this.reconciler.featureSet(spec.features) : undefined;
    return set?.state === common.BuildState.BUILD_STATE_READY ? rowLengths(set) : undefined;
  }

  /** What a plan refers to. @throws InvalidArgument naming everything that is not there, and a memory that is too small. */
  private async settle(
    sql: Sql,
    plan: Plan,
    rows: BoundFeatures['rows'],
  ): Promise<{ bases: Base[]; earlier: Earlier[] }> {
    const violations = new Violations();
    const bases = await this.basesOf(sql, plan, violations);
    const earlier = await this.earlier(sql, plan, violations);
    violations.addAll(await this.reconciler.fitting.nothingFits(plan, bases, rows));
    violations.throwIfAny();
    return { bases, earlier };
  }

  /** What the spec's earlier experiments have found; those that are not there become violations. */
  private async earlier(sql: Sql, { spec }: Plan, violations: Violations): Promise<Earlier[]> {
    const names = spec.warmStart.map(({ experiment }) => experiment);
    const rows = await sql.query<ExperimentRow>('select * from experiments where name = any($1)', [names]);
    const found: Earlier[] = [];
    for (const [i, { experiment, best }] of spec.warmStart.entries()) {
      const row = rows.find(({ name }) => name === experiment);
      if (row) {
        const { trials } = await this.reconciler.ledger.read(sql, row);
        found.push({ spec: row.spec, bases: row.bases, trials, best });
      } else
        violations.add(
          `warmStart[${i}].experiment`,
          `expected an experiment, got ${show(experiment)}; "emotune experiment list" shows all`,
        );
    }
    return found;
  }

  get(name: string): Promise<tuning.Experiment> {
    return this.message(this.context.database, name);
  }

  /** All that have not ended, and those of the names that there are. */
  async openOrNamed(names: readonly string[]): Promise<tuning.Experiment[]> {
    const { database } = this.context;
    const rows = await database.query<ExperimentRow>(
      `select * from experiments where state not in ('succeeded', 'failed', 'cancelled') or name = any($1)`,
      [names],
    );
    return experimentMessages(database, rows, this.now());
  }

  async list(request: tuning.ListExperimentsRequest): Promise<tuning.ListExperimentsResponse> {
    const { limit, after } = pageOf(request);
    const { database } = this.context;
    const rows = await database.query<ExperimentRow>(
      'select * from experiments where name > $1 order by name limit $2',
      [after, limit + 1],
    );
    const { shown, nextPageToken } = paged(rows, limit, ({ name }) => name);
    return { experiments: await experimentMessages(database, shown, this.now()), nextPageToken };
  }

  /** Everything at first, then what changed, until the experiment has ended and none of its trials is open. */
  async *watch(name: string, signal: AbortSignal): AsyncGenerator<tuning.ExperimentUpdate> {
    const { database, clock } = this.context;
    /** Revisions of trials that are open; those that have ended change no more. */
    const open = new Map<number, number>();
    let next = 0;
    let revision = -1;
    while (!signal.aborted) {
      const row = await experimentRow(database, name);
      const trials = await trialRows(database, name, {
        numbers: [...open.keys()],
        from: next,
        now: this.now(),
      });
      const changed = trials.filter((trial) => open.get(trial.number) !== trial.revision);
      for (const trial of trials) {
        next = Math.max(next, trial.number + 1);
        if (isOpen(trial)) open.set(trial.number, trial.revision);
        else open.delete(trial.number);
      }
      if (changed.length > 0 || row.revision !== revision) {
        revision = row.revision;
        const [experiment] = await experimentMessages(database, [row], this.now());
        yield { experiment, trials: await measuredTrials(database, changed, 'last') };
      }
      if (hasEnded(row.state) && open.size === 0) return;
      await clock.sleep(watchMs, signal).catch(() => {});
    }
  }

  /** What is recorded of an experiment, and what `next` makes of it, recorded too. */
  private async save(
    sql: Sql,
    name: string,
    next: (experiment: Experiment) => Experiment,
  ): Promise<{ readonly before: Experiment; readonly after: Experiment }> {
    const before = await this.reconciler.ledger.read(sql, await experimentRow(sql, name));
    const after = next(before);
    await saveChanges(sql, before, after);
    await this.reconciler.tell(sql, before, after);
    return { before, after };
  }

  /** @throws FailedPrecondition, InvalidArgument where `next` refuses. */
  private async change(
    name: string,
    next: (experiment: Experiment) => Experiment,
  ): Promise<tuning.Experiment> {
    const { database, outbox } = this.context;
    const { message, before, after } = await deciding(database, async (sql) => ({
      ...(await this.save(sql, name, next)),
      message: await this.message(sql, name),
    }));
    traceEnded(before, after);
    outbox.wake();
    this.reconciler.wake();
    return message;
  }

  pause(name: string): Promise<tuning.Experiment> {
    return this.change(name, paused);
  }

  resume(name: string): Promise<tuning.Experiment> {
    return this.change(name, resumed);
  }

  cancel(name: string): Promise<tuning.Experiment> {
    return this.change(name, (experiment) => cancelled(experiment, this.context.clock.now()));
  }

  /** @throws NotFound; FailedPrecondition before its end, and while trainers of it still run. */
  delete(name: string): Promise<void> {
    return deleteExperiment(this.context, name);
  }

  /** @throws InvalidArgument naming every limit that would fall or cannot be; FailedPrecondition when the search is over. */
  async raise({ name, limits }: tuning.RaiseLimitsRequest): Promise<tuning.Experiment> {
    if (!limits) throw InvalidArgument.at('limits', 'expected limits, got nothing');
    return this.change(name, (experiment) => raised(experiment, limits));
  }

  /** @throws InvalidArgument naming each wrong value; FailedPrecondition when no further trial can start. */
  async enqueue(request: tuning.EnqueueTrialRequest): Promise<tuning.EnqueueTrialResponse> {
    const { experiment: name, parameters, requestId } = request;
    const { clock, database } = this.context;
    const answer = await deciding(database, async (sql) => {
      const body = { experiment: name, parameters };
      const done = await once(sql, { method: 'EnqueueTrial', id: requestId, body }, async () => {
        let result = { number: 0, added: false };
        await this.save(sql, name, (before) => {
          const { experiment, ...rest } = withTrial(before, valuesOf(before, parameters), clock.now());
          result = rest;
          return experiment;
        });
        return JSON.stringify(result);
      });
      const { number, added }: { number: number; added: boolean } = JSON.parse(done);
      return { trial: trialMessage(await trialRow(sql, name, number, this.now())), added };
    });
    this.reconciler.wake();
    return answer;
  }

  /** @throws InvalidArgument; FailedPrecondition when the search is over or has no room for the best. */
  async importStudy({ request, sha256 }: WholeStudy): Promise<tuning.ImportStudyResponse> {
    const { requestId, study, ...asked } = request;
    const body = { ...asked, study: { ...study, trials: sha256 } };
    const name = request.experiment;
    const { clock, database } = this.context;
    const fitted = await fittedStudy(
      this.reconciler.ledger.plan(await experimentRow(database, name)),
      request,
    );
    const imported = await deciding(database, async (sql) => {
      let found: ImportedStudy | undefined;
      const numbers = await once(sql, { method: 'ImportStudy', id: requestId, body }, async () => {
        let [added, known]: (readonly number[])[] = [[], []];
        await this.save(sql, name, (experiment) => {
          found = importedStudy(fitted, request, experiment.history);
          const after = withStudy(experiment, found, clock.now());
          ({ enqueued: added, known } = after);
          return after.experiment;
        });
        return JSON.stringify({ enqueued: added, known });
      });
      // Repeated: the same, but for the numbers that the trials got.
      found ??= importedStudy(fitted, request, []);
      return { ...found, numbers };
    });
    this.reconciler.wake();
    const { fitting, lessons, misfits, numbers } = imported;
    return { fitting, taught: lessons.length, misfits: [...misfits], ...JSON.parse(numbers) };
  }

  async trials(request: tuning.ListTrialsRequest): Promise<tuning.ListTrialsResponse> {
    const { limit, after = -1 } = numberedPageOf(request);
    const { database } = this.context;
    await experimentRow(database, request.experiment);
    const rows = await trialRows(database, request.experiment, {
      ...{ from: after + 1, limit: limit + 1, now: this.now() },
    });
    const { shown, nextPageToken } = paged(rows, limit, ({ number }) => String(number));
    const trials = request.withoutMeasurements
      ? shown.map((row) => trialMessage(row))
      : await measuredTrials(database, shown, 'all');
    return { trials, nextPageToken };
  }

  async optimalTrials(name: string): Promise<tuning.ListOptimalTrialsResponse> {
    const { database } = this.context;
    await experimentRow(database, name);
    const best = await database.query<{ number: number }>(
      `select number from (select t.number, rank() over (order by (t.state = 'stopped'), t.objective) as rank,
         row_number() over (order by ${bestFirst}) as place from trials t where t.experiment = $1 and ${isMeasured}) r
       where rank = 1 or place = 1 order by place`,
      [name],
    );
    const numbers = best.map(({ number }) => number);
    if (numbers.length === 0) return { trials: [] };
    const rows = (await trialRows(database, name, { numbers, from: numbers[0], now: this.now() })).filter(
      ({ number }) => numbers.includes(number),
    );
    rows.sort((a, b) => numbers.indexOf(a.number) - numbers.indexOf(b.number));
    return { trials: await measuredTrials(database, rows, 'all') };
  }

  /** @throws InvalidArgument with every violation of the spec; NotFound. */
  async estimate({ name, spec }: tuning.EstimateExperimentRequest): Promise<tuning.Estimate> {
    const { database, clock } = this.context;
    if ((name === '') === (spec === undefined || spec === null))
      throw InvalidArgument.at('spec', 'expected either the name of an experiment or the spec of a new one');
    const { ledger } = this.reconciler;
    if (name !== '') {
      const row = await experimentRow(database, name);
      const experiment = await ledger.read(database, row);
      return estimateMessage(estimate(experiment, clock.now()), experiment.plan);
    }
    const plan = planOf(spec);
    const { bases, earlier } = await this.settle(database, plan, await this.rowsOf(plan));
    const { history } = warmStart(plan, bases, earlier);
    const rates = await ledger.ratesOf(database, bases);
    const experiment = { ...newExperiment(plan, bases, history, clock.now()), rates };
    return estimateMessage(estimate(experiment, clock.now()), plan);
  }
}

const basisMessages = {
  assumed: tuning.EstimateBasis.ESTIMATE_BASIS_ASSUMED,
  scaled: tuning.EstimateBasis.ESTIMATE_BASIS_SCALED,
  measured: tuning.EstimateBasis.ESTIMATE_BASIS_MEASURED,
} as const;

function estimateMessage({ rates, ...figures }: Estimate, { cost, training }: Plan): tuning.Estimate {
  return {
    ...figures,
    cost: figures.gpuHours * cost.pricePerGpuHour,
    finalCost: figures.finalGpuHours * cost.pricePerGpuHour,
    basis: basisMessages[figures.basis],
    folds: training.folds,
    tokensPerSecond: Object.fromEntries([...rates].map(([name, rate]) => [name, rate.tokensPerSecond])),
  };
}
