/**
 * A training run: `progress` decides what comes next, and what is asked for is done here, with tensors, files and the
 * outside. Numbers are decided in neither: forward, backward and the optimizers are graphs, batches and rates are pure
 * functions beside this file.
 */
import { type Clock, machineMemoryMiB, Rng } from '@emotune/base';
import type { Executor, HostTensor } from '@emotune/engine';
import { longestRow, type Model } from '@emotune/models';
import { type Batch, packingOf, type Row, tokensOf, within } from './batches.js';
import { beginningOf, checkFits } from './beginning.js';
import { withCandidates } from './candidate-rows.js';
import { checkRows } from './check-rows.js';
import { saveCheckpoint } from './checkpoint.js';
import { Epochs } from './epochs.js';
import { Interrupted } from './failures.js';
import type { Directive, Measurement, Summary } from './measurement.js';
import { packRows } from './packing.js';
import { checkMemory, withPlan } from './plan.js';
import { plannedShapes } from './planned-shapes.js';
import { begin, type Course, type Next, progress, summaryOf, type TrainEvent } from './progress.js';
import { checkMethods } from './regularisers/settings.js';
import { Run } from './run.js';
import { runHash } from './run-hash.js';
import type { RunState } from './run-state.js';
import type { TrainSpec } from './spec.js';

export interface TrainHooks {
  /** Called after every step; its answer is obeyed before the next. */
  readonly onMeasurement?: (measurement: Measurement) => Directive | Promise<Directive> | undefined;
  /** Something that the user should know: a damaged checkpoint was passed over. */
  readonly onNotice?: (text: string) => void;
  /** A folder for checkpoints; without it the run cannot resume. */
  readonly checkpoints?: string;
  /**
   * Gives a folder of another run's checkpoints, from whose last this one goes on: weights, the optimizer's state, and the
   * place in schedule and stages. Not asked where the run has a checkpoint of its own. Model, method and kind of optimizer
   * have to be the same.
   */
  readonly startFrom?: (() => Promise<string>) | undefined;
  /** Called with the folder of every checkpoint that was written, before the next step. */
  readonly onCheckpoint?: (folder: string) => Promise<void>;
  /**
   * When it aborts, a checkpoint is written and the run ends with `Interrupted`: after the micro-batch or the batch of
   * validation under way, which nothing can end sooner.
   */
  readonly signal?: AbortSignal;
  /** The model's weights are not needed any more: they move to the executor, and its tensors are empty afterwards. */
  readonly takeWeights?: boolean;
}

export interface Training extends TrainHooks {
  /** The executor of this run alone, which leaves its slots and graphs in it; closed by who made it: see `withExecutor`. */
  readonly executor: Executor;
  /** Says when a checkpoint is due. */
  readonly clock: Clock;
  readonly model: Model;
  readonly rows: { readonly train: readonly Row[]; readonly validation: readonly Row[] };
  readonly spec: TrainSpec;
}

export interface TrainResult extends Summary {
  /** The trained tensors at the best validation, or at the end where there is no validation or the run is a part of one. */
  readonly tensors: Map<string, HostTensor>;
}

/**
 * Trains, or goes on from the newest checkpoint of the same run.
 * @throws InvalidArgument, Diverged, Interrupted, ResourceExhausted, LostOrigin: see `endingOf`.
 */
export async function train(training: Training): Promise<TrainResult> {
  const { executor, model, spec, checkpoints, startFrom, takeWeights = false } = training;
  const { config } = model;
  const { train: given, validation } = training.rows;
  const maxSequence = longestRow(config);
  checkRows(given, spec, maxSequence);
  checkMethods(spec, config, given);
  const hash = runHash(model, [given, validation], spec, startFrom === undefined ? 'anew' : 'from another');
  const beginning = await beginningOf(hash, spec, training);
  const { rows, held } = laidOut(training);
  const packing = packingOf({ train: rows, validation: held }, spec, {
    width: config.hiddenSize,
    maxSequence,
  });
  // Rows of like length next to each other would leave gaps that they could not fill.
  const validationBatches = packRows(Rng.of('validation').shuffle(held), packing);
  const course = {
    spec,
    validates: validationBatches.length > 0,
    checkpoints: checkpoints !== undefined,
    longest: rows.reduce((most, { tokens }) => Math.max(most, tokens.length), 1),
  };
  const plan = checkMemory(
    {
      ...course,
      config,
      shapes: plannedShapes(rows, spec, packing),
      keepsWeights: !takeWeights,
      memory: executor.memory,
    },
    (spec.memoryLimitMiB ?? machineMemoryMiB()) * 2 ** 20,
  );
  // Graphs take a while to compile, in which nobody is heard.
  if (training.signal?.aborted) throw new Interrupted(beginning.state.step);
  try {
    const run = new Run(executor, model, spec);
    if (beginning.others) checkFits(beginning.tensors, run.saved().tensors);
    await run.begin(beginning, takeWeights);
    const work = { ...training, run, epochs: new Epochs(rows, spec, packing), validation: validationBatches };
    return await follow(work, course, beginning.state);
  } catch (error) {
    throw withPlan(error, plan);
  }
}

/** The rows with the candidates that their losses compare. */
function laidOut({ spec, rows }: Training): { rows: readonly Row[]; held: readonly Row[] } {
  if (spec.distillation) {
    const taught = (some: readonly Row[]) =>
      withCandidates(some, ({ teacher }) => teacher?.choices.candidates);
    return { rows: taught(rows.train), held: taught(rows.validation) };
  }
  const compares = spec.loss.regression.name !== 'answer';
  return {
    rows: compares ? withCandidates(rows.train, ({ number }) => number?.choices.candidates) : rows.train,
    held: rows.validation,
  };
}

/** What is worked with from the first step to the last. */
interface Work extends TrainHooks, Pick<Training, 'clock' | 'spec'> {
  readonly run: Run;
  readonly epochs: Epochs;
  readonly validation: readonly Batch[];
}

async function follow(work: Work, course: Course, from: RunState): Promise<TrainResult> {
  const { run, clock } = work;
  let { state, asides } = begin(course, from, clock.now());
  while (state.next.type !== 'end') {
    for (const aside of asides) {
      if (aside.type === 'keep') await run.keepBest();
      else work.onNotice?.(aside.text);
    }
    const event = await perform(work, state.run, state.next);
    ({ state, asides } = progress(course, state, event, clock.now()));
  }
  const { step } = state.run;
  if (state.next.why === 'interruption') throw new Interrupted(step);
  return { tensors: await run.result(step), ...summaryOf(course, state) };
}

/** Does what is next, and tells what came of it. */
async function perform(
  work: Work,
  state: RunState,
  next: Exclude<Next, { type: 'end' }>,
): Promise<TrainEvent> {
  const { run, epochs, signal, clock } = work;
  switch (next.type) {
    case 'draw':
      return { type: 'drawn', tokens: epochs.at(next.place).map(({ rows }) => tokensOf(rows)) };
    case 'step': {
      const micros = within(epochs.at(next.place).slice(next.from, next.from + next.count), next.most);
      const started = performance.now();
      const done = await run.step(micros, { ...next, signal });
      if (!done) return { type: 'interrupted' };
      const examples = micros.reduce((n, { rows }) => n + rows.length, 0);
      return { type: 'stepped', ...done, examples, elapsedMs: performance.now() - started };
    }
    case 'validate': {
      const measured = await run.validate(work.validation, { step: state.step, signal });
      return measured ? { type: 'validated', ...measured } : { type: 'interrupted' };
    }
    case 'report':
      return { type: 'directed', directive: (await work.onMeasurement?.(next.measurement)) ?? 'continue' };
    case 'checkpoint': {
      const started = clock.now();
      const folder = await saveCheckpoint(work.checkpoints!, state, run.saved(), work.spec.keepCheckpoints);
      await work.onCheckpoint?.(folder);
      return { type: 'checkpointed', tookMs: clock.now() - started };
    }
  }
}
