/** What the trials of an experiment teach, and why each came to be and ended. */
import { besideModule, canonicalJson, Lanes } from '@emotune/base';
import { tuning } from '@emotune/proto';
import {
  bestAgainstRunnerUp,
  evidenceFor,
  lessonOf,
  measuredBestFirst,
  type TrialRecord,
} from '@emotune/search';
import type { OnApplicationShutdown } from '@nestjs/common';
import type { TuningContext } from './context.js';
import { firstSuggestion, ranking } from './decide.js';
import type { Given, SubtaskScores } from './insight-parts.js';
import type { Ledger } from './ledger.js';
import { measuredTrials } from './messages.js';
import { recordsOf } from './records.js';
import type { Plan } from './spec.js';
import { type Experiment, foldScores, searchTrials, type Trial, type TrialState } from './state.js';
import { type ExperimentRow, experimentRow, trialRow } from './store.js';
import type { Answered, Suggestions } from './suggestions.js';
import { inThread } from './thread.js';

const { SuggestionSource } = tuning;

const thread = besideModule(import.meta.url, 'insight-thread');
/** Insights of experiments that are kept. */
const mostKnown = 8;
/** What trials report of each subtask. */
const subtaskPrefix = 'objective/';

/** Why trials ended that say no more, by their state. */
const statePhrases: Readonly<Record<TrialState, string>> = {
  queued: 'it waits for a place to run',
  running: 'it goes on',
  paused: 'it waits to be promoted',
  succeeded: 'it came to its end',
  stopped: 'it was stopped',
  failed: 'it failed',
  infeasible: 'its parameters cannot work',
  cancelled: 'it was cancelled',
};

const short = (value: number) => String(Number(value.toPrecision(4)));

/** Whether the best trial leads, over its folds or, without any, over the subtasks. */
export function leadOf(
  ranked: readonly Trial[],
  subtasks: readonly SubtaskScores[],
  hasFolds: boolean,
): tuning.BestAgainstRunnerUp | undefined {
  const scoresOf = new Map(subtasks.map(({ number, scores }) => [number, scores]));
  const lead = bestAgainstRunnerUp(
    ranked.map((trial) => ({
      number: trial.number,
      scores: hasFolds ? foldScores(trial) : (scoresOf.get(trial.number) ?? {}),
    })),
  );
  return lead && { ...lead, over: hasFolds ? 'folds' : 'subtasks' };
}

interface Known {
  /** Of the experiment: another one may have its name after it. */
  readonly createdAt: number;
  /** Trials that had ended by then: those that run teach nothing. */
  readonly ended: number;
  readonly insight: Promise<tuning.Insight>;
}

export class Insights implements OnApplicationShutdown {
  /** Newest last. */
  private readonly known = new Map<string, Known>();
  private readonly lanes = new Lanes(1);

  constructor(
    private readonly context: TuningContext,
    private readonly ledger: Ledger,
    /** Not those of the controller: who asks why must not keep trials waiting. */
    private readonly suggestions: Suggestions,
  ) {}

  onApplicationShutdown(): Promise<void> {
    return this.suggestions.close();
  }

  /** The scores of subtasks at the best measurement of each trial or of each of its folds, from the attempt that has it. */
  private async subtaskScores(experiment: string, trials: readonly Trial[]): Promise<SubtaskScores[]> {
    const rows = await this.context.database.query<{ trial: number; task: string; score: number }>(
      `select trial, task, avg(score::float8) as score from (
         select distinct on (m.trial, m.fold) m.trial, m.further
         from measurements m join trials t on t.experiment = m.experiment and t.number = m.trial
         where m.experiment = $1 and m.trial = any($2) and m.objective < 'Infinity'::float8
           and (m.fold is null or m.fold < jsonb_array_length(t.folds))
         order by m.trial, m.fold, m.objective, m.step) best
       cross join lateral jsonb_each_text(further) as of_task (task, score)
       where starts_with(task, $3) group by trial, task order by trial`,
      [experiment, trials.map(({ number }) => number), subtaskPrefix],
    );
    const scoresOf = Map.groupBy(rows, ({ trial }) => trial);
    return [...scoresOf].map(([number, scores]) => ({
      number,
      scores: Object.fromEntries(scores.map(({ task, score }) => [task.slice(subtaskPrefix.length), score])),
    }));
  }

  /** Computed in a thread of its own, and again only when further trials have ended. */
  async of(name: string): Promise<tuning.Insight> {
    const row = await experimentRow(this.context.database, name);
    const [{ ended }] = await this.context.database.query<{ ended: number }>(
      `select count(*) as ended from trials where experiment = $1 and ended_at is not null`,
      [name],
    );
    const known = this.known.get(name);
    const createdAt = row.created_at.getTime();
    if (known?.ended === ended && known.createdAt === createdAt) return known.insight;
    const insight = this.lanes.run(() => this.compute(row));
    this.known.delete(name);
    this.known.set(name, { createdAt, ended, insight });
    for (const oldest of [...this.known.keys()].slice(0, -mostKnown)) this.known.delete(oldest);
    insight.catch(() => {
      if (this.known.get(name)?.insight === insight) this.known.delete(name);
    });
    return insight;
  }

  private async compute(row: ExperimentRow): Promise<tuning.Insight> {
    const { database, threadArguments } = this.context;
    const { name, plan, trials } = await this.ledger.read(database, row);
    const records = recordsOf(searchTrials(trials));
    const ranked = ranking(trials);
    const scores = await this.subtaskScores(name, ranked);
    const given: Given = { experiment: name, space: plan.space, records, scores };
    const parts = await inThread<Omit<tuning.Insight, 'best'>>(thread, given, threadArguments);
    return { ...parts, best: leadOf(ranked, scores, plan.training.folds > 1) };
  }

  /** @param signal Aborts when nobody waits for the answer any more. */
  async explain(name: string, number: number, signal: AbortSignal): Promise<tuning.TrialExplanation> {
    const { database } = this.context;
    const shown = await trialRow(database, name, number);
    const row = await experimentRow(database, name);
    const experiment = await this.ledger.read(database, row);
    const asked = { plan: experiment.plan, bases: row.bases, rows: row.features?.rows };
    const trial = experiment.trials[number];
    const [message] = await measuredTrials(database, [shown], 'last');
    return {
      trial: message,
      suggestion: await suggestionOf(experiment, trial, (history) =>
        this.suggestions.ask({ ...asked, history, trialNumber: number }, signal),
      ),
      end: endOf(trial, experiment.trials),
    };
  }
}

/** What the sampler saw of an experiment when a trial was created: those that had not ended by then were running. */
export function knownAt(trial: Trial, trials: readonly Trial[]): TrialRecord[] {
  return trials
    .filter(({ number, kind }) => kind === 'search' && number < trial.number)
    .flatMap((other): TrialRecord[] => {
      const { number, parameters, endedAt } = other;
      if (endedAt !== null && endedAt <= trial.createdAt) return recordsOf([other]);
      return [{ number, state: 'running', parameters }];
    });
}

/**
 * @param experiment With all that its sampler was taught, also after the trial was created.
 * @param suggest Asks the sampler again.
 */
export async function suggestionOf(
  experiment: Pick<Experiment, 'plan' | 'trials' | 'history' | 'feasibility'>,
  trial: Trial,
  suggest: (history: readonly TrialRecord[]) => Promise<Answered>,
): Promise<tuning.SuggestionExplanation> {
  const { plan, trials, history: taught } = experiment;
  const own = knownAt(trial, trials);
  const records = [...taught.filter(({ taughtAt = 0 }) => taughtAt <= trial.createdAt), ...own];
  const count = (lesson: ReturnType<typeof lessonOf>) =>
    records.filter((record) => lessonOf(record) === lesson).length;
  const [best] = measuredBestFirst(own);
  const common = {
    measured: count('measured'),
    infeasible: count('infeasible'),
    running: count('running'),
    bestTrial: best?.number,
    evidence: evidenceFor(plan.space, records, trial.parameters).map(({ parameter, value, logRatio }) => ({
      parameter,
      value,
      bestValue: best && Object.hasOwn(best.parameters, parameter) ? best.parameters[parameter] : undefined,
      logRatio,
    })),
  };
  const same = (values: unknown) => canonicalJson(values) === canonicalJson(trial.parameters);
  if (trial.kind === 'final')
    return {
      ...common,
      source: SuggestionSource.SUGGESTION_SOURCE_FINAL,
      reason:
        trial.origin === null
          ? `the parameters of the best trial, ${best?.number}, trained on train + validation`
          : `the weights of the best trial, ${trial.origin}`,
    };
  if (trial.enqueued)
    return {
      ...common,
      source: SuggestionSource.SUGGESTION_SOURCE_ENQUEUED,
      reason: 'given, not suggested: enqueued, or among the best of an earlier experiment',
    };
  const earlier = searchTrials(trials).filter(({ number }) => number < trial.number);
  const defaults = firstSuggestion(experiment, earlier, trial.number);
  if (defaults && same(defaults.values))
    return {
      ...common,
      source: SuggestionSource.SUGGESTION_SOURCE_DEFAULTS,
      reason: 'the declared defaults come first',
    };
  const { suggestion: again, choice } = await suggest(records);
  return {
    ...common,
    source: SuggestionSource.SUGGESTION_SOURCE_SAMPLER,
    reason: `${samplerReason(plan, common, best, choice)}${trial.origin === null ? '' : `; goes on from trial ${trial.origin} after ${trial.originTokens} tokens`}`,
    reproduced: again !== undefined && same(again.values) && (again.origin ?? null) === trial.origin,
  };
}

function samplerReason(
  { algorithm }: Plan,
  { measured, infeasible, running, evidence }: Omit<tuning.SuggestionExplanation, 'source' | 'reason'>,
  best: TrialRecord | undefined,
  choice: Answered['choice'],
): string {
  const startUp = algorithm.settings['startUpTrials'] ?? 0;
  if (measured + infeasible < startUp)
    return `${algorithm.name}: ${startUp} trials are drawn at random first, and ${measured + infeasible} had ended`;
  if (!best) return `${algorithm.name}: nothing was measured yet`;
  const known = [
    `${measured} measured`,
    ...(infeasible > 0 ? [`${infeasible} infeasible`] : []),
    ...(running > 0 ? [`${running} running`] : []),
  ].join(', ');
  const strongest = evidence
    .filter(({ logRatio }) => logRatio !== undefined && logRatio > 0)
    .sort((a, b) => b.logRatio! - a.logRatio!)[0];
  const leaning = strongest
    ? `; strongest for ${strongest.parameter}: good trials lie ${short(Math.exp(strongest.logRatio!))} times as dense there as others`
    : '';
  const name = choice ? `${algorithm.name}, by ${choice.name} (${choice.reason})` : algorithm.name;
  return `${name}: from trials known then (${known}), the best being trial ${best.number} with ${short(best.objective!)}${leaning}`;
}

function endOf(trial: Trial, trials: readonly Trial[]): tuning.EndExplanation {
  const measured = measuredBestFirst(recordsOf(searchTrials(trials)));
  const rank = measured.findIndex(({ number }) => number === trial.number);
  return {
    reason: trial.reason || trial.judgement?.reason || statePhrases[trial.state],
    rank: rank < 0 ? undefined : rank + 1,
    measured: measured.length,
    behind: rank < 0 ? undefined : measured[rank].objective! - measured[0].objective!,
    attempts: trial.attempts.map(({ number, outcome, reason }) => ({
      attempt: number,
      outcome: outcome ?? '',
      reason,
    })),
  };
}
