/**
 * The training loop: which batch comes when, what is measured, kept and written. It decides nothing about numbers:
 * forward, backward and the optimizers are graphs, batches and rates are pure functions beside this file.
 */
import { canonicalJson, InvalidArgument, Rng, sha256, systemClock } from '@emotune/base';
import { type HostTensor, reading, release } from '@emotune/engine';
import { longestRow, type Model } from '@emotune/models';
import { batchesIn, epochBatches, packingOf, type Row } from './batches.js';
import { loadCheckpoint, loadOrigin, type RunState, saveCheckpoint } from './checkpoint.js';
import { type Forgetting, forgettingOf } from './curriculum.js';
import { Diverged, Interrupted } from './failures.js';
import { initialLossScale, nextLossScale } from './loss-scale.js';
import { machineMemoryMiB } from './machine-memory.js';
import { digitShape, gridShape, withCandidates } from './number-answers.js';
import { type Packing, packRows } from './packing.js';
import { checkMemory, type PlannedShape, withPlan } from './plan.js';
import { checkMethods, comparesNumbers } from './regularisers/settings.js';
import { Run, type Validated } from './run.js';
import { rateOf } from './schedule.js';
import type { TrainSpec } from './spec.js';

/** What was measured after a step (or, with an objective, at a validation). */
export interface Measurement extends Partial<Validated> {
  readonly step: number;
  /** Tokens trained on, padding not counted. */
  readonly tokens: number;
  /** Rows trained on. */
  readonly examples: number;
  readonly totalTokens: number;
  readonly seconds: number;
  readonly stage: number;
  /** Mean over the step's answer tokens, nats. */
  readonly trainLoss: number;
  readonly learningRate: number;
  /** The gradient's norm before clipping; 0 where the step was skipped because its scaled gradient was not finite. */
  readonly gradientNorm: number;
  /** At the end of a stage that follows others: what they taught and is left. */
  readonly forgetting?: Forgetting;
}

export type Directive = 'continue' | 'checkpoint' | 'stop';

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
  /** A folder for timings of every node of the graphs: see the executor's `profile`. */
  readonly profile?: string;
}

export interface TrainResult {
  /** The trained tensors at the best validation, or at the end where there is no validation or the run is a part of one. */
  readonly tensors: Map<string, HostTensor>;
  readonly best: { readonly objective: number; readonly tokens: number; readonly step: number } | null;
  readonly step: number;
  readonly tokens: number;
  /** Rows trained on. */
  readonly examples: number;
  readonly seconds: number;
  /** Of this process, without validation and checkpoints. */
  readonly tokensPerSecond: number;
  /** Why it ended before its tokens were used up. */
  readonly stopped: 'patience' | 'directive' | null;
  /** After the last stage whose end was measured, where it follows others. */
  readonly forgetting: Forgetting | null;
}

/** The batches of the first epochs, with what they are fed where answers are compared as numbers. */
function plannedShapes(rows: readonly Row[], spec: TrainSpec, packing: Packing): PlannedShape[] {
  if (!comparesNumbers(spec.loss)) return [...packing.shapes];
  const batches = spec.stages.flatMap((_, stage) =>
    epochBatches(rows, spec, packing, { stage, epoch: 0, stageTokens: 0 }),
  );
  return packing.shapes.map((shape) => {
    if (spec.loss.numberTokens) return { ...shape, digits: digitShape(rows, shape.answers) };
    const grids = batches.filter((b) => b.sequence === shape.sequence).map((b) => gridShape(b.rows));
    const sizes = new Map(grids.flatMap((grid) => (grid ? [[canonicalJson(grid), grid]] : [])));
    return { ...shape, grids: [...sizes.values()] };
  });
}

const bestPrefix = 'best.';
/** Within this time of being asked to end, a run should have left a checkpoint. */
const promptMs = 10_000;

function checkRows(rows: readonly Row[], spec: TrainSpec, maxPositions: number): void {
  const tooLong = rows.find((row) => row.tokens.length > maxPositions);
  if (tooLong)
    throw InvalidArgument.at(
      `rows.${tooLong.id}`,
      `expected at most ${maxPositions} tokens, got ${tooLong.tokens.length}`,
    );
  spec.stages.forEach(({ tasks }, i) => {
    if (!rows.some((row) => tasks.includes(row.task))) {
      const have = [...new Set(rows.map((row) => row.task))].join(', ');
      throw InvalidArgument.at(
        `stages[${i}].tasks`,
        `expected tasks that the rows have (${have}), got ${tasks.join(', ')}`,
      );
    }
  });
}

function bytesOf({ buffer, byteOffset, byteLength }: NodeJS.ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Of everything that decides the result: a checkpoint of another run must not be gone on from. */
function hashOf(
  model: Model,
  rows: readonly (readonly Row[])[],
  spec: TrainSpec,
  begins: 'anew' | 'from another',
): string {
  const hash = (row: Row) => [row.id, row.task, row.answerStart, sha256(bytesOf(row.tokens))];
  return sha256(
    canonicalJson({
      // What follows changes no number.
      spec: {
        ...spec,
        threads: 0,
        checkpointSeconds: 0,
        keepCheckpoints: 0,
        memoryLimitMiB: 0,
        recompute: 0,
      },
      config: model.config,
      weights: [...model.tensors].map(([name, tensor]) => [
        name,
        reading(tensor, ({ data }) => sha256(bytesOf(data))),
      ]),
      rows: rows.map((some) => some.map(hash)),
      begins,
    }),
  );
}

const beginning = {
  step: 0,
  tokens: 0,
  examples: 0,
  seconds: 0,
  cursor: { stage: 0, epoch: 0, index: 0, stageTokens: 0, epochTokens: 0 },
  pending: null,
  sinceValidation: 0,
  best: null,
  misses: 0,
  stageObjectives: [],
  stopped: null,
  updates: 0,
  before: { steps: 0, tokens: 0 },
};

/** Where a run begins that goes on from another one's end. */
function goneOn(origin: RunState, run: string): RunState {
  const { before, step, tokens, cursor, updates, lossScale, stageObjectives } = origin;
  return {
    ...structuredClone(beginning),
    ...{ run, cursor, updates, lossScale, stageObjectives },
    before: { steps: before.steps + step, tokens: before.tokens + tokens },
  };
}

/** @throws InvalidArgument naming what the checkpoint of another run does not have as this one needs it. */
function checkFits(
  found: ReadonlyMap<string, HostTensor>,
  wanted: ReadonlyMap<string, { readonly shape: readonly number[] }>,
): void {
  const shown = (tensor: { readonly shape: readonly number[] } | undefined) =>
    tensor ? `[${tensor.shape.join(', ')}]` : 'none';
  const names = new Set([...wanted.keys(), ...found.keys()]);
  const violations = [...names]
    .filter((name) => !name.startsWith(bestPrefix) && shown(found.get(name)) !== shown(wanted.get(name)))
    .map((name) => ({
      field: `startFrom.${name}`,
      description: `expected ${shown(wanted.get(name))}, got ${shown(found.get(name))}: the run before had another model, method or optimizer`,
    }));
  if (violations.length > 0) throw new InvalidArgument(violations);
}

/** Whether the loss is scaled: where weights are held in half precision. */
function holdsHalf({ method }: TrainSpec): boolean {
  return method.name === 'lora' && method.baseCompute === 'fp16';
}

/**
 * Trains, or goes on from the newest checkpoint of the same run.
 * @throws InvalidArgument, Diverged, Interrupted, ResourceExhausted: see `exitCodeOf`; LostOrigin.
 */
export async function train(
  model: Model,
  rows: { readonly train: readonly Row[]; readonly validation: readonly Row[] },
  spec: TrainSpec,
  hooks: TrainHooks = {},
): Promise<TrainResult> {
  const { config } = model;
  const { signal, checkpoints } = hooks;
  const maxPositions = longestRow(config);
  checkRows(rows.train, spec, maxPositions);
  checkMethods(spec, config, rows.train);
  const trainRows = spec.loss.regression.name === 'answer' ? rows.train : withCandidates(rows.train);
  const { startFrom } = hooks;
  const begins = startFrom === undefined ? 'anew' : 'from another';
  const run = hashOf(model, [rows.train, rows.validation], spec, begins);
  const found = checkpoints
    ? await loadCheckpoint(checkpoints, run, (folder, reason) =>
        hooks.onNotice?.(`${folder} is not used: ${reason}`),
      )
    : undefined;
  const origin = found || startFrom === undefined ? undefined : await loadOrigin(await startFrom());
  const state: RunState =
    found?.state ??
    (origin
      ? goneOn(origin.state, run)
      : {
          run,
          ...structuredClone(beginning),
          lossScale: holdsHalf(spec) ? { ...initialLossScale } : null,
        });
  const saved = [...(found?.tensors ?? [])].filter(([name]) => name.startsWith(bestPrefix));
  let bestWeights =
    saved.length > 0 ? new Map(saved.map(([name, t]) => [name.slice(bestPrefix.length), t])) : undefined;
  const { before } = state;
  const allTokens = spec.stages.reduce((n, stage) => n + stage.tokens, 0);
  const totalTokens = Math.max(0, Math.min(allTokens, spec.until ?? allTokens) - before.tokens);
  const packing = packingOf({ ...rows, train: trainRows }, spec, {
    width: config.hiddenSize,
    maxSequence: maxPositions,
  });
  // Rows of like length next to each other would leave gaps that they could not fill.
  const validation = packRows(Rng.of('validation').shuffle(rows.validation), packing);
  const plan = checkMemory(
    {
      ...{ config, spec, shapes: plannedShapes(trainRows, spec, packing) },
      ...{ validates: validation.length > 0, checkpoints: checkpoints !== undefined },
      keepsWeights: !hooks.takeWeights,
    },
    (spec.memoryLimitMiB ?? machineMemoryMiB()) * 2 ** 20,
  );
  const held = new Run(model, spec, hooks.profile);
  const { cursor } = state;
  let trained = 0;
  let trainingMs = 0;
  let savedAt = systemClock.now();
  let savingMs = 0;
  let warned = false;

  const checkpoint = async () => {
    const started = systemClock.now();
    if (checkpoints) {
      const tensors = held.everything();
      for (const [name, { shape, data }] of bestWeights ?? [])
        tensors.set(`${bestPrefix}${name}`, { shape, data: data as Float32Array });
      const folder = await saveCheckpoint(checkpoints, state, tensors, spec.keepCheckpoints);
      await hooks.onCheckpoint?.(folder);
    }
    savedAt = systemClock.now();
    savingMs = savedAt - started;
  };
  const interrupt = async (): Promise<never> => {
    await checkpoint();
    throw new Interrupted(state.step);
  };
  const stageEnded = () => cursor.stageTokens >= spec.stages[cursor.stage].tokens;
  const batchesNow = () => {
    const { stage, epoch, epochTokens } = cursor;
    return epochBatches(trainRows, spec, packing, { stage, epoch, stageTokens: epochTokens });
  };
  const partEnded = () => spec.until !== undefined && before.tokens + state.tokens >= spec.until;

  /** Validates, if it is time for that, and keeps the weights if they are the best. */
  const evaluate = async (): Promise<Validated & { forgetting?: Forgetting }> => {
    const measured = await held.validate(validation, { step: state.step, signal });
    if (!measured) return interrupt();
    const { objective, objectives } = measured;
    state.sinceValidation = 0;
    if (spec.until !== undefined || state.best === null || objective < state.best.objective) {
      state.best = { objective, tokens: state.tokens, step: state.step };
      state.misses = 0;
      for (const tensor of bestWeights?.values() ?? []) release(tensor);
      bestWeights = spec.until === undefined ? await held.keptTensors() : undefined;
    } else {
      state.misses++;
    }
    if (!stageEnded()) return measured;
    state.stageObjectives.push({ ...objectives });
    const forgetting = forgettingOf(state.stageObjectives, spec.stages);
    return { ...measured, ...(forgetting ? { forgetting } : {}) };
  };

  /** What follows a step: validation, the word to the outside, and whether to end or to write a checkpoint. */
  const conclude = async () => {
    const { everyTokens, patience } = spec.validation;
    const due = stageEnded() || partEnded() || (everyTokens > 0 && state.sinceValidation >= everyTokens);
    const measured = validation.length > 0 && due ? await evaluate() : {};
    const directive = await hooks.onMeasurement?.({
      step: state.step,
      tokens: state.tokens,
      examples: state.examples,
      totalTokens,
      seconds: state.seconds,
      stage: cursor.stage,
      ...state.pending!,
      ...measured,
    });
    state.pending = null;
    if (directive === 'stop') state.stopped = 'directive';
    if (patience > 0 && state.misses >= patience) state.stopped = 'patience';
    if (state.stopped === null)
      if (directive === 'checkpoint' || systemClock.now() - savedAt >= spec.checkpointSeconds * 1000)
        await checkpoint();
  };

  try {
    if (origin) checkFits(origin.tensors, held.everything());
    await held.begin((found ?? origin)?.tensors, hooks.takeWeights ?? false);
    if (state.pending) await conclude();
    // Of other batches than the origin's, the tokens tell how many there would have been.
    if (origin && cursor.stage < spec.stages.length)
      cursor.index = batchesIn(batchesNow(), cursor.stageTokens - cursor.epochTokens);
    while (cursor.stage < spec.stages.length && state.stopped === null && !partEnded()) {
      const batches = batchesNow();
      while (cursor.index < batches.length && !stageEnded() && !partEnded() && state.stopped === null) {
        if (signal?.aborted) await interrupt();
        const started = performance.now();
        const micros = batches.slice(cursor.index, cursor.index + spec.gradientAccumulation);
        const learningRate =
          spec.optimizer.learningRate *
          rateOf(spec.schedule, spec.stages, { ...cursor, tokens: before.tokens + state.tokens });
        const done = await held.step(micros, {
          step: before.steps + state.step + 1,
          update: state.updates + 1,
          rate: learningRate,
          scale: state.lossScale?.scale,
          signal,
        });
        if (!done) return await interrupt();
        const elapsed = performance.now() - started;
        trained += done.tokens;
        trainingMs += elapsed;
        state.step++;
        if (!done.skipped) state.updates++;
        if (state.lossScale) state.lossScale = nextLossScale(state.lossScale, !done.skipped);
        state.tokens += done.tokens;
        state.examples += micros.reduce((n, { rows: { length } }) => n + length, 0);
        state.seconds += elapsed / 1000;
        state.sinceValidation += done.tokens;
        cursor.index += micros.length;
        cursor.stageTokens += done.tokens;
        state.pending = { trainLoss: done.loss, learningRate, gradientNorm: done.norm };
        const waitMs = elapsed / micros.length + savingMs;
        if (waitMs > promptMs && !warned && trained > done.tokens) {
          warned = true;
          hooks.onNotice?.(
            `a micro-batch and a checkpoint take ${Math.round(waitMs / 1000)} s, and so does an interruption: fewer batchTokens and more gradientAccumulation make it prompt`,
          );
        }
        await conclude();
      }
      if (state.stopped !== null || partEnded()) break;
      if (stageEnded())
        Object.assign(cursor, {
          stage: cursor.stage + 1,
          epoch: 0,
          index: 0,
          stageTokens: 0,
          epochTokens: 0,
        });
      else Object.assign(cursor, { epoch: cursor.epoch + 1, index: 0, epochTokens: cursor.stageTokens });
    }
    await checkpoint();
    const tensors = bestWeights ?? (await held.keptTensors({ end: true }));
    for (const [name, { data }] of tensors)
      if (!(data as Float32Array).every(Number.isFinite)) throw new Diverged(state.step, name);
    return {
      tensors,
      best: state.best,
      step: state.step,
      tokens: state.tokens,
      examples: state.examples,
      seconds: state.seconds,
      tokensPerSecond: trainingMs > 0 ? (1000 * trained) / trainingMs : 0,
      stopped: state.stopped,
      forgetting: forgettingOf(state.stageObjectives, spec.stages) ?? null,
    };
  } catch (error) {
    throw withPlan(error, plan);
  } finally {
    await held.close();
  }
}
