/** What trainers tell and ask: each with the token of its own attempt, and only while it owns the trial. */
import { Aborted, InvalidArgument, NotFound, PermissionDenied, show, Unavailable } from '@emotune/base';
import type { Sql } from '@emotune/database';
import { emit, topics } from '@emotune/events';
import { tuning } from '@emotune/proto';
import { architectureOf } from './architecture.js';
import { isSecret } from './attempt-secret.js';
import type { TuningContext } from './context.js';
import { curveOf } from './ledger.js';
import { lineageTokens } from './lineage.js';
import { trialKindMessage } from './messages.js';
import type { Reconciler } from './reconciler.js';
import type { AtLast, ReportQueue } from './report-queue.js';
import {
  type Answer,
  answer,
  assertOwner,
  checkReport,
  completed,
  finished,
  judged,
  measure,
  type Owner,
  unwanted,
  withFolds,
} from './reports.js';
import { saveMeasurements, saveReport } from './save.js';
import { checkpointsPrefix, experimentRow, ownerOf, trialPrefix } from './store.js';

const { Directive, TrialState } = tuning;

const reportStates = {
  [TrialState.TRIAL_STATE_SUCCEEDED]: 'succeeded',
  [TrialState.TRIAL_STATE_STOPPED]: 'stopped',
  [TrialState.TRIAL_STATE_FAILED]: 'failed',
  [TrialState.TRIAL_STATE_INFEASIBLE]: 'infeasible',
} as const;

const directives = {
  continue: Directive.DIRECTIVE_CONTINUE,
  checkpoint: Directive.DIRECTIVE_CHECKPOINT,
  stop: Directive.DIRECTIVE_STOP,
} as const;

/** An attempt as its trainer's call finds it. */
interface Caller extends Owner {
  readonly experiment: string;
}

export class Trials {
  constructor(
    private readonly context: TuningContext,
    private readonly reconciler: Reconciler,
    private readonly queue: ReportQueue,
  ) {}

  /**
   * Many trainers call at once, so their transactions lock the attempt's row and leave those of others alone. To a
   * trainer ABORTED means that it lost its trial: a database that is too busy says UNAVAILABLE instead.
   */
  private async transaction<T>(work: (sql: Sql, atLast: AtLast) => Promise<T>): Promise<T> {
    let thrown: unknown;
    const watched = (sql: Sql, atLast: AtLast) =>
      work(sql, atLast).catch((error) => {
        thrown = error;
        throw error;
      });
    try {
      return await this.queue.run(watched);
    } catch (error) {
      if (error instanceof Aborted && error !== thrown)
        throw new Unavailable(error.message, { cause: error });
      throw error;
    }
  }

  /** @throws NotFound when there is no such trial; PermissionDenied when the secret is not that of the attempt. */
  private async authorised(
    sql: Sql,
    reference: tuning.TrialReference | null | undefined,
    secret: string,
  ): Promise<Caller> {
    if (!reference) throw InvalidArgument.at('trial', 'expected a trial, got nothing');
    const { experiment, number, attempt } = reference;
    const owner = await ownerOf(sql, { experiment, trial: number, attempt });
    if (owner && isSecret(secret, owner.tokenHash)) return { experiment, ...owner };
    const known = await sql.query('select 1 from trials where experiment = $1 and number = $2', [
      experiment,
      number,
    ]);
    if (known.length === 0)
      throw new NotFound(`expected a trial, got number ${number} of ${show(experiment)}`);
    throw new PermissionDenied(
      `trial ${number} of ${show(experiment)}, attempt ${attempt}: expected the token that its trainer was started with`,
    );
  }

  async assignment(request: tuning.GetAssignmentRequest, secret: string): Promise<tuning.Assignment> {
    return this.transaction(async (sql) => {
      const caller = await this.authorised(sql, request.trial, secret);
      assertOwner(caller);
      const why = unwanted(caller);
      if (why !== undefined) throw new Aborted(why);
      const { after } = this.heard(caller, '');
      // One that asks again has taken the place of another process of its attempt, and goes on from a checkpoint.
      await saveReport(sql, caller.experiment, caller, { ...after, attempt: { ...after.attempt, step: -1 } });
      const { trial, attempt } = caller;
      const row = await experimentRow(sql, caller.experiment);
      const { name, spec, bases, features } = row;
      const architecture = architectureOf(spec, trial.parameters);
      const base = bases.find((b) => b.architecture === architecture)!;
      const final = trial.kind === 'final';
      const folds = final ? 0 : (spec.training?.folds ?? 0);
      return {
        trial: { experiment: name, number: trial.number, attempt: attempt.number },
        kind: trialKindMessage(trial.kind),
        architecture,
        baseModelPrefix: base.prefix,
        featuresPrefix: features!.prefixes[base.tokenizer],
        trainSplits: final ? ['train', 'validation'] : ['train'],
        validationSplit: final || folds > 1 ? '' : 'validation',
        parameters: trial.parameters,
        training: { ...spec.training!, folds },
        seed: spec.seed,
        totalTokens: trial.totalTokens,
        outputPrefix: trialPrefix(name, trial.number),
        originPrefix: trial.origin === null ? '' : checkpointsPrefix(name, trial.origin),
        originTokens: trial.originTokens,
        lineageTokens: lineageTokens(this.reconciler.ledger.plan(row)),
        leaseSeconds: this.reconciler.leaseMs / 1000,
        finishedFolds: [...trial.folds],
      };
    });
  }

  /** The caller after it was heard of, and what it is told. */
  private heard(caller: Caller, checkpoint: string): { after: Caller; answer: Answer } {
    const now = this.context.clock.now();
    const { attempt, answer: told } = answer(caller, checkpoint, now, this.reconciler.leaseMs);
    return { after: { ...caller, attempt }, answer: told };
  }

  async heartbeat(request: tuning.HeartbeatRequest, secret: string): Promise<tuning.HeartbeatResponse> {
    checkReport(request.measurements, request.folds);
    let paused = false;
    const everySeconds = this.reconciler.reportSeconds;
    const response = await this.transaction(async (sql, atLast) => {
      const caller = await this.authorised(sql, request.trial, secret);
      assertOwner(caller);
      const why = unwanted(caller);
      if (why !== undefined) return { directive: Directive.DIRECTIVE_STOP, reason: why, everySeconds };
      const { caller: measured, fresh } = await this.measure(sql, caller, request);
      paused = measured.trial.judgement?.decision === 'pause';
      const { after, answer } = this.heard(measured, request.checkpoint);
      await saveReport(sql, caller.experiment, caller, after);
      atLast(() => this.tell(sql, after, fresh));
      const { directive, reason } = answer;
      return { directive: directives[directive], reason, everySeconds };
    });
    if (request.measurements.length > 0) this.context.outbox.wake();
    if (paused) this.reconciler.wake();
    return response;
  }

  /** Keeps measurements, each (attempt, step) once; what a repetition adds to a step is kept too. And folds, each once. */
  private async measure(
    sql: Sql,
    caller: Caller,
    { measurements, folds }: Pick<tuning.HeartbeatRequest, 'measurements' | 'folds'>,
  ): Promise<{ caller: Caller; fresh: readonly tuning.Measurement[] }> {
    if (measurements.length === 0 && folds.length <= caller.trial.folds.length) return { caller, fresh: [] };
    const { experiment, attempt } = caller;
    const place = [experiment, caller.trial.number, attempt.number];
    const repeated = measurements.map(({ step }) => step).filter((step) => step <= attempt.step);
    const known =
      repeated.length === 0
        ? []
        : await sql.query<{ step: number }>(
            'select step from measurements where experiment = $1 and trial = $2 and attempt = $3 and step = any($4)',
            [...place, repeated],
          );
    const heard = measure(caller, measurements, new Set(known.map(({ step }) => step)));
    const counted = withFolds(heard.owner, folds);
    // Judging reads the curve with them.
    await saveMeasurements(sql, experiment, caller, completed(measurements));
    const after: Caller = { ...caller, ...counted };
    const judges =
      counted !== heard.owner ||
      measurements.some(({ objective, fold }) => objective !== undefined && fold === undefined);
    return { caller: judges ? await this.judge(sql, after) : after, fresh: heard.fresh };
  }

  /** Until its transaction ends, no other event of the experiment can be written. */
  private async tell(
    sql: Sql,
    { experiment, trial, attempt }: Caller,
    fresh: readonly tuning.Measurement[],
  ): Promise<void> {
    // One event a call is enough to follow the loss; no objective is left out.
    for (const m of fresh.filter((f, i) => f.objective !== undefined || i === fresh.length - 1))
      await emit(sql, topics.trialMeasured, experiment, {
        experiment,
        number: trial.number,
        attempt: attempt.number,
        measurement: m,
      });
  }

  private async judge(sql: Sql, caller: Caller): Promise<Caller> {
    const { trial, experiment } = caller;
    if (trial.kind !== 'search' || trial.judgement) return caller;
    const { ledger } = this.reconciler;
    const plan = ledger.plan(await experimentRow(sql, experiment));
    if (plan.earlyStopping.name === 'none') return caller;
    const now = this.context.clock.now();
    const own = await curveOf(sql, experiment, trial);
    // Folds end seldom enough to be judged beside what has ended by this moment.
    const others = await ledger.curves(sql, experiment, plan.training.folds > 1 ? undefined : now);
    return { ...caller, ...judged(caller, own, others, plan, now) };
  }

  async finish(request: tuning.FinishTrialRequest, secret: string): Promise<tuning.FinishTrialResponse> {
    const { clock, outbox } = this.context;
    const state = reportStates[request.state as keyof typeof reportStates];
    if (!state)
      throw InvalidArgument.at(
        'state',
        `expected ${Object.keys(reportStates).join(', ')}, got ${request.state}`,
      );
    checkReport(request.measurements, request.folds);
    await this.transaction(async (sql, atLast) => {
      const caller = await this.authorised(sql, request.trial, secret);
      const { outcome: over } = caller.attempt;
      if (over === 'lost') assertOwner(caller);
      if (over !== null || unwanted(caller) !== undefined) return;
      const within = `${trialPrefix(caller.experiment, caller.trial.number)}/`;
      if (request.modelPrefix !== '' && !request.modelPrefix.startsWith(within))
        throw InvalidArgument.at(
          'modelPrefix',
          `expected a folder in ${within}, got ${show(request.modelPrefix)}`,
        );
      const { caller: measured, fresh } = await this.measure(sql, caller, request);
      const ended = finished(measured, { ...request, state }, clock.now());
      await saveReport(sql, caller.experiment, caller, ended);
      atLast(() => this.tell(sql, measured, fresh));
    });
    outbox.wake();
    this.reconciler.wake();
    return {};
  }
}
