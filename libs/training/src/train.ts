/**
 * A training run: `progress` decides what comes next, and what is asked for is done here, with tensors, files and the
 * outside. Numbers are decided in neither: forward, backward and the optimizers are graphs, batches and rates are pure
 * functions beside this file.
 */
import { type Clock, InvalidArgument, machineMemoryMiB, Rng } from '@emotune/base';
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
import { alone, type Exchange } from './ranks/exchange.js';
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
  /** With the other ranks of the run, where it has more than one. */
  readonly exchange?: Exchange;
}

export interface TrainResult extends Summary {
  /** The trained tensors at the best validation, or at the end where there is no validation or the run is a part of one. */
  readonly tensors: Map<string, HostTensor>;
}

/** A run as every rank of it prepares it: the same rows in the same batches. */
function prepared(training: Omit<Training, keyof TrainHooks>, takeWeights: boolean, checkpoints: boolean) {
  const { executor, model, spec, exchange } = training;
  const { config } = model;
  const { train: given } = training.rows;
  const maxSequence = longestRow(config);
  checkRows(given, spec, maxSequence);
  checkMethods(spec, config, given);
  const { rows, held } = laidOut(training);
  const packing = packingOf({ train: rows, validation: held }, spec, {
    width: config.hiddenSize,
    maxSequence,
  });
  // Rows of like length next to each other would leave gaps that they could not fill.
  const validationBatches = packRows(Rng.of('validation').shuffle(held), packing);
  const course: Course = {
    spec,
    validates: validationBatches.length > 0,
    checkpoints,
    longest: rows.reduce((most, { tokens }) => Math.max(most, tokens.length), 1),
  };
  const plan = checkMemory(
    {
      ...course,
      spec,
      config,
      shapes: plannedShapes(rows, spec, packing),
      keepsWeights: !takeWeights,
      memory: executor.memory,
    },
    // Ranks share the machine.
    ((spec.memoryLimitMiB ?? machineMemoryMiB()) / spec.ranks) * 2 ** 20,
  );
  return {
    course,
    plan,
    run: new Run(executor, model, spec, exchange),
    epochs: new Epochs(rows, spec, packing),
    validation: validationBatches,
  };
}

/**
 * Trains, or goes on from the newest checkpoint of the same run. Of a run of several ranks this is rank 0; the others `assist`.
 * @throws InvalidArgument, Diverged, Interrupted, ResourceExhausted, LostOrigin, LostRank: see `endingOf`.
 */
export async function train(training: Training): Promise<TrainResult> {
  const { model, spec, checkpoints, startFrom, takeWeights = false, exchange = alone } = training;
  const { train: given, validation } = training.rows;
  const { plan, course, run, ...parts } = prepared(training, takeWeights, checkpoints !== undefined);
  const hash = runHash(model, [given, validation], spec, startFrom === undefined ? 'anew' : 'from another');
  const beginning = await beginningOf(hash, spec, training);
  // Graphs take a while to compile, in which nobody is heard.
  if (training.signal?.aborted) throw new Interrupted(beginning.state.step);
  try {
    if (beginning.others) checkFits(beginning.tensors, run.saved().tensors);
    await agree(exchange, training);
    await run.begin(beginning, takeWeights);
    if (exchange.ranks > 1) await run.takeOver();
    return await follow({ ...training, ...parts, exchange, run }, course, beginning.state);
  } catch (error) {
    throw withPlan(error, plan);
  }
}

/** What rank 0 asks of the others. */
type Order =
  | { readonly type: 'end' }
  | Extract<Next, { type: 'step' }>
  | { readonly type: 'validate'; readonly step: number };

const said = (order: unknown) => Buffer.from(JSON.stringify(order));
const heard = (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString());

/** @throws InvalidArgument where ranks have other data or settings than rank 0. */
async function agree(exchange: Exchange, { model, rows, spec }: Training): Promise<void> {
  if (exchange.ranks === 1) return;
  const own = runHash(model, [rows.train, rows.validation], spec, 'anew');
  const { run, ranks } = heard(await exchange.share(said({ run: own, ranks: exchange.ranks })));
  if (run !== own || ranks !== exchange.ranks)
    throw InvalidArgument.at(
      'ranks',
      `expected rank ${exchange.rank} to have the model, the rows and the settings of rank 0, got others`,
    );
}

/**
 * A rank besides the first: does what rank 0 asks until that ends.
 * @throws InvalidArgument, Diverged, ResourceExhausted, LostRank
 */
export async function assist(
  training: Omit<Training, keyof TrainHooks> & { exchange: Exchange },
): Promise<void> {
  const { exchange } = training;
  const { plan, run, epochs, validation } = prepared(training, true, false);
  try {
    await agree(exchange, training);
    await run.begin({}, true);
    await run.takeOver();
    for (;;) {
      const order: Order = heard(await exchange.share());
      if (order.type === 'end') return;
      if (order.type === 'validate') await run.validate(validation, order);
      else await run.step(microsOf(epochs, order), order);
    }
  } catch (error) {
    throw withPlan(error, plan);
  }
}

function microsOf(epochs: Epochs, { place, from, count, most }: Extract<Next, { type: 'step' }>) {
  return within(epochs.at(place).slice(from, from + count), most);
}

/** The rows with the candidates that their losses compare. */
function laidOut({ spec, rows }: Pick<Training, 'spec' | 'rows'>): {
  rows: readonly Row[];
  held: readonly Row[];
} {
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
  readonly exchange: Exchange;
}

async function follow(work: Work, course: Course, from: RunState): Promise<TrainResult> {
  const { run, clock, exchange } = work;
  let { state, asides } = begin(course, from, clock.now());
  while (state.next.type !== 'end') {
    for (const aside of asides) {
      if (aside.type === 'keep') await run.keepBest();
      else work.onNotice?.(aside.text);
    }
    const event = await perform(work, state.run, state.next);
    ({ state, asides } = progress(course, state, event, clock.now()));
  }
  await exchange.share(said({ type: 'end' } satisfies Order));
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
  const { run, epochs, clock, exchange } = work;
  const together = exchange.ranks > 1;
  // What ranks have begun together they end together: whoever asks for an end is heard between.
  if (together && work.signal?.aborted && (next.type === 'step' || next.type === 'validate'))
    return { type: 'interrupted' };
  const signal = together ? undefined : work.signal;
  switch (next.type) {
    case 'draw':
      return { type: 'drawn', tokens: epochs.at(next.place).map(({ rows }) => tokensOf(rows)) };
    case 'step': {
      const micros = microsOf(epochs, next);
      const started = performance.now();
      if (together) await exchange.share(said(next satisfies Order));
      const done = await run.step(micros, { ...next, signal });
      if (!done) return { type: 'interrupted' };
      const examples = micros.reduce((n, { rows }) => n + rows.length, 0);
      return { type: 'stepped', ...done, examples, elapsedMs: performance.now() - started };
    }
    case 'validate': {
      const { step } = state;
      if (together) await exchange.share(said({ type: 'validate', step } satisfies Order));
      const measured = await run.validate(work.validation, { step, signal });
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
