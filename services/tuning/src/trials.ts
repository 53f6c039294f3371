/** What trainers tell and ask: each with the token of its own attempt, and only while it owns the trial. */
import { Aborted, InvalidArgument, PermissionDenied, show, Unavailable } from '@emotune/base';
import type { Sql } from '@emotune/database';
import { emit, topics } from '@emotune/events';
import { tuning } from '@emotune/proto';
import type { TuningContext } from './context.js';
import { outcomeOf } from './decide.js';
import { trialKindMessage } from './messages.js';
import type { Reconciler } from './reconciler.js';
import { architectureOf } from './spec.js';
import { hasEnded, type Outcome } from './state.js';
import { type ExperimentRow, experimentRow, type TrialRow, trialRow } from './store.js';
import { isToken } from './token.js';
import { valueMessages } from './values.js';

const { Directive, TrialState } = tuning;

const reportStates = {
  [TrialState.TRIAL_STATE_SUCCEEDED]: 'succeeded',
  [TrialState.TRIAL_STATE_STOPPED]: 'stopped',
  [TrialState.TRIAL_STATE_FAILED]: 'failed',
  [TrialState.TRIAL_STATE_INFEASIBLE]: 'infeasible',
} as const;

interface Owner {
  readonly experiment: ExperimentRow;
  readonly trial: TrialRow;
  readonly attempt: number;
  readonly outcome: Outcome | null;
}

/** Where a trial's results and checkpoints lie, all attempts. */
function outputPrefix({ experiment, number }: TrialRow): string {
  return `trials/${experiment}/${number}`;
}

export class Trials {
  constructor(
    private readonly context: TuningContext,
    private readonly reconciler: Reconciler,
  ) {}

  /**
   * Many trainers call at once, so their transactions lock the attempt's row and leave those of others alone. To a
   * trainer ABORTED means that it lost its trial: a database that is too busy says UNAVAILABLE instead.
   */
  private async transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    let thrown: unknown;
    const watched = (sql: Sql) =>
      work(sql).catch((error) => {
        thrown = error;
        throw error;
      });
    try {
      return await this.context.database.transaction(watched, 'read committed');
    } catch (error) {
      if (error instanceof Aborted && error !== thrown)
        throw new Unavailable(error.message, { cause: error });
      throw error;
    }
  }

  /** @throws PermissionDenied when the token is not that of the attempt. */
  private async authorised(
    sql: Sql,
    reference: tuning.TrialReference | null | undefined,
    token: string,
  ): Promise<Owner> {
    if (!reference) throw InvalidArgument.at('trial', 'expected a trial, got nothing');
    const { experiment, number, attempt } = reference;
    const [row] = await sql.query<{ token_hash: string; outcome: Outcome | null }>(
      'select token_hash, outcome from attempts where experiment = $1 and trial = $2 and number = $3 for update',
      [experiment, number, attempt],
    );
    if (!row || !isToken(token, row.token_hash))
      throw new PermissionDenied(
        `trial ${number} of ${show(experiment)}, attempt ${attempt}: expected the token that its trainer was started with`,
      );
    return {
      experiment: await experimentRow(sql, experiment),
      trial: await trialRow(sql, experiment, number),
      attempt,
      outcome: row.outcome,
    };
  }

  private unwanted({ experiment, trial }: Owner): string | undefined {
    if (hasEnded(experiment.state)) return `the experiment has ended: ${experiment.state}`;
    return trial.state === 'cancelled' ? trial.reason : undefined;
  }

  /** @throws Aborted when the attempt is over, unless nobody wants it any more: then it is told so. */
  private assertOwner({ trial, attempt, outcome }: Owner): void {
    if (outcome !== null && outcome !== 'cancelled')
      throw new Aborted(
        `attempt ${attempt} of trial ${trial.number} is over (${outcome}): end without a report`,
      );
  }

  private renewLease(sql: Sql, { trial, attempt }: Owner): Promise<unknown> {
    const until = new Date(this.context.clock.now() + this.reconciler.leaseMs);
    return sql.query(
      'update attempts set lease_until = $4 where experiment = $1 and trial = $2 and number = $3',
      [trial.experiment, trial.number, attempt, until],
    );
  }

  async assignment(request: tuning.GetAssignmentRequest, token: string): Promise<tuning.Assignment> {
    return this.transaction(async (sql) => {
      const owner = await this.authorised(sql, request.trial, token);
      this.assertOwner(owner);
      const why = this.unwanted(owner);
      if (why !== undefined) throw new Aborted(why);
      await this.renewLease(sql, owner);
      const { experiment, trial } = owner;
      const architecture = architectureOf(experiment.spec, trial.parameters);
      const base = experiment.bases.find((b) => b.architecture === architecture)!;
      const final = trial.kind === 'final';
      return {
        trial: { experiment: experiment.name, number: trial.number, attempt: owner.attempt },
        kind: trialKindMessage(trial.kind),
        architecture,
        baseModelPrefix: base.prefix,
        featuresPrefix: experiment.features!.prefixes[base.tokenizer],
        trainSplits: final ? ['train', 'validation'] : ['train'],
        validationSplit: final ? '' : 'validation',
        parameters: valueMessages(trial.parameters),
        training: experiment.spec.training,
        seed: experiment.spec.seed,
        totalTokens: trial.total_tokens,
        outputPrefix: outputPrefix(trial),
        leaseSeconds: this.reconciler.leaseMs / 1000,
      };
    });
  }

  async heartbeat(request: tuning.HeartbeatRequest, token: string): Promise<tuning.HeartbeatResponse> {
    const response = await this.transaction(async (sql) => {
      const owner = await this.authorised(sql, request.trial, token);
      this.assertOwner(owner);
      const reason = this.unwanted(owner);
      if (reason !== undefined) return { directive: Directive.DIRECTIVE_STOP, reason };
      await this.renewLease(sql, owner);
      await this.measure(sql, owner, request.measurements);
      return { directive: Directive.DIRECTIVE_CONTINUE, reason: '' };
    });
    this.context.outbox.wake();
    return response;
  }

  /** Keeps measurements, each (attempt, step) once; what a repetition adds to a step is kept too. */
  private async measure(sql: Sql, owner: Owner, measurements: readonly tuning.Measurement[]): Promise<void> {
    if (measurements.length === 0) return;
    const { trial, attempt } = owner;
    const fresh: tuning.Measurement[] = [];
    for (const m of measurements) {
      const [{ inserted }] = await sql.query<{ inserted: boolean }>(
        `insert into measurements as m (experiment, trial, attempt, step, tokens, elapsed_seconds, train_loss, objective,
           stage, learning_rate, tokens_per_second, further)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         on conflict (experiment, trial, attempt, step) do update set
           train_loss = coalesce(m.train_loss, excluded.train_loss),
           objective = coalesce(m.objective, excluded.objective),
           further = m.further || excluded.further
         returning xmax = 0 as inserted`,
        [
          ...[trial.experiment, trial.number, attempt, m.step, m.tokens, m.elapsedSeconds],
          ...[m.trainLoss ?? null, m.objective ?? null, m.stage, m.learningRate, m.tokensPerSecond],
          JSON.stringify(m.values ?? {}),
        ],
      );
      if (inserted) fresh.push(m);
    }
    let { objective, best_tokens: bestTokens } = trial;
    for (const m of measurements)
      if (m.objective !== undefined && Number.isFinite(m.objective) && m.objective < (objective ?? Infinity))
        [objective, bestTokens] = [m.objective, m.tokens];
    const last = measurements[measurements.length - 1];
    await sql.query(
      `update trials set step = $3, tokens = $4, tokens_per_second = $5, objective = $6, best_tokens = $7,
         revision = revision + 1 where experiment = $1 and number = $2`,
      [
        ...[trial.experiment, trial.number, last.step, last.tokens, last.tokensPerSecond],
        ...[objective, bestTokens],
      ],
    );
    // One event a call is enough to follow the loss; no objective is left out.
    for (const m of fresh.filter((f, i) => f.objective !== undefined || i === fresh.length - 1))
      await emit(sql, topics.trialMeasured, trial.experiment, {
        experiment: trial.experiment,
        number: trial.number,
        attempt,
        measurement: m,
      });
  }

  async finish(request: tuning.FinishTrialRequest, token: string): Promise<tuning.FinishTrialResponse> {
    const { clock, outbox } = this.context;
    const state = reportStates[request.state as keyof typeof reportStates];
    if (!state)
      throw InvalidArgument.at(
        'state',
        `expected ${Object.keys(reportStates).join(', ')}, got ${request.state}`,
      );
    await this.transaction(async (sql) => {
      const owner = await this.authorised(sql, request.trial, token);
      const { trial, attempt, outcome: over } = owner;
      if (over === 'lost') this.assertOwner(owner);
      if (over !== null || this.unwanted(owner) !== undefined) return;
      const within = `${outputPrefix(trial)}/`;
      if (request.modelPrefix !== '' && !request.modelPrefix.startsWith(within))
        throw InvalidArgument.at(
          'modelPrefix',
          `expected a folder in ${within}, got ${show(request.modelPrefix)}`,
        );
      await this.measure(sql, owner, request.measurements);
      const { outcome, reason } = outcomeOf(trial.kind, { ...request, state, objective: request.objective });
      await sql.query(
        'update attempts set outcome = $4, reason = $5, ended_at = $6 where experiment = $1 and trial = $2 and number = $3',
        [trial.experiment, trial.number, attempt, outcome, reason, new Date(clock.now())],
      );
      await sql.query(
        `update trials set objective = coalesce($3, objective), step = greatest($4, step), tokens = greatest($5, tokens),
           best_tokens = case when $6::bigint > 0 then $6 else best_tokens end, model_prefix = $7,
           tokens_per_second = case when $8::float8 > 0 then $8 else tokens_per_second end, revision = revision + 1
         where experiment = $1 and number = $2`,
        [
          ...[trial.experiment, trial.number, finite(request.objective), request.step, request.tokens],
          ...[request.bestTokens, request.modelPrefix, request.tokensPerSecond],
        ],
      );
    });
    outbox.wake();
    this.reconciler.wake();
    return {};
  }
}

function finite(value: number | undefined): number | null {
  return value !== undefined && Number.isFinite(value) ? value : null;
}
