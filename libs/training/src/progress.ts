/**
 * How a training run goes on: a pure function of where it stands and of what has just happened. It decides what is
 * trained on next and at which rate, when to validate and to write a checkpoint, which weights are the best, and when to
 * end; it knows no tensors, files or clock, nor how many processes do what it asks for. The caller does the asides, then
 * the one thing that is next, tells what came of it, and asks again until that is the end.
 */
import { Internal } from '@emotune/base';
import type { EpochPlace } from './batches.js';
import { forgettingOf } from './curriculum.js';
import { nextLossScale } from './loss-scale.js';
import type { Directive, Measurement, Summary, Validated } from './measurement.js';
import type { RunState } from './run-state.js';
import { rateOf } from './schedule.js';
import type { TrainSpec } from './spec.js';

/** What of a run is fixed from its beginning to its end. */
export interface Course {
  readonly spec: Pick<
    TrainSpec,
    | 'stages'
    | 'until'
    | 'gradientAccumulation'
    | 'optimizer'
    | 'schedule'
    | 'validation'
    | 'checkpointSeconds'
  >;
  /** There are rows to validate on. */
  readonly validates: boolean;
  /** There is a place for checkpoints. */
  readonly checkpoints: boolean;
  /** Tokens of the longest row: less than that may have no row that fits. */
  readonly longest: number;
}

interface Step {
  readonly type: 'step';
  /** The epoch, and which of its batches in order are the micro-batches of this step. */
  readonly place: EpochPlace;
  readonly from: number;
  readonly count: number;
  /** Tokens that are left of the stage: of micro-batches that have more, only rows that fit are trained on. */
  readonly most: number;
  /** The number of the step among all, those of runs before included, from 1. */
  readonly step: number;
  /** The number of the change of the weights, from 1: steps that were skipped do not count. */
  readonly update: number;
  readonly rate: number;
  /** The factor that the loss is scaled by; undefined where it is not. */
  readonly scale: number | undefined;
}

/** What to do next. All but the end are answered by an event. */
export type Next =
  /** Make the batches of an epoch. */
  | { readonly type: 'draw'; readonly place: EpochPlace }
  | Step
  | { readonly type: 'validate' }
  /** Tell the outside, which answers with a directive. */
  | { readonly type: 'report'; readonly measurement: Measurement }
  | { readonly type: 'checkpoint'; readonly reason: 'due' | 'end' | 'interruption' }
  | { readonly type: 'end'; readonly why: 'tokens' | 'patience' | 'directive' | 'interruption' };

/** What to do besides, before what is next; nothing answers it. */
type Aside =
  /** The weights as they are now are the best so far. */
  { readonly type: 'keep' } | { readonly type: 'notice'; readonly text: string };

interface Stepped {
  readonly type: 'stepped';
  readonly loss: number;
  readonly norm: number;
  /** Padding not counted. */
  readonly tokens: number;
  /** Rows. */
  readonly examples: number;
  /** Its scaled gradient was not finite: the weights are as they were. */
  readonly skipped: boolean;
  readonly elapsedMs: number;
}

export type TrainEvent =
  /** `tokens`: of each batch, in the order in which they are trained on. */
  | { readonly type: 'drawn'; readonly tokens: readonly number[] }
  | Stepped
  | ({ readonly type: 'validated' } & Validated)
  | { readonly type: 'directed'; readonly directive: Directive }
  | { readonly type: 'checkpointed'; readonly tookMs: number }
  /** Asked to end, a step or a validation was left before it was complete. */
  | { readonly type: 'interrupted' };

export interface Progress {
  readonly run: RunState;
  /** How many batches the epoch has that the cursor is in, once it is drawn. */
  readonly batches: number | null;
  readonly next: Next;
  /** The last checkpoint of this process, or its beginning. */
  readonly saved: { readonly at: number; readonly tookMs: number };
  /** What this process trained. */
  readonly trained: { readonly tokens: number; readonly ms: number };
  /** It was told that an interruption takes long. */
  readonly warned: boolean;
}

export interface Turn {
  readonly state: Progress;
  readonly asides: readonly Aside[];
}

type Standing = Omit<Progress, 'next'>;

/** Within this time of being asked to end, a run should have left a checkpoint. */
const promptMs = 10_000;

/** How a process begins with a run, from nothing, a checkpoint or another run's end. `now`: ms. */
export function begin(course: Course, run: RunState, now: number): Turn {
  const standing: Standing = {
    run,
    batches: null,
    saved: { at: now, tookMs: 0 },
    trained: { tokens: 0, ms: 0 },
    warned: false,
  };
  return run.pending ? conclude(course, standing) : advance(course, standing);
}

/** @throws Internal for an event that does not answer what was next. */
export function progress(course: Course, state: Progress, event: TrainEvent, now: number): Turn {
  const { next, ...standing } = state;
  if (next.type === 'draw' && event.type === 'drawn') return enter(course, standing, event.tokens);
  if (next.type === 'step' && event.type === 'stepped') return count(course, standing, next, event);
  if (next.type === 'validate' && event.type === 'validated') return judge(course, standing, event);
  if (next.type === 'report' && event.type === 'directed')
    return obey(course, standing, event.directive, now);
  if (next.type === 'checkpoint' && event.type === 'checkpointed') {
    const saved = { ...standing, saved: { at: now, tookMs: event.tookMs } };
    return next.reason === 'due' ? advance(course, saved) : end(saved, next.reason);
  }
  if ((next.type === 'step' || next.type === 'validate') && event.type === 'interrupted')
    return checkpoint(course, standing, 'interruption');
  throw new Internal(`progress: expected an answer to ${next.type}, got ${event.type}`);
}

function turn(standing: Standing, next: Next, asides: readonly Aside[] = []): Turn {
  return { state: { ...standing, next }, asides };
}

/** Tokens that are left of the stage. */
function left({ spec }: Course, { cursor }: RunState): number {
  return spec.stages[cursor.stage].tokens - cursor.stageTokens;
}

/** A stage ends when less than a row is left, as it is after a step that took what fitted; its first step it always has. */
function stageEnded(course: Course, run: RunState): boolean {
  return left(course, run) < (run.cursor.stageTokens > 0 ? course.longest : 1);
}

/** A part ends with the step that reaches its end; the next part has so much less. */
function partEnded({ spec }: Course, { before, tokens }: RunState): boolean {
  return spec.until !== undefined && before.tokens + tokens >= spec.until;
}

/** To the next step, over the ends of epochs and stages, or to the end. */
function advance(course: Course, standing: Standing): Turn {
  const { run, batches } = standing;
  const { cursor } = run;
  const { stage, stageTokens } = cursor;
  if (run.stopped !== null || partEnded(course, run) || stage >= course.spec.stages.length)
    return checkpoint(course, standing, 'end');
  const to = (changes: Partial<RunState['cursor']>) =>
    advance(course, {
      ...standing,
      run: { ...run, cursor: { ...cursor, ...changes, index: 0 } },
      batches: null,
    });
  if (stageEnded(course, run)) return to({ stage: stage + 1, epoch: 0, stageTokens: 0, epochTokens: 0 });
  if (batches === null) return turn(standing, { type: 'draw', place: placeOf(cursor) });
  if (cursor.index >= batches) return to({ epoch: cursor.epoch + 1, epochTokens: stageTokens });
  return turn(standing, nextStep(course, run, batches));
}

function placeOf({ stage, epoch, epochTokens }: RunState['cursor']): EpochPlace {
  return { stage, epoch, stageTokens: epochTokens };
}

function nextStep(course: Course, run: RunState, batches: number): Step {
  const { spec } = course;
  const { cursor, before, tokens, lossScale } = run;
  return {
    type: 'step',
    place: placeOf(cursor),
    from: cursor.index,
    count: Math.min(spec.gradientAccumulation, batches - cursor.index),
    most: left(course, run),
    step: before.steps + run.step + 1,
    update: run.updates + 1,
    rate:
      spec.optimizer.learningRate *
      rateOf(spec.schedule, spec.stages, { ...cursor, tokens: before.tokens + tokens }),
    scale: lossScale?.scale,
  };
}

/**
 * An epoch is entered where its tokens say: for the run's own batches that is where it was left, and of other batches than
 * those of the run before they tell how many there would have been.
 */
function enter(course: Course, standing: Standing, tokens: readonly number[]): Turn {
  const { run } = standing;
  const { cursor } = run;
  let [index, rest] = [0, cursor.stageTokens - cursor.epochTokens];
  while (index < tokens.length && rest > 0) rest -= tokens[index++];
  const entered = { ...run, cursor: { ...cursor, index } };
  return advance(course, { ...standing, run: entered, batches: tokens.length });
}

function slowNotice(waitMs: number): Aside {
  return {
    type: 'notice',
    text: `a micro-batch and a checkpoint take ${Math.round(waitMs / 1000)} s, and so does an interruption: fewer batchTokens and more gradientAccumulation make it prompt`,
  };
}

function count(
  course: Course,
  standing: Standing,
  step: Step,
  { loss, norm, tokens, examples, skipped, elapsedMs }: Stepped,
): Turn {
  const { run, trained, warned } = standing;
  const { cursor, lossScale } = run;
  const waitMs = elapsedMs / step.count + standing.saved.tookMs;
  // The first step of a process compiles graphs too.
  const slow = waitMs > promptMs && !warned && trained.tokens > 0;
  const after: RunState = {
    ...run,
    step: run.step + 1,
    updates: run.updates + (skipped ? 0 : 1),
    lossScale: lossScale && nextLossScale(lossScale, !skipped),
    tokens: run.tokens + tokens,
    examples: run.examples + examples,
    seconds: run.seconds + elapsedMs / 1000,
    sinceValidation: run.sinceValidation + tokens,
    cursor: { ...cursor, index: cursor.index + step.count, stageTokens: cursor.stageTokens + tokens },
    pending: { trainLoss: loss, learningRate: step.rate, gradientNorm: norm },
  };
  const counted = {
    ...standing,
    run: after,
    trained: { tokens: trained.tokens + tokens, ms: trained.ms + elapsedMs },
    warned: warned || slow,
  };
  return conclude(course, counted, slow ? [slowNotice(waitMs)] : []);
}

/** What follows a step: validation where it is due, and the word to the outside. */
function conclude(course: Course, standing: Standing, asides: readonly Aside[] = []): Turn {
  const { run } = standing;
  const { everyTokens } = course.spec.validation;
  const due =
    stageEnded(course, run) ||
    partEnded(course, run) ||
    (everyTokens > 0 && run.sinceValidation >= everyTokens);
  return course.validates && due
    ? turn(standing, { type: 'validate' }, asides)
    : report(course, standing, {}, asides);
}

/** Whether the weights just validated are the best. Of a part of a run that is always those it has. */
function judge(course: Course, standing: Standing, { objective, objectives }: Validated): Turn {
  const { spec } = course;
  const { run } = standing;
  const { best, step, tokens, misses } = run;
  const better = spec.until !== undefined || best === null || objective < best.objective;
  const ended = stageEnded(course, run);
  const stageObjectives = ended ? [...run.stageObjectives, objectives] : run.stageObjectives;
  const judged: RunState = {
    ...run,
    sinceValidation: 0,
    stageObjectives,
    ...(better ? { best: { objective, tokens, step }, misses: 0 } : { misses: misses + 1 }),
  };
  const forgetting = ended ? forgettingOf(stageObjectives, spec.stages) : undefined;
  return report(
    course,
    { ...standing, run: judged },
    { objective, objectives, ...(forgetting ? { forgetting } : {}) },
    better && spec.until === undefined ? [{ type: 'keep' }] : [],
  );
}

/** Tokens of this run, when it ends by nothing else. */
function totalTokens({ spec }: Course, { before }: RunState): number {
  const all = spec.stages.reduce((n, { tokens }) => n + tokens, 0);
  return Math.max(0, Math.min(all, spec.until ?? all) - before.tokens);
}

function report(
  course: Course,
  standing: Standing,
  validated: Pick<Measurement, 'objective' | 'objectives' | 'forgetting'>,
  asides: readonly Aside[],
): Turn {
  const { run } = standing;
  const { step, tokens, examples, seconds, cursor, pending } = run;
  const measurement: Measurement = {
    step,
    tokens,
    examples,
    totalTokens: totalTokens(course, run),
    seconds,
    stage: cursor.stage,
    ...pending!,
    ...validated,
  };
  return turn(standing, { type: 'report', measurement }, asides);
}

function obey(course: Course, standing: Standing, directive: Directive, now: number): Turn {
  const { patience } = course.spec.validation;
  const outOfPatience = patience > 0 && standing.run.misses >= patience;
  const stopped: RunState['stopped'] = outOfPatience ? 'patience' : directive === 'stop' ? 'directive' : null;
  const after = { ...standing, run: { ...standing.run, pending: null, stopped } };
  const due = directive === 'checkpoint' || now - standing.saved.at >= course.spec.checkpointSeconds * 1000;
  return due && stopped === null ? checkpoint(course, after, 'due') : advance(course, after);
}

/** Writes a checkpoint where there is a place for it, and goes on by the reason. */
function checkpoint(course: Course, standing: Standing, reason: 'due' | 'end' | 'interruption'): Turn {
  if (course.checkpoints) return turn(standing, { type: 'checkpoint', reason });
  return reason === 'due' ? advance(course, standing) : end(standing, reason);
}

function end(standing: Standing, reason: 'end' | 'interruption'): Turn {
  const why = reason === 'interruption' ? reason : (standing.run.stopped ?? 'tokens');
  return turn(standing, { type: 'end', why });
}

export function summaryOf({ spec }: Course, { run, trained }: Progress): Summary {
  const { best, step, tokens, examples, seconds, stopped, stageObjectives } = run;
  return {
    best,
    step,
    tokens,
    examples,
    seconds,
    stopped,
    tokensPerSecond: trained.ms > 0 ? (1000 * trained.tokens) / trained.ms : 0,
    forgetting: forgettingOf(stageObjectives, spec.stages) ?? null,
  };
}
