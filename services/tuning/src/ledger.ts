/**
 * What is recorded of experiments, kept in memory between decisions: trials that have ended and keep nothing for others never
 * change, so only the rest and new ones are read again. Built from the rows after a restart, and right beside other processes on the same database.
 */
import type { Sql } from '@emotune/database';
import type { TrialCurve } from '@emotune/search';
import { type Rate, rateOf, type Throughput } from './cost.js';
import { memoryPrior } from './memory.js';
import { type Plan, planOf } from './spec.js';
import {
  type Experiment,
  foldScores,
  hasEnded,
  isOpen,
  nobody,
  type Surroundings,
  type Trial,
  type TrialState,
} from './state.js';
import {
  type AttemptRow,
  type ExperimentRow,
  featuresOf,
  specNow,
  type TrialColumns,
  trainedModel,
  trialOf,
} from './store.js';

/** Curves of trials that run elsewhere may be as old as this when a trial is judged beside them. */
const curveMs = 2_000;
/** Trials of other experiments that say what to expect. */
const recentTrials = 2_000;

interface Known {
  /** When the experiment was accepted: another one may have its name after it. */
  createdAt?: number;
  trials: readonly Trial[];
  readonly curves: Map<number, TrialCurve>;
  curvesAt: number;
  plan?: { readonly limits: string; readonly plan: Plan };
  rates?: ReadonlyMap<string, Rate>;
  feasibility?: Experiment['feasibility'];
}

interface PointRow {
  readonly trial: number;
  readonly examples: number;
  readonly objective: number;
}

const columns = `experiment, number, kind, state, reason, parameters, enqueued, objective, folds, step, tokens, total_tokens,
  best_tokens, tokens_per_second, model_prefix, examples, judged_at, judgement, origin, origin_tokens, keeps_checkpoint,
  created_at, started_at, ended_at`;

/** Learning curve of one trial: each step once, by the attempt that measured it last. */
export async function curveOf(
  sql: Sql,
  experiment: string,
  trial: Omit<Trial, 'attempts'>,
): Promise<TrialCurve> {
  const points = await pointRows(sql, experiment, [trial.number]);
  return curve(trial, points);
}

function pointRows(sql: Sql, experiment: string, numbers: readonly number[]): Promise<PointRow[]> {
  return sql.query<PointRow>(
    `select distinct on (trial, step) trial, examples, objective from measurements
     where experiment = $1 and trial = any($2) and objective is not null order by trial, step, attempt desc`,
    [experiment, numbers],
  );
}

function curveState(state: TrialState): TrialCurve['state'] {
  return state === 'queued' || state === 'cancelled' ? 'running' : state;
}

function curve(trial: Omit<Trial, 'attempts'>, points: readonly PointRow[]): TrialCurve {
  const { number, state, parameters, judgedAt } = trial;
  return {
    number,
    state: curveState(state),
    parameters,
    judgedAt,
    folds: foldScores(trial),
    points: points.map(({ examples, objective }) => ({ examples, values: [objective] })),
  };
}

export class Ledger {
  private readonly known = new Map<string, Known>();

  private of(name: string): Known {
    let known = this.known.get(name);
    if (!known) {
      known = { trials: [], curves: new Map(), curvesAt: -Infinity };
      this.known.set(name, known);
    }
    return known;
  }

  /** The plan of an experiment with the limits that hold now. */
  plan(row: ExperimentRow): Plan {
    const createdAt = row.created_at.getTime();
    if (this.of(row.name).createdAt !== createdAt) this.known.delete(row.name);
    const known = this.of(row.name);
    known.createdAt = createdAt;
    const limits = JSON.stringify(row.limits);
    if (known.plan?.limits !== limits) known.plan = { limits, plan: planOf(specNow(row)) };
    return known.plan.plan;
  }

  /** All trials, those that have ended as the same objects as before. */
  async trials(sql: Sql, name: string): Promise<readonly Trial[]> {
    const known = this.of(name);
    const changing = known.trials.filter((trial) => isOpen(trial) || trial.keepsCheckpoint);
    const which = [name, changing.map(({ number }) => number), known.trials.length];
    const rows = await sql.query<TrialColumns>(
      `select ${columns} from trials where experiment = $1 and (number = any($2) or number >= $3) order by number`,
      which,
    );
    const attempts = Map.groupBy(
      await sql.query<AttemptRow>(
        `select trial, number, step, checkpoint, checkpoint_asks, lease_until, begun_at, outcome, reason, created_at, ended_at
         from attempts where experiment = $1 and (trial = any($2) or trial >= $3) order by trial, number`,
        which,
      ),
      ({ trial }) => trial,
    );
    const trials = [...known.trials];
    for (const row of rows) trials[row.number] = trialOf(row, attempts.get(row.number));
    known.trials = trials;
    return trials;
  }

  /** Curves of all search trials. @param now Of the clock; undefined: as they are at this moment. */
  async curves(sql: Sql, name: string, now?: number): Promise<readonly TrialCurve[]> {
    const known = this.of(name);
    if (now === undefined || Math.abs(now - known.curvesAt) > curveMs) {
      const trials = await this.trials(sql, name);
      // The curve of a trial that has ended is kept once it was read as such.
      const stale = trials.filter(
        ({ number, kind, state }) =>
          kind === 'search' && known.curves.get(number)?.state !== curveState(state),
      );
      const running = trials.filter(
        (trial) => isOpen(trial) && trial.kind === 'search' && !stale.includes(trial),
      );
      const wanted = [...stale, ...running];
      const numbers = wanted.map(({ number }) => number);
      const points = Map.groupBy(await pointRows(sql, name, numbers), ({ trial }) => trial);
      for (const trial of wanted)
        known.curves.set(trial.number, curve(trial, points.get(trial.number) ?? []));
      known.curvesAt = now ?? -Infinity;
    }
    return [...known.curves.values()];
  }

  /** Throughput of every base model that finished trials have used. */
  async throughputs(sql: Sql): Promise<Throughput[]> {
    return sql.query<Throughput>(
      `select b->>'model' || '@' || (b->>'version') as model, max(m.parameters) as parameters, count(*) as trials,
         sum(t.tokens) as tokens, sum(a.seconds) as seconds
       from (select experiment, number, parameters, tokens from trials
         where kind = 'search' and state in ('succeeded', 'stopped') order by ended_at desc limit $1) t
       join experiments e on e.name = t.experiment
       cross join lateral jsonb_array_elements(e.bases) b
       join models m on m.name = b->>'model' and m.version = b->>'version'
       cross join lateral (select sum(extract(epoch from a.ended_at - a.begun_at))::float8 as seconds
         from attempts a where a.experiment = t.experiment and a.trial = t.number) a
       where b->>'architecture' = coalesce(t.parameters->>'architecture', e.bases->0->>'architecture')
         and t.tokens > 0 and a.seconds > 0
       group by 1`,
      [recentTrials],
    );
  }

  /** What to expect of base models, by architecture. */
  async ratesOf(
    sql: Sql,
    bases: readonly Pick<ExperimentRow['bases'][number], 'architecture' | 'model' | 'version'>[],
  ): Promise<ReadonlyMap<string, Rate>> {
    const known = await this.throughputs(sql);
    const sizes = await sql.query<{ id: string; parameters: number }>(
      "select name || '@' || version as id, parameters from models where name || '@' || version = any($1)",
      [bases.map(({ model, version }) => `${model}@${version}`)],
    );
    return new Map(
      bases.map(({ architecture, model, version }) => {
        const id = `${model}@${version}`;
        const parameters = sizes.find((size) => size.id === id)?.parameters ?? 1;
        return [architecture, rateOf({ model: id, parameters }, known)];
      }),
    );
  }

  /** What `decide` needs, as recorded now. @param surroundings Left out where nothing is to be done. */
  async read(sql: Sql, row: ExperimentRow, surroundings: Surroundings = nobody): Promise<Experiment> {
    const { name, state, reason, obstacle } = row;
    const plan = this.plan(row);
    const trials = await this.trials(sql, name);
    const known = this.of(name);
    known.rates ??= await this.ratesOf(sql, row.bases);
    known.feasibility ??= memoryPrior(plan, row.bases, row.features?.rows);
    const curves = trials.some((trial) => trial.state === 'paused') ? await this.curves(sql, name) : [];
    const experiment: Experiment = {
      name,
      state,
      reason,
      obstacle,
      trials,
      ...surroundings,
      plan,
      bases: row.bases,
      features: featuresOf(row),
      checkpointAsks: row.checkpoint_asks,
      createdAt: row.created_at.getTime(),
      startedAt: row.started_at?.getTime() ?? null,
      endedAt: row.ended_at?.getTime() ?? null,
      history: row.history,
      feasibility: known.feasibility,
      rates: known.rates,
      curves: () => curves,
      model: await trainedModel(sql, row.model_version),
    };
    if (hasEnded(state) && !trials.some(isOpen)) this.known.delete(name);
    return experiment;
  }
}
