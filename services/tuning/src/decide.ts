/**
 * What to do next with an experiment: a pure function of what is recorded of it. The caller applies the actions in
 * order, records them, and decides again, until there is nothing left to do but to wait.
 */
import { type JobStatus, hasEnded as jobHasEnded, meaningOf, reasonOfEnd, reasonWord } from '@emotune/jobs';
import {
  type Assignment,
  lineageOf,
  measuredBestFirst,
  promoted,
  type SuggestContext,
  type Suggestion,
  sameValues,
  suggestDefaults,
  type Termination,
  type TrialRecord,
  termination,
  untried,
  untriedSuggestion,
} from '@emotune/search';
import { budgetOf } from './cost.js';
import { recordsOf } from './records.js';
import { type Plan, searchTokens } from './spec.js';
import {
  type Attempt,
  type Experiment,
  hasEnded,
  isOpen,
  type Judgement,
  jobName,
  type LineagePlace,
  numberOfJob,
  type Outcome,
  searchTrials,
  type Trial,
  type TrialKind,
  type TrialState,
} from './state.js';

export type Action =
  | { readonly type: 'enter'; readonly state: 'running' | 'finalizing'; readonly reason: string }
  /** Says what stands in the way; empty: nothing any more. */
  | { readonly type: 'wait'; readonly obstacle: string }
  | { readonly type: 'finish'; readonly state: 'succeeded' | 'failed'; readonly reason: string }
  | ({
      readonly type: 'create-trial';
      readonly number: number;
      readonly kind: TrialKind;
      readonly parameters: Assignment;
      readonly totalTokens: number;
      /** Given by a person; absent: suggested. */
      readonly enqueued?: boolean;
    } & Partial<LineagePlace>)
  /** Tells a trial's trainer to stop, at its next report. */
  | { readonly type: 'judge'; readonly trial: number; readonly judgement: Omit<Judgement, 'at'> }
  /** A trial whose attempt has left at a rung waits to be promoted. */
  | { readonly type: 'pause-trial'; readonly trial: number }
  | { readonly type: 'start-attempt'; readonly trial: number; readonly attempt: number }
  /** Says what a trial that is under way waits for; empty: nothing. */
  | { readonly type: 'explain'; readonly trial: number; readonly reason: string }
  | {
      readonly type: 'end-attempt';
      readonly trial: number;
      readonly attempt: number;
      readonly outcome: Outcome;
      readonly reason: string;
    }
  | {
      readonly type: 'end-trial';
      readonly trial: number;
      readonly state: Exclude<TrialState, 'queued' | 'running' | 'paused'>;
      readonly reason: string;
    }
  | { readonly type: 'stop-job'; readonly job: string; readonly graceSeconds: number }
  | { readonly type: 'remove-job'; readonly job: string }
  /** Removes the checkpoints of a trial that has ended. */
  | { readonly type: 'clear-checkpoints'; readonly trial: number }
  /** Makes a model version of what the final trial left in the object store. */
  | { readonly type: 'store-model'; readonly trial: number }
  | { readonly type: 'register-model' };

/** A job that does not show yet may still be on its way to the runner. */
const startMs = 15_000;
/** A trainer that has reported gets this long to end by itself. */
const exitMs = 30_000;
/** One that was told to stop gets this long: a validation may be under way. */
const obeyMs = 120_000;
/** Between SIGTERM and SIGKILL of a trainer that nobody waits for. */
const graceSeconds = 5;
const firstPauseMs = 500;
const longestPauseMs = 30_000;
/** Until it is tried whether what stands in the way of a trial is mended. */
const waitingPauseMs = 10_000;

/** The values of the next trial; undefined where there are none left. */
export type Suggest = (experiment: Experiment) => Suggestion | undefined;

/** @param suggest Asked at most once. What samplers compute takes long: who decides may have it done elsewhere. */
export function decide(experiment: Experiment, now: number, suggest: Suggest = suggestionFor): Action[] {
  const actions = [...tidyJobs(experiment, now), ...clearCheckpoints(experiment)];
  if (hasEnded(experiment.state)) return [...actions, ...abandonAll(experiment)];
  const followed = experiment.trials.flatMap((trial) => followTrial(experiment, trial, now));
  // What comes of a trial is recorded before anything is concluded from it.
  const next = followed.length > 0 ? followed : progress(experiment, now, suggest);
  return [...actions, ...possible(experiment, next)];
}

/** Without the starts that lack something outside; then the experiment says what, and waits. */
function possible(experiment: Experiment, actions: readonly Action[]): Action[] {
  const { trials, shortage } = experiment;
  const lacks = actions.map((action) =>
    action.type === 'start-attempt' ? shortage(trials[action.trial]) : '',
  );
  const short = lacks.find((reason) => reason !== '');
  const obstacle = short ?? obstacleOf(experiment);
  const left = actions.filter((_, i) => lacks[i] === '');
  return obstacle === experiment.obstacle ? left : [{ type: 'wait', obstacle }, ...left];
}

/** Why the last attempt of a trial ended, where somebody has to mend that. */
function obstacleOf({ state, model, obstacle, trials }: Experiment): string {
  // A model that could not be stored is stored later.
  if (state === 'finalizing' && !model && trials.at(-1)?.state === 'succeeded') return obstacle;
  const waiting = trials.find(({ state, attempts }) => state === 'running' && waits(attempts.at(-1)));
  const unplaced = trials.find(({ state, reason }) => state === 'running' && isObstacle(reason));
  return waiting?.attempts.at(-1)?.reason ?? unplaced?.reason ?? '';
}

/** Whether what a trial waits for does not come of itself. */
function isObstacle(reason: string): boolean {
  const word = reasonWord(reason);
  return word !== '' && word !== 'Queued' && word !== 'Evicted';
}

function waits(attempt: Attempt | undefined): boolean {
  return attempt?.outcome === 'interrupted' && meaningOf(attempt.reason).waits === true;
}

/** Jobs outlive the attempts that they were started for; in the end they are forgotten. */
function tidyJobs({ name, trials, jobs }: Experiment, now: number): Action[] {
  return [...jobs.values()].flatMap((job): Action[] => {
    const number = numberOfJob(name, job.name);
    if (!number) return [];
    const attempt = trials[number.trial]?.attempts[number.attempt - 1];
    if (attempt?.outcome === null) return [];
    if (jobHasEnded(job)) return [{ type: 'remove-job', job: job.name }];
    const reported = attempt && attempt.outcome !== 'lost' && attempt.outcome !== 'cancelled';
    if (reported && now - (attempt.endedAt ?? 0) < exitMs) return [];
    return [{ type: 'stop-job', job: job.name, graceSeconds }];
  });
}

/** Checkpoints of trials that have ended are removed when nothing can go on from them any more. */
function clearCheckpoints(experiment: Experiment): Action[] {
  const { name, plan, state, trials, jobs } = experiment;
  const kept = trials.filter((trial) => trial.keepsCheckpoint && !isOpen(trial));
  if (kept.length === 0) return [];
  const lineage = lineageOf(plan.algorithm);
  const needed = new Set<number | null>();
  if (lineage && !hasEnded(state)) {
    for (const trial of trials.filter(isOpen)) needed.add(trial.origin);
    const search = searchTrials(trials);
    // The final trial goes on from the best.
    const measured = ranking(search);
    for (const { number } of measured.slice(0, 1)) needed.add(number);
    if (state !== 'finalizing' && search.length < plan.limits.maxTrials) {
      const { space, algorithm } = plan;
      const oldest = lineage.oldestOrigin(space, recordsOf(search), algorithm.settings);
      for (const { number } of measured) if (number >= oldest) needed.add(number);
    }
  }
  // The trainer of an attempt that was given up may still write.
  const runs = ({ number, attempts }: Trial) =>
    attempts.some((a) => jobs.has(jobName(name, number, a.number)));
  return kept
    .filter((trial) => !needed.has(trial.number) && !runs(trial))
    .map(({ number }) => ({ type: 'clear-checkpoints', trial: number }));
}

/** Ends the trials of an experiment that has ended. */
export function abandonAll({ trials }: Pick<Experiment, 'trials'>): Action[] {
  return trials.filter(isOpen).flatMap(abandon);
}

function abandon(trial: Trial): Action[] {
  const last = trial.attempts.at(-1);
  const reason = 'Cancelled: the experiment has ended';
  return [
    ...(last && last.outcome === null
      ? [
          {
            type: 'end-attempt',
            trial: trial.number,
            attempt: last.number,
            outcome: 'cancelled',
            reason,
          } as const,
        ]
      : []),
    { type: 'end-trial', trial: trial.number, state: 'cancelled', reason },
  ];
}

/** A running trial's attempts: are they alive, did they end, is another one due? */
function followTrial(experiment: Experiment, trial: Trial, now: number): Action[] {
  const last = trial.attempts.at(-1);
  if (trial.state !== 'running' || !last) return [];
  if (last.outcome === null) return watchAttempt(experiment, trial, last, now);
  const { outcome, reason } = last;
  if (outcome !== 'failed' && outcome !== 'lost' && outcome !== 'interrupted')
    return [{ type: 'end-trial', trial: trial.number, state: outcome, reason }];
  const { judgement } = trial;
  if (!judgement) return retry(experiment, trial, last, now);
  // It is not wanted any further, however it left.
  if (judgement.decision === 'pause')
    return [usedUp(experiment, trial, last) ?? { type: 'pause-trial', trial: trial.number }];
  const whole = judgement.decision === 'finish' && trial.objective !== null;
  return [
    {
      type: 'end-trial',
      trial: trial.number,
      state: whole ? 'succeeded' : 'stopped',
      reason: judgement.reason,
    },
  ];
}

/** A trainer that was to stop: by its job, where it has to leave a checkpoint or does not obey. */
function insist({ name }: Experiment, { number, judgement }: Trial, attempt: Attempt, now: number): Action[] {
  if (!judgement || (judgement.decision !== 'pause' && now - judgement.at < obeyMs)) return [];
  return [{ type: 'stop-job', job: jobName(name, number, attempt.number), graceSeconds: obeyMs / 1000 }];
}

function watchAttempt(experiment: Experiment, trial: Trial, attempt: Attempt, now: number): Action[] {
  const { name, jobs, listeningSince, leaseMs } = experiment;
  const end = (outcome: Outcome, reason: string): Action[] => [
    { type: 'end-attempt', trial: trial.number, attempt: attempt.number, outcome, reason },
  ];
  const job = jobs.get(jobName(name, trial.number, attempt.number));
  if (job && jobHasEnded(job)) {
    const reason = reasonOfEnd(job);
    const { blames, interrupts } = meaningOf(reason);
    if (interrupts) return end('interrupted', reason);
    if (blames === 'parameters') return end('infeasible', reason);
    return end(blames === 'machine' ? 'lost' : 'failed', reason);
  }
  if (!job && now - attempt.createdAt > startMs) return end('lost', 'LostJob: its job is gone');
  // Nobody hears of a trainer that does not run.
  if (job?.phase === 'queued') return [...sayWhy(trial, job), ...insist(experiment, trial, attempt, now)];
  if (now > Math.max(attempt.leaseUntil, listeningSince + leaseMs))
    return end('lost', `LostLease: no heartbeat came for ${leaseMs / 1000} s`);
  return job ? [...sayWhy(trial, job), ...insist(experiment, trial, attempt, now)] : [];
}

/** Tells people what the job of a running trial waits for, as long as it does. */
function sayWhy({ number, reason }: Trial, { waits = '' }: JobStatus): Action[] {
  return reason === waits ? [] : [{ type: 'explain', trial: number, reason: waits }];
}

/** The end of a trial that has had as many attempts as it may. */
function usedUp({ plan }: Experiment, { number, attempts }: Trial, last: Attempt): Action | undefined {
  if (waits(last)) return undefined;
  const interrupted = last.outcome === 'interrupted';
  const spent = interrupted
    ? fruitless(attempts)
    : attempts.filter(({ outcome }) => outcome === 'failed' || outcome === 'lost').length;
  if (spent < (interrupted ? plan.limits.maxInterruptions : plan.limits.maxAttempts)) return undefined;
  const what = interrupted ? 'interruptions' : 'attempts';
  const reason = spent > 1 ? `${last.reason} (${spent} ${what})` : last.reason;
  return { type: 'end-trial', trial: number, state: 'failed', reason };
}

/** After an attempt that proves nothing about the parameters: another one, or the end when there were too many. */
function retry(experiment: Experiment, trial: Trial, last: Attempt, now: number): Action[] {
  const { name, jobs } = experiment;
  const { attempts } = trial;
  const end = usedUp(experiment, trial, last);
  if (end) return [end];
  const pause = waits(last)
    ? waitingPauseMs
    : Math.min(longestPauseMs, firstPauseMs * 2 ** (attempts.length - 1));
  if (now < (last.endedAt ?? 0) + pause) return [];
  // Two trainers must never write checkpoints of one trial.
  const busy = attempts.some((a) => {
    const job = jobs.get(jobName(name, trial.number, a.number));
    return job && !jobHasEnded(job);
  });
  return busy ? [] : [{ type: 'start-attempt', trial: trial.number, attempt: last.number + 1 }];
}

/** Interrupted attempts that came no further than those before them, and could have. */
function fruitless(attempts: readonly Attempt[]): number {
  let furthest = -1;
  let count = 0;
  for (const attempt of attempts) {
    const { outcome, step } = attempt;
    if (outcome === 'interrupted' && !waits(attempt) && step <= furthest) count++;
    furthest = Math.max(furthest, step);
  }
  return count;
}

function progress(experiment: Experiment, now: number, suggest: Suggest): Action[] {
  const { state, features, plan } = experiment;
  if (features.state === 'failed' && state !== 'finalizing')
    return [{ type: 'finish', state: 'failed', reason: `its features failed: ${features.reason}` }];
  if (state === 'waiting')
    return features.state === 'ready' ? [{ type: 'enter', state: 'running', reason: '' }] : [];
  if (state === 'finalizing') return finalize(experiment);
  const failed = searchTrials(experiment.trials).filter((trial) => trial.state === 'failed');
  const { maxFailedTrials } = plan.limits;
  if (failed.length > maxFailedTrials) {
    const reason = `${failed.length} trials failed, more than limits.maxFailedTrials (${maxFailedTrials}); ${commonest(failed)}`;
    return [{ type: 'finish', state: 'failed', reason }];
  }
  return state === 'running' ? search(experiment, now, suggest) : [];
}

/** The reason that most of the trials ended for, with how many did. */
function commonest(trials: readonly Trial[]): string {
  const byWord = Map.groupBy(trials, ({ reason }) => reasonWord(reason));
  const most = [...byWord.values()].sort((a, b) => b.length - a.length)[0];
  return `${most.length} of ${trials.length} with: ${most[most.length - 1].reason}`;
}

/** Why no further trial starts, or undefined. Trials that exist keep running. */
function searchOver(experiment: Experiment, now: number, next?: Trial): string | undefined {
  const { plan, startedAt, trials } = experiment;
  const { maxDurationSeconds, maxTokens } = plan.limits;
  if (maxDurationSeconds > 0 && startedAt !== null && now - startedAt >= maxDurationSeconds * 1000)
    return `limits.maxDurationSeconds (${maxDurationSeconds}) have passed`;
  if (maxTokens > 0) {
    const used = trials
      .filter(({ kind, state, number }) => kind === 'search' && state !== 'queued' && number !== next?.number)
      .reduce((sum, trial) => sum + (isOpen(trial) ? trial.totalTokens : trial.tokens), 0);
    if (used + searchTokens(plan.training) > maxTokens)
      return `limits.maxTokens (${maxTokens}) leave no room for another trial`;
  }
  const { usedUp, tight } = budgetOf(experiment, now, next);
  return usedUp ?? tight;
}

/** Trials that run are stopped when GPU-hours or money are used up. */
function cutOff(experiment: Experiment, now: number): Action[] {
  const { usedUp } = budgetOf(experiment, now);
  if (usedUp === undefined) return [];
  return searchTrials(experiment.trials)
    .filter(({ state, judgement }) => state === 'running' && judgement === null)
    .map(({ number }) => ({
      type: 'judge',
      trial: number,
      judgement: { decision: 'stop', reason: `LimitReached: ${usedUp}` },
    }));
}

/** A paused trial that has become one of the best of its rung. */
function promotedTrial({ plan, curves }: Experiment, paused: readonly Trial[]): Trial | undefined {
  if (paused.length === 0) return undefined;
  const settings = plan.earlyStopping.settings as unknown as Parameters<typeof promoted>[1];
  const number = promoted(curves(), settings);
  return paused.find((trial) => trial.number === number);
}

/** What was decided after a search's last trial: the same history gives the same answer, and asking takes a while. */
const terminations = new WeakMap<
  Trial,
  { readonly plan: Plan; readonly trials: number; readonly answer: Termination }
>();

/** Why another suggestion is not worth its cost, or undefined. */
function worthless({ plan, history }: Experiment, trials: readonly Trial[]): string | undefined {
  const { error, minTrials } = plan.termination;
  const ended = trials.filter((trial) => !isOpen(trial));
  const last = ended.at(-1);
  if (error === 0 || !last) return undefined;
  const known = terminations.get(last);
  const same = known?.plan === plan && known.trials === ended.length;
  const records = [...history, ...recordsOf(trials)];
  const answer = same ? known.answer : termination(plan.space, records, plan.spec.seed, { error, minTrials });
  terminations.set(last, { plan, trials: ended.length, answer });
  return answer.stop ? answer.reason : undefined;
}

/** Why there is nothing left to suggest, or undefined. */
function exhausted({ plan }: Pick<Experiment, 'plan'>, trials: readonly Trial[]): string | undefined {
  if (trials.length >= plan.limits.maxTrials) return undefined;
  const { left, of } = untried(plan.algorithm, plan.space, recordsOf(trials));
  if (left > 0) return undefined;
  const what = plan.algorithm.name === 'grid' ? 'grid' : 'search space';
  return `the ${what} is used up: ${of === 1 ? 'its only combination was' : `all of its ${of} combinations were`} tried`;
}

function search(experiment: Experiment, now: number, suggest: Suggest): Action[] {
  const { plan } = experiment;
  const trials = searchTrials(experiment.trials);
  const inState = (wanted: TrialState) => trials.filter(({ state }) => state === wanted);
  const running = inState('running').length;
  const [queued, paused] = [inState('queued'), inState('paused')];
  const cut = cutOff(experiment, now);
  if (cut.length > 0) return cut;
  const next = queued[0] ?? promotedTrial(experiment, paused);
  const more = next !== undefined || trials.length < plan.limits.maxTrials;
  const room = more && running < plan.limits.parallelTrials;
  const over =
    searchOver(experiment, now, next) ??
    (next ? undefined : exhausted(experiment, trials)) ??
    (room && !next ? worthless(experiment, trials) : undefined);
  if (over === undefined && room) {
    if (next) return [{ type: 'start-attempt', trial: next.number, attempt: next.attempts.length + 1 }];
    const created = nextTrial(experiment, suggest);
    if (created) return [created];
  }
  if (running > 0 || (over === undefined && more)) return [];
  if (paused.length > 0)
    return paused.map(({ number }) =>
      endOf(number, 'stopped', 'Pruned: it never was among the best of its rung'),
    );
  const winner = bestTrial(trials);
  if (!winner) {
    const why = trials.length === 0 ? over : commonest(trials);
    return [{ type: 'finish', state: 'failed', reason: `no trial has an objective; ${why}` }];
  }
  const fate = lineageOf(plan.algorithm)
    ? 'its weights are the model'
    : 'it is trained on train + validation';
  return [
    ...queued.map(({ number }) => endOf(number, 'cancelled', `Cancelled: ${over}`)),
    {
      type: 'enter',
      state: 'finalizing',
      reason: `${over === undefined ? '' : `${over}; `}trial ${winner.number} won; ${fate}`,
    },
  ];
}

function endOf(trial: number, state: 'stopped' | 'cancelled', reason: string): Action {
  return { type: 'end-trial', trial, state, reason };
}

/** Measured trials, best first. */
export function ranking(trials: readonly Trial[]): Trial[] {
  const byNumber = new Map(trials.map((trial) => [trial.number, trial]));
  return measuredBestFirst(recordsOf(searchTrials(trials))).map(({ number }) => byNumber.get(number)!);
}

function bestTrial(trials: readonly Trial[]): Trial | undefined {
  return ranking(trials)[0];
}

/** What a sampler is told beside the history. */
export function contextOf(
  { plan, feasibility }: Pick<Experiment, 'plan' | 'feasibility'>,
  trialNumber: number,
): SuggestContext {
  return { seed: plan.spec.seed, trialNumber, feasibility };
}

/** Its place behind the trial whose last checkpoint it goes on from. */
function after({ number, originTokens, totalTokens }: Trial): Partial<LineagePlace> {
  return { origin: number, originTokens: originTokens + totalTokens };
}

/** The declared defaults, where no trial before this one was suggested or has them; undefined otherwise. */
export function firstSuggestion(
  experiment: Pick<Experiment, 'plan' | 'feasibility'>,
  before: readonly Pick<Trial, 'enqueued' | 'parameters'>[],
  number: number,
): Suggestion | undefined {
  if (before.some(({ enqueued }) => !enqueued)) return undefined;
  const { space } = experiment.plan;
  const values = suggestDefaults(space, contextOf(experiment, number));
  const given = values && before.some(({ parameters }) => sameValues(space, parameters, values));
  return values && !given ? { values, origin: undefined } : undefined;
}

/** What a sampler is told when the next trial is to be created. */
export function historyOf({ history, trials }: Pick<Experiment, 'history' | 'trials'>): TrialRecord[] {
  return [...history, ...recordsOf(searchTrials(trials))];
}

export function suggestionFor(experiment: Experiment): Suggestion | undefined {
  const { algorithm, space } = experiment.plan;
  const context = contextOf(experiment, experiment.trials.length);
  return untriedSuggestion(algorithm, space, historyOf(experiment), context);
}

/** Undefined while it is better suggested when trials that run have ended, and where nothing is left to try. */
function nextTrial(experiment: Experiment, suggest: Suggest): Action | undefined {
  const { plan } = experiment;
  const trials = searchTrials(experiment.trials);
  const number = experiment.trials.length;
  const context = contextOf(experiment, number);
  const history = historyOf(experiment);
  const lineage = lineageOf(plan.algorithm);
  if (lineage?.waits(plan.space, history, context, plan.algorithm.settings)) return undefined;
  const next = firstSuggestion(experiment, trials, number) ?? suggest(experiment);
  if (!next) return undefined;
  const { values, origin } = next;
  return {
    type: 'create-trial',
    number,
    kind: 'search',
    parameters: values,
    totalTokens: searchTokens(plan.training),
    ...(origin === undefined ? {} : after(experiment.trials[origin])),
  };
}

/**
 * The winner's training on train + validation, then its model version, then that version's evaluation. Where trials go on
 * from each other there is nothing to repeat with the best one's parameters, which are its last: its weights are the model.
 */
function finalize(experiment: Experiment): Action[] {
  const { trials, plan, model } = experiment;
  const final = trials.find(({ kind }) => kind === 'final');
  if (!final) {
    const best = bestTrial(trials)!;
    const { parameters, bestTokens, tokens, totalTokens } = best;
    const created = { type: 'create-trial', number: trials.length, kind: 'final', parameters } as const;
    if (lineageOf(plan.algorithm)) return [{ ...created, totalTokens: 0, ...after(best) }];
    const seen = bestTokens || tokens || totalTokens;
    return [{ ...created, totalTokens: Math.max(1, Math.round(seen * plan.training.finalScale)) }];
  }
  if (final.state === 'queued') return [{ type: 'start-attempt', trial: final.number, attempt: 1 }];
  if (final.state === 'running') return [];
  if (final.state !== 'succeeded') {
    const reason = `the final training failed: ${final.reason}`;
    return [{ type: 'finish', state: 'failed', reason }];
  }
  if (!model) return [{ type: 'store-model', trial: final.number }];
  if (model.state === 'trained') return model.evaluation ? [{ type: 'register-model' }] : [];
  const failure = model.evaluation?.failure ?? '';
  const reason =
    failure === ''
      ? (exhausted(experiment, searchTrials(trials)) ?? '')
      : `${model.id} is registered without metrics: its evaluation failed: ${failure}`;
  return [{ type: 'finish', state: 'succeeded', reason }];
}

/** How a trainer's own report ends its attempt. */
export function outcomeOf(
  { kind, judgement }: Pick<Trial, 'kind' | 'judgement'>,
  report: {
    readonly state: 'succeeded' | 'stopped' | 'failed' | 'infeasible';
    readonly reason: string;
    readonly objective: number | undefined;
    readonly modelPrefix: string;
  },
): { outcome: Outcome; reason: string } {
  const { state, reason, objective } = report;
  if (state === 'infeasible')
    return { outcome: 'infeasible', reason: reason || 'InvalidConfiguration: not said why' };
  if (state === 'failed') {
    const said = reason || 'Crashed: not said why';
    const { blames, interrupts } = meaningOf(said);
    if (blames === 'parameters') return { outcome: 'infeasible', reason: said };
    return { outcome: interrupts ? 'interrupted' : 'failed', reason: said };
  }
  if (kind === 'final') {
    if (state === 'stopped') return { outcome: 'failed', reason: 'NoReport: the final training ended early' };
    if (report.modelPrefix === '')
      return { outcome: 'failed', reason: 'NoReport: the final training ended without a model' };
    return { outcome: 'succeeded', reason };
  }
  if (objective === undefined)
    return state === 'stopped'
      ? { outcome: 'stopped', reason: judgement?.reason ?? reason }
      : { outcome: 'failed', reason: 'NoReport: the trainer ended without an objective' };
  if (objective === -Infinity)
    return { outcome: 'failed', reason: 'BrokenObjective: a loss of -Infinity cannot be' };
  if (!Number.isFinite(objective))
    return { outcome: 'infeasible', reason: `Diverged: the objective is ${objective}` };
  if (state === 'stopped' && judgement)
    return { outcome: judgement.decision === 'finish' ? 'succeeded' : 'stopped', reason: judgement.reason };
  return { outcome: state, reason };
}
