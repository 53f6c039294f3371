/** What a run holds in its executor: weights, gradients, the optimizer's state; and what is done with them. */
import { type Executor, FileTensor, float32, type HostTensor, release } from '@emotune/engine';
import { sizeOf } from '@emotune/graph';
import {
  frozenTensors,
  initialTrainable,
  lossGraph,
  type Model,
  mixedParameters,
  type Parameter,
  rateScaleOf,
  slotNames,
  trainableParameters,
  type WrittenTensor,
} from '@emotune/models';
import { type Batch, feedsOf } from './batches.js';
import { bytesOf } from './bytes.js';
import type { Checkpoint, Saved } from './checkpoint.js';
import { Diverged, notFinite } from './failures.js';
import { gradientPass } from './gradient-pass.js';
import type { Validated } from './measurement.js';
import { Update } from './optimizers/update.js';
import { answersOf } from './packing.js';
import { alone, type Exchange } from './ranks/exchange.js';
import { sumGradients } from './ranks/sum-gradients.js';
import { Sessions } from './sessions.js';
import type { TrainSpec } from './spec.js';
import { distillationFeeds, distillationLosses } from './teacher-answers.js';

function allFinite(tensor: HostTensor): boolean {
  return !(tensor.data instanceof Float32Array) || tensor.data.every(Number.isFinite);
}

export interface StepResult {
  /** Mean over the step's answer tokens, nats. */
  readonly loss: number;
  /** The global norm of the gradient before clipping. */
  readonly norm: number;
  /** Padding not counted. */
  readonly tokens: number;
  /** Its scaled gradient was not finite: the weights are as they were. */
  readonly skipped: boolean;
}

export class Run {
  private readonly sessions: Sessions;
  private readonly trained: readonly Parameter[];
  private readonly names: readonly string[];
  private readonly update: Update;
  /** What graphs read from slots, frozen first; what lies in files was checked when it was loaded. */
  private weights: readonly string[] = [];
  private best: Map<string, HostTensor> | undefined;

  constructor(
    private readonly executor: Executor,
    private readonly model: Model,
    private readonly spec: TrainSpec,
    private readonly exchange: Exchange = alone,
  ) {
    this.sessions = new Sessions(executor);
    const trained = trainableParameters(model.config, spec.method);
    this.trained = trained;
    this.names = trained.map(({ name }) => name);
    this.update = new Update(this.sessions, trained, spec, {
      rateScale: (name) => rateScaleOf(spec.method, name),
    });
  }

  /** Weights and the optimizer's state into slots, fresh or those of a checkpoint. */
  async begin(
    { tensors: resumed, best }: Partial<Omit<Checkpoint, 'state'>>,
    takeWeights: boolean,
  ): Promise<void> {
    const { model, spec, executor } = this;
    this.best = best;
    const trained = initialTrainable(model, spec.method, spec.seed);
    const frozen = frozenTensors(model, spec.method);
    if (spec.regularisation.mixout)
      for (const name of mixedParameters(model.config, spec.method))
        await executor.put(slotNames.pretrained(name), model.tensors.get(name)!);
    const inSlots = [...frozen].filter(([, tensor]) => !(tensor instanceof FileTensor));
    this.weights = [...inSlots.map(([name]) => name), ...trained.keys()];
    for (const [name, tensor] of frozen) await executor.hold(name, tensor, { move: takeWeights });
    for (const [name, tensor] of trained)
      await executor.put(name, resumed?.get(name) ?? tensor, {
        move: takeWeights || resumed !== undefined,
        swept: this.update.sweeps,
      });
    // What the executor holds in another form is not needed as it was.
    if (takeWeights)
      for (const tensor of model.tensors.values()) if (!(tensor instanceof FileTensor)) release(tensor);
    await this.update.begin(resumed);
  }

  /**
   * One optimizer step over micro-batches, each weighted by its answer tokens: the gradient is that of one large batch, of which
   * every rank computes its share of the micro-batches.
   * Undefined, with the weights as they were, when `signal` aborted before the last micro-batch began.
   * @throws Diverged
   */
  async step(
    micros: readonly Batch[],
    {
      step,
      update,
      rate,
      scale,
      signal,
    }: {
      step: number;
      /** The number of the change of the weights, from 1: steps that were skipped do not count. */
      update: number;
      rate: number;
      /** The factor that the loss is scaled by; undefined where it is not. */
      scale: number | undefined;
      signal?: AbortSignal | undefined;
    },
  ): Promise<StepResult | undefined> {
    const answers = micros.map(({ rows }) => rows.reduce((n, row) => n + answersOf(row), 0));
    const all = Math.max(
      1,
      answers.reduce((a, b) => a + b, 0),
    );
    const { rank, ranks } = this.exchange;
    let [loss, tokens] = [0, 0];
    for (const [micro, batch] of micros.entries()) {
      if (signal?.aborted) return undefined;
      if (micro % ranks !== rank) continue;
      const share = answers[micro] / all;
      const place = { step, micro, share: share * (scale ?? 1), accumulate: micro >= ranks };
      const passed = await gradientPass(this.sessions, this.model.config, this.spec, batch, place).catch(
        async (error) => {
          throw error instanceof Diverged ? await this.located(error) : error;
        },
      );
      loss += share * passed.loss;
      tokens += passed.tokens;
    }
    if (ranks > 1) {
      if (micros.length <= rank) await this.withoutGradient();
      const { trained, update, exchange } = this;
      await sumGradients(this.executor, trained, exchange, { swept: update.sweeps });
      const totals = Float64Array.of(loss, tokens);
      await exchange.sum(totals);
      [loss, tokens] = totals;
    }
    const norm = await this.update.norm();
    if (!Number.isFinite(norm)) {
      if (scale !== undefined && scale > 1) return { loss, norm: 0, tokens, skipped: true };
      throw new Diverged(
        step,
        (await this.firstBad(this.names.map(slotNames.gradient))) ?? 'the norm of the gradient',
      );
    }
    await this.update.apply({ update, rate, norm, scale: scale ?? 1 });
    return { loss, norm: norm / (scale ?? 1), tokens, skipped: false };
  }

  /** Of a rank that a short step has no micro-batch for. */
  private async withoutGradient(): Promise<void> {
    for (const { name, shape } of this.trained) {
      const nothing = float32(shape, new Float32Array(sizeOf(shape)));
      await this.executor.put(slotNames.gradient(name), nothing, { move: true, swept: this.update.sweeps });
    }
  }

  /** The first of these slots that is not finite. */
  private async firstBad(slots: readonly string[]): Promise<string | undefined> {
    for (const slot of slots) if (!allFinite(await this.executor.get(slot))) return slot;
    return undefined;
  }

  /** A loss that is no number because a weight is none is that weight's fault. */
  private async located(error: Diverged): Promise<Diverged> {
    if (error.what !== notFinite) return error;
    const bad = await this.firstBad(this.weights);
    return new Diverged(error.step, bad ?? error.tensor);
  }

  /** Measures the weights that are kept. Undefined when `signal` aborted before the last batch. @throws Diverged */
  async validate(
    batches: readonly Batch[],
    { step, signal }: { step: number; signal?: AbortSignal | undefined },
  ): Promise<Validated | undefined> {
    const totals = new Map<string, { nll: number; rows: number }>();
    const kept = new Map(this.names.map((name) => [name, this.keptSlot(name)]));
    const { rank, ranks } = this.exchange;
    for (const [i, batch] of batches.entries()) {
      if (signal?.aborted) return undefined;
      const losses = i % ranks === rank ? await this.losses(batch, kept) : undefined;
      batch.rows.forEach(({ task }, row) => {
        const { nll, rows } = totals.get(task) ?? { nll: 0, rows: 0 };
        totals.set(task, { nll: nll + (losses?.[row] ?? 0), rows: rows + 1 });
      });
    }
    const sums = Float64Array.from(totals.values(), ({ nll }) => nll);
    await this.exchange.sum(sums);
    for (const [i, [task, { rows }]] of [...totals].entries()) totals.set(task, { nll: sums[i], rows });
    const all = [...totals.values()];
    const objective = all.reduce((n, { nll }) => n + nll, 0) / all.reduce((n, { rows }) => n + rows, 0);
    if (!Number.isFinite(objective)) throw await this.located(new Diverged(step, 'the validation objective'));
    return {
      objective,
      objectives: Object.fromEntries([...totals].map(([task, { nll, rows }]) => [task, nll / rows])),
    };
  }

  /** Of each row the negative log-likelihood of its answer, or what `distillationLosses` says. */
  private async losses(batch: Batch, kept: ReadonlyMap<string, string>): Promise<readonly number[]> {
    const { distillation, method } = this.spec;
    const { config } = this.model;
    const given = feedsOf(batch);
    const taught = distillation && distillationFeeds(batch, given, config.vocabSize, distillation);
    const grid = taught?.grid && { ...taught.grid.shape, loss: { temperature: distillation!.temperature } };
    const { batch: lines, sequence, answers } = batch;
    const program = await this.sessions.of(`loss ${JSON.stringify([lines, sequence, answers, grid])}`, () =>
      lossGraph(config, method, batch, { grid }),
    );
    const fed = Object.entries({ ...given.feeds, ...taught?.grid?.feeds });
    const feeds = Object.fromEntries(fed.filter(([name]) => name in program.inputs));
    const { nll, candidates } = await this.sessions.run(
      program,
      { feeds, fetch: ['nll', ...(grid ? ['candidates'] : [])] },
      kept,
    );
    const measured = {
      nll: nll.data as Float32Array,
      candidates: (candidates?.data ?? new Float32Array()) as Float32Array,
    };
    if (distillation) return distillationLosses(batch, given, measured, distillation);
    const losses = new Array<number>(batch.rows.length).fill(0);
    given.rowOfAnswer.forEach((row, n) => {
      losses[row] += measured.nll[n];
    });
    return losses;
  }

  /** Where the weight lies that is validated and kept: its moving average, where there is one. */
  private keptSlot(name: string): string {
    return this.spec.ema === undefined ? name : slotNames.average(name);
  }

  /** Keeps the trained tensors as they are now, in place of those kept before. */
  async keepBest(): Promise<void> {
    for (const tensor of this.best?.values() ?? []) release(tensor);
    this.best = await this.kept((slot) => this.executor.get(slot));
  }

  /** The tensors that were kept as the best, or those of now, which then leave the executor. @throws Diverged */
  async result(step: number): Promise<Map<string, HostTensor>> {
    const tensors = this.best ?? (await this.kept((slot) => this.executor.take(slot)));
    for (const [name, tensor] of tensors) if (!allFinite(tensor)) throw new Diverged(step, name);
    return tensors;
  }

  private async kept(read: (slot: string) => Promise<HostTensor>): Promise<Map<string, HostTensor>> {
    const tensors = new Map<string, HostTensor>();
    for (const name of this.names) tensors.set(name, await read(this.keptSlot(name)));
    return tensors;
  }

  /** Every rank has what rank 0 has. */
  async takeOver(): Promise<void> {
    const { exchange, executor } = this;
    for (const [name, { shape, data }] of this.saved().tensors) {
      const own = async () => bytesOf(typeof data === 'function' ? await data() : data);
      const said = exchange.rank === 0 ? await own() : undefined;
      const heard = await exchange.share(said);
      if (exchange.rank > 0)
        await executor.put(name, float32(shape, new Float32Array(new Uint8Array(heard).buffer)), {
          move: true,
          swept: this.update.sweeps,
        });
    }
  }

  /** What a checkpoint needs, read when it is written. */
  saved(): Saved {
    const { executor, best } = this;
    const tensors = [...this.trained, ...this.update.slots()].map(
      ({ name, shape }): [string, WrittenTensor] => [
        name,
        { shape, data: async () => (await executor.get(name)).data as Float32Array },
      ],
    );
    return { tensors: new Map(tensors), best };
  }
}
