/**
 * The training loop: batches in, graphs run, state kept in the executor. It decides nothing about numbers: forward,
 * backward, clipping and AdamW are graphs (`@emotune/models`), batches and rates are pure functions beside this file.
 */
import { canonicalJson, InvalidArgument, sha256, systemClock } from '@emotune/base';
import { Executor, float32, type HostTensor, type Session } from '@emotune/engine';
import { initialLora, lossGraph, type Model, trainableParameters, updateGraph } from '@emotune/models';
import { type Batch, batchRows, epochBatches, feedsOf, planShapes, type Row } from './batches.js';
import { loadCheckpoint, type RunState, saveCheckpoint } from './checkpoint.js';
import { Diverged, Interrupted } from './failures.js';
import { gradientPass } from './gradient-pass.js';
import { rateAt } from './schedule.js';
import { Sessions } from './sessions.js';
import type { TrainSpec } from './spec.js';

/** What was measured after a step (or, with an objective, at a validation). */
export interface Measurement {
  readonly step: number;
  /** Tokens trained on, padding not counted. */
  readonly tokens: number;
  readonly totalTokens: number;
  readonly seconds: number;
  readonly stage: number;
  /** Mean over the batch's answer tokens, nats. */
  readonly trainLoss: number;
  readonly learningRate: number;
  /** The gradient's norm before clipping. */
  readonly gradientNorm: number;
  /** Mean over validation rows of the negative log-likelihood of the whole answer, nats. */
  readonly objective?: number;
  /** The same over the rows of each task, where there is an objective. */
  readonly objectives?: Readonly<Record<string, number>>;
}

export type Directive = 'continue' | 'checkpoint' | 'stop';

export interface TrainHooks {
  /** Called after every step; its answer is obeyed before the next. */
  readonly onMeasurement?: (measurement: Measurement) => Directive | Promise<Directive> | undefined;
  /** Something that the user should know: a damaged checkpoint was passed over. */
  readonly onNotice?: (text: string) => void;
  /** A folder for checkpoints; without it the run cannot resume. */
  readonly checkpoints?: string;
  /** Called with the folder of every checkpoint that was written, before the next step. */
  readonly onCheckpoint?: (folder: string) => Promise<void>;
  /** When it aborts, a checkpoint is written and the run ends with `Interrupted`. */
  readonly signal?: AbortSignal;
}

export interface TrainResult {
  /** The trained tensors at the best validation, or at the end where there is no validation. */
  readonly tensors: Map<string, HostTensor>;
  readonly best: { readonly objective: number; readonly tokens: number; readonly step: number } | null;
  readonly step: number;
  readonly tokens: number;
  /** Of this process, without validation and checkpoints. */
  readonly tokensPerSecond: number;
  /** Why it ended before its tokens were used up. */
  readonly stopped: 'patience' | 'directive' | null;
}

class Run {
  private readonly sessions: Sessions;
  private readonly names: readonly string[];
  private update!: Session;

  constructor(
    private readonly executor: Executor,
    private readonly model: Model,
    private readonly spec: TrainSpec,
  ) {
    this.sessions = new Sessions(executor);
    this.names = trainableParameters(model.config, spec.method).map(({ name }) => name);
  }

  /** Weights, zero moments (or those of a checkpoint) into slots, and the update compiled. */
  async begin(resumed: ReadonlyMap<string, HostTensor> | undefined): Promise<void> {
    const { model, spec, executor } = this;
    const fresh =
      spec.method.name === 'lora' ? initialLora(model.config, spec.method, spec.seed) : model.tensors;
    for (const [name, tensor] of model.tensors) await executor.put(name, tensor);
    for (const name of this.names) {
      const initial = fresh.get(name)!;
      const zero = float32(initial.shape, new Float32Array(initial.data.length));
      await executor.put(name, resumed?.get(name) ?? initial);
      await executor.put(`m.${name}`, resumed?.get(`m.${name}`) ?? zero);
      await executor.put(`v.${name}`, resumed?.get(`v.${name}`) ?? zero);
    }
    this.update = await executor.load(
      updateGraph(trainableParameters(model.config, spec.method), { ...spec.optimizer, decayVectors: false }),
    );
  }

  /** One optimizer step. @throws Diverged */
  async step(
    batch: Batch,
    step: number,
    rate: number,
  ): Promise<{ loss: number; norm: number; tokens: number }> {
    const { loss, tokens } = await gradientPass(this.sessions, this.model.config, this.spec, batch, {
      ...{ step, micro: 0, share: 1, accumulate: false },
    });
    const { beta1, beta2 } = this.spec.optimizer;
    const scalars = {
      rate: float32([], [rate]),
      correction1: float32([], [1 - beta1 ** step]),
      correction2: float32([], [1 - beta2 ** step]),
    };
    const { norm } = await this.sessions.run(this.update, {
      feeds: scalars,
      to: Object.fromEntries(this.state().map((name) => [`next.${name}`, name])),
      fetch: ['norm'],
    });
    const gradientNorm = norm.data[0] as number;
    if (!Number.isFinite(gradientNorm)) throw new Diverged(step, await this.firstBadGradient());
    return { loss, norm: gradientNorm, tokens };
  }

  private async firstBadGradient(): Promise<string> {
    for (const name of this.names.map((trained) => `grad.${trained}`)) {
      if (!((await this.executor.get(name)).data as Float32Array).every(Number.isFinite)) return name;
    }
    return 'the norm of the gradient';
  }

  /** Mean over rows of the answer's negative log-likelihood, nats: over all, and over those of each task. */
  async validate(
    batches: readonly Batch[],
  ): Promise<{ objective: number; objectives: Record<string, number> }> {
    const totals = new Map<string, { nll: number; rows: number }>();
    for (const batch of batches) {
      const { feeds, rowOfAnswer } = feedsOf(batch);
      const { answer_weight: _, ...asked } = feeds;
      const session = await this.sessions.of(`loss ${batch.batch}×${batch.sequence}×${batch.answers}`, () =>
        lossGraph(this.model.config, this.spec.method, batch),
      );
      const { nll } = await this.sessions.run(session, { feeds: asked, fetch: ['nll'] });
      for (const { task } of batch.rows) {
        const total = totals.get(task) ?? { nll: 0, rows: 0 };
        totals.set(task, { ...total, rows: total.rows + 1 });
      }
      rowOfAnswer.forEach((row, n) => {
        totals.get(batch.rows[row].task)!.nll += nll.data[n] as number;
      });
    }
    const all = [...totals.values()];
    return {
      objective: all.reduce((n, { nll }) => n + nll, 0) / all.reduce((n, { rows }) => n + rows, 0),
      objectives: Object.fromEntries([...totals].map(([task, { nll, rows }]) => [task, nll / rows])),
    };
  }

  private state(): string[] {
    return this.names.flatMap((name) => [name, `m.${name}`, `v.${name}`]);
  }

  private async read(names: readonly string[]): Promise<Map<string, HostTensor>> {
    const tensors = new Map<string, HostTensor>();
    for (const name of names) tensors.set(name, await this.executor.get(name));
    return tensors;
  }

  /** The trained tensors as they are now. */
  weights(): Promise<Map<string, HostTensor>> {
    return this.read(this.names);
  }

  /** Everything that a checkpoint needs. */
  everything(): Promise<Map<string, HostTensor>> {
    return this.read(this.state());
  }
}

const bestPrefix = 'best.';

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

/**
 * Trains, or goes on from the newest checkpoint of the same run.
 * @throws InvalidArgument, Diverged, Interrupted, ResourceExhausted: see `exitCodeOf`.
 */
export async function train(
  model: Model,
  rows: { readonly train: readonly Row[]; readonly validation: readonly Row[] },
  spec: TrainSpec,
  hooks: TrainHooks = {},
): Promise<TrainResult> {
  const { config } = model;
  checkRows(rows.train, spec, config.family === 'bloom' ? Number.POSITIVE_INFINITY : config.maxPositions);
  const runHash = sha256(
    canonicalJson({
      spec: { ...spec, threads: 0, checkpointSeconds: 0 },
      config,
      rows: [rows.train.map((r) => r.id), rows.validation.map((r) => r.id)],
    }),
  );
  const found = hooks.checkpoints
    ? await loadCheckpoint(hooks.checkpoints, runHash, (folder, reason) =>
        hooks.onNotice?.(`${folder} is not used: ${reason}`),
      )
    : undefined;
  const state: RunState = found?.state ?? {
    run: runHash,
    step: 0,
    tokens: 0,
    seconds: 0,
    cursor: { stage: 0, epoch: 0, index: 0, stageTokens: 0 },
    sinceValidation: 0,
    best: null,
    misses: 0,
  };
  const saved = [...(found?.tensors ?? [])].filter(([name]) => name.startsWith(bestPrefix));
  let bestWeights =
    saved.length > 0 ? new Map(saved.map(([name, t]) => [name.slice(bestPrefix.length), t])) : undefined;
  const totalTokens = spec.stages.reduce((n, stage) => n + stage.tokens, 0);
  const shapes = planShapes([...rows.train, ...rows.validation], spec.batchTokens, totalTokens);
  const validation = batchRows(
    [...rows.validation].sort((p, q) => p.tokens.length - q.tokens.length),
    shapes,
  );
  const executor = Executor.create({ threads: spec.threads });
  const run = new Run(executor, model, spec);
  let trained = 0;
  let trainingMs = 0;
  let savedAt = systemClock.now();
  let stopped: TrainResult['stopped'] = null;

  const checkpoint = async () => {
    savedAt = systemClock.now();
    if (!hooks.checkpoints) return;
    const tensors = await run.everything();
    for (const [name, t] of bestWeights ?? []) tensors.set(`${bestPrefix}${name}`, t);
    const folder = await saveCheckpoint(hooks.checkpoints, state, tensors);
    await hooks.onCheckpoint?.(folder);
  };
  const evaluate = async () => {
    const measured = await run.validate(validation);
    const { objective } = measured;
    state.sinceValidation = 0;
    if (state.best === null || objective < state.best.objective) {
      state.best = { objective, tokens: state.tokens, step: state.step };
      state.misses = 0;
      bestWeights = await run.weights();
    } else {
      state.misses++;
    }
    return measured;
  };

  try {
    await run.begin(found?.tensors);
    const { cursor } = state;
    stages: while (cursor.stage < spec.stages.length) {
      const batches = epochBatches(rows.train, spec, shapes, cursor.stage, cursor.epoch);
      while (cursor.index < batches.length && cursor.stageTokens < spec.stages[cursor.stage].tokens) {
        if (hooks.signal?.aborted) {
          await checkpoint();
          throw new Interrupted(state.step);
        }
        const started = performance.now();
        const learningRate = spec.optimizer.learningRate * rateAt(spec.schedule, state.tokens / totalTokens);
        const { loss, norm, tokens } = await run.step(batches[cursor.index], state.step + 1, learningRate);
        const elapsed = performance.now() - started;
        trained += tokens;
        trainingMs += elapsed;
        state.step++;
        state.tokens += tokens;
        state.seconds += elapsed / 1000;
        state.sinceValidation += tokens;
        cursor.index++;
        cursor.stageTokens += tokens;
        const stageEnds = cursor.stageTokens >= spec.stages[cursor.stage].tokens;
        const due =
          stageEnds ||
          (spec.validation.everyTokens > 0 && state.sinceValidation >= spec.validation.everyTokens);
        const measured = validation.length > 0 && due ? await evaluate() : {};
        const directive = await hooks.onMeasurement?.({
          step: state.step,
          tokens: state.tokens,
          totalTokens,
          seconds: state.seconds,
          stage: cursor.stage,
          trainLoss: loss,
          learningRate,
          gradientNorm: norm,
          ...measured,
        });
        if (directive === 'stop') stopped = 'directive';
        if (spec.validation.patience > 0 && state.misses >= spec.validation.patience) stopped = 'patience';
        if (stopped) break stages;
        if (directive === 'checkpoint' || systemClock.now() - savedAt >= spec.checkpointSeconds * 1000)
          await checkpoint();
      }
      const ended = cursor.stageTokens >= spec.stages[cursor.stage].tokens;
      if (ended) Object.assign(cursor, { stage: cursor.stage + 1, epoch: 0, index: 0, stageTokens: 0 });
      else Object.assign(cursor, { epoch: cursor.epoch + 1, index: 0 });
    }
    await checkpoint();
    return {
      tensors: bestWeights ?? (await run.weights()),
      best: state.best,
      step: state.step,
      tokens: state.tokens,
      tokensPerSecond: trainingMs > 0 ? (1000 * trained) / trainingMs : 0,
      stopped,
    };
  } finally {
    await executor.close();
  }
}
