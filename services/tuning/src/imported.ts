/** Studies of other programs as what they are to an experiment: lessons for its sampler, and values to try. Pure. */
import { createHash } from 'node:crypto';
import { canonicalJson, InvalidArgument, show, Turns, Violations } from '@emotune/base';
import { tuning } from '@emotune/proto';
import {
  type Assignment,
  bestConfigurations,
  type Direction,
  type Study,
  type TrialRecord,
  type WarmStart,
  warmStart,
} from '@emotune/search';
import type { Plan } from './spec.js';

const { Goal, TrialState } = tuning;

/** Trials that an experiment is taught from outside, at most and in all. */
const mostRecords = 10_000;

const states = {
  [TrialState.TRIAL_STATE_SUCCEEDED]: 'complete',
  [TrialState.TRIAL_STATE_STOPPED]: 'pruned',
  [TrialState.TRIAL_STATE_FAILED]: 'failed',
  [TrialState.TRIAL_STATE_RUNNING]: 'running',
  [TrialState.TRIAL_STATE_QUEUED]: 'waiting',
} as const;

const directions: Readonly<Partial<Record<tuning.Goal, Direction>>> = {
  [Goal.GOAL_MINIMIZE]: 'minimize',
  [Goal.GOAL_MAXIMIZE]: 'maximize',
};

export interface ImportedStudy {
  /** Trials that fit the search space. */
  readonly fitting: number;
  /** What a sampler may learn, unless it is not asked to; numbered below those that it knows, which are below 0. */
  readonly lessons: readonly TrialRecord[];
  /** To be enqueued, best first. */
  readonly best: readonly Assignment[];
  readonly misfits: WarmStart['misfits'];
}

const mostTrials = 20_000;
/** Fitted before others get their turn: some 5 ms. */
const trialsAtOnce = 2_000;
const fitting = new Turns();

/** The fields, but the study, that a message says something in. */
function saidIn({ study, ...rest }: tuning.ImportStudyRequest): string[] {
  const nothing = new Set<unknown>(['', 0, false, Goal.GOAL_UNSPECIFIED]);
  return Object.entries(rest)
    .filter(([, value]) => (typeof value === 'object' ? Object.keys(value).length > 0 : !nothing.has(value)))
    .map(([field]) => field);
}

export interface WholeStudy {
  readonly request: tuning.ImportStudyRequest;
  /** Of its trials, however they were divided. */
  readonly sha256: string;
}

/**
 * A study that comes in pieces, once all have come. What takes long for all trials is done for each piece.
 * @throws InvalidArgument; the reason of `signal`, which aborts where its sender leaves before.
 */
export async function wholeStudy(
  pieces: AsyncIterable<tuning.ImportStudyRequest>,
  signal: AbortSignal,
): Promise<WholeStudy> {
  const hash = createHash('sha256');
  let first: tuning.ImportStudyRequest | undefined;
  const trials: tuning.StudyTrial[] = [];
  for await (const piece of pieces) {
    await fitting.take();
    const violations = new Violations();
    for (const field of first ? saidIn(piece) : [])
      violations.add(field, 'expected nothing after the first message but trials of its study');
    for (const trial of piece.study?.trials ?? []) {
      trials.push(trial);
      hash.update(`${canonicalJson(trial)}\n`);
    }
    if (trials.length > mostTrials)
      violations.add('study.trials', `expected at most ${mostTrials}, got more: leave out the worst`);
    violations.throwIfAny();
    first ??= piece;
  }
  signal.throwIfAborted();
  if (!first) throw InvalidArgument.at('study', 'expected a study, got nothing');
  const request = first.study ? { ...first, study: { ...first.study, trials } } : first;
  return { request, sha256: hash.digest('hex') };
}

/** @throws InvalidArgument with every violation and its path. */
function studyOf({ study, objective, best }: tuning.ImportStudyRequest): Study {
  if (!study) throw InvalidArgument.at('study', 'expected a study, got nothing');
  const violations = new Violations();
  for (const [name, value] of Object.entries({ objective, best }))
    if (!(value >= 0)) violations.add(name, `expected at least 0, got ${value}`);
  const trials = study.trials.map((trial, i): Study['trials'][number] => {
    const { number, parameters, objectives, last } = trial;
    const state = states[trial.state as keyof typeof states];
    if (!state)
      violations.add(
        ['study', 'trials', i, 'state'],
        `expected ${Object.keys(states).join(', ')}, got ${trial.state}`,
      );
    return {
      number,
      state: state ?? 'waiting',
      parameters,
      objectives: objectives.map(({ value }) => value ?? undefined),
      measurements: last ? [last] : [],
    };
  });
  violations.throwIfAny();
  return { name: study.name, directions: study.goals.map((goal) => directions[goal]), trials };
}

/** An objective that cannot be compared teaches that its values do not work. */
function lessonOf(record: TrialRecord): TrialRecord {
  const { number, state, parameters, objective, step = 0, reason } = record;
  if (state !== 'infeasible' && Number.isFinite(objective))
    return { number, state, reason: reason ?? '', parameters, step, objective: objective! };
  const why = reason ?? `Diverged: the objective was ${objective}`;
  return { number, state: 'infeasible', reason: why, parameters, step };
}

/** A study's trials as those of an experiment. */
export interface FittedStudy extends WarmStart {
  /** The best configurations, as many as are asked for. */
  readonly best: readonly Assignment[];
}

/** The misfits of all parts, alike ones as one. */
function merged(parts: readonly WarmStart[]): WarmStart['misfits'] {
  const all = new Map<string, WarmStart['misfits'][number]>();
  for (const misfit of parts.flatMap(({ misfits }) => misfits)) {
    const key = JSON.stringify([misfit.name, misfit.problem]);
    const known = all.get(key);
    all.set(key, known ? { ...known, trials: known.trials + misfit.trials } : misfit);
  }
  return [...all.values()];
}

/**
 * A study as an experiment's space has it: the same for the same request, whatever was enqueued meanwhile.
 * @throws InvalidArgument with every violation and its path.
 */
export async function fittedStudy({ space }: Plan, request: tuning.ImportStudyRequest): Promise<FittedStudy> {
  const study = studyOf(request);
  const direction = directions[request.goal];
  const options = {
    objective: request.objective,
    ...(direction ? { direction } : {}),
    fixed: request.fixed,
    failuresTeach: request.failuresTeach,
  };
  const parts: WarmStart[] = [];
  for (let at = 0; parts.length === 0 || at < study.trials.length; at += trialsAtOnce) {
    await fitting.take();
    const trials = study.trials.slice(at, at + trialsAtOnce);
    parts.push(warmStart(space, { ...study, trials }, options));
  }
  await fitting.take();
  const history = parts.flatMap((part) => part.history).map((record, number) => ({ ...record, number }));
  return { history, misfits: merged(parts), best: bestConfigurations(history, request.best) };
}

/**
 * What a fitted study is to an experiment.
 * @param known What its sampler was taught already.
 * @throws InvalidArgument where that is too much.
 */
export function importedStudy(
  { history, misfits, best }: FittedStudy,
  request: tuning.ImportStudyRequest,
  known: readonly TrialRecord[],
): ImportedStudy {
  const room = mostRecords - known.length;
  if (request.teach && history.length > room)
    throw InvalidArgument.at(
      'study.trials',
      `expected at most ${room} beside the ${known.length} known, got ${show(history.length)}`,
    );
  const first = Math.min(0, ...known.map(({ number }) => number)) - history.length;
  return {
    fitting: history.length,
    lessons: request.teach ? history.map((record, i) => lessonOf({ ...record, number: first + i })) : [],
    best,
    misfits,
  };
}
