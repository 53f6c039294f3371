/** What a run holds in its executor: weights, gradients, the optimizer's state; and what is done with them. */
import { Executor, FileTensor, type HostTensor, release } from '@emotune/engine';
import {
  frozenTensors,
  initialTrainable,
  lossGraph,
  type Model,
  mixedParameters,
  type Parameter,
  rateScaleOf,
  trainableParameters,
  type WrittenTensor,
} from '@emotune/models';
import { type Batch, feedsOf } from './batches.js';
import { Diverged, notFinite } from './failures.js';
import { gradientPass } from './gradient-pass.js';
import { Update } from './optimizers/update.js';
import { answersOf } from './packing.js';
import { Sessions } from './sessions.js';
import type { TrainSpec } from './spec.js';

function allFinite(tensor: HostTensor): boolean {
  return !(tensor.data instanceof Float32Array) || tensor.data.every(Number.isFinite);
}

export interface StepResult {
  /** Mean over the step's answer tokens, nats. */
  readonly loss: number;
  /** Of the gradient before clipping. */
  readonly norm: number;
  /** Padding not counted. */
  readonly tokens: number;
  /** Its scaled gradient was not finite: the weights are as they were. */
  readonly skipped: boolean;
}

export interface Validated {
  /** Mean over rows of the negative log-likelihood of the whole answer, nats. */
  readonly objective: number;
  /** The same over the rows of each task. */
  readonly objectives: Readonly<Record<string, number>>;
}

export class Run {
  private readonly executor: Executor;
  private readonly sessions: Sessions;
  private readonly trained: readonly Parameter[];
  private readonly names: readonly string[];
  private readonly update: Update;
  /** What graphs read from slots, frozen first; what lies in files was checked when it was loaded. */
  private weights: readonly string[] = [];

  constructor(
    private readonly model: Model,
    private readonly spec: TrainSpec,
    private readonly profile?: string,
  ) {
    this.executor = Executor.create({ threads: spec.threads, spin: true, profile });
    this.sessions = new Sessions(this.executor);
    const trained = trainableParameters(model.config, spec.method);
    this.trained = trained;
    this.names = trained.map(({ name }) => name);
    this.update = new Update(this.sessions, trained, spec, {
      rateScale: (name) => rateScaleOf(spec.method, name),
    });
  }

  /** Weights and the optimizer's state into slots, fresh or those of a checkpoint. */
  async begin(resumed: ReadonlyMap<string, HostTensor> | undefined, takeWeights: boolean): Promise<void> {
    const { model, spec, executor } = this;
    const trained = initialTrainable(model, spec.method, spec.seed);
    const frozen = frozenTensors(model, spec.method);
    if (spec.regularisation.mixout)
      for (const name of mixedParameters(model.config, spec.method))
        await executor.put(`pretrained.${name}`, model.tensors.get(name)!);
    const inSlots = [...frozen].filter(([, tensor]) => !(tensor instanceof FileTensor));
    this.weights = [...inSlots.map(([name]) => name), ...trained.keys()];
    for (const [name, tensor] of frozen) await executor.hold(name, tensor, { move: takeWeights });
    for (const [name, tensor] of trained)
      await executor.put(name, resumed?.get(name) ?? tensor, {
        move: takeWeights || resumed !== undefined,
        shared: this.update.sweeps,
      });
    // What the executor holds in another form is not needed as it was.
    if (takeWeights)
      for (const tensor of model.tensors.values()) if (!(tensor instanceof FileTensor)) release(tensor);
    await this.update.begin(resumed);
  }

  /**
   * One optimizer step over micro-batches, each weighted by its answer tokens: the gradient is that of one large batch.
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
      /** Of the weights, from 1: steps that were skipped do not count. */
      update: number;
      rate: number;
      /** Of the loss; undefined where it is not scaled. */
      scale: number | undefined;
      signal?: AbortSignal | undefined;
    },
  ): Promise<StepResult | undefined> {
    const answers = micros.map(({ rows }) => rows.reduce((n, row) => n + answersOf(row), 0));
    const all = Math.max(
      1,
      answers.reduce((a, b) => a + b, 0),
    );
    let [loss, tokens] = [0, 0];
    for (const [micro, batch] of micros.entries()) {
      if (signal?.aborted) return undefined;
      const share = answers[micro] / all;
      const place = { step, micro, share: share * (scale ?? 1), accumulate: micro > 0 };
      const passed = await gradientPass(this.sessions, this.model.config, this.spec, batch, place).catch(
        async (error) => {
          throw error instanceof Diverged ? await this.located(error) : error;
        },
      );
      loss += share * passed.loss;
      tokens += passed.tokens;
    }
    const norm = await this.update.norm();
    if (!Number.isFinite(norm)) {
      if (scale !== undefined && scale > 1) return { loss, norm: 0, tokens, skipped: true };
      throw new Diverged(step, (await this.firstBad('grad.')) ?? 'the norm of the gradient');
    }
    await this.update.apply({ update, rate, norm, scale: scale ?? 1 });
    return { loss, norm: norm / (scale ?? 1), tokens, skipped: false };
  }

  /** The first of these slots that is not finite. */
  private async firstBad(prefix: string, names = this.names): Promise<string | undefined> {
    for (const name of names) if (!allFinite(await this.executor.get(prefix + name))) return prefix + name;
    return undefined;
  }

  /** A loss that is no number because a weight is none is that weight's fault. */
  private async located(error: Diverged): Promise<Diverged> {
    if (error.what !== notFinite) return error;
    const bad = await this.firstBad('', this.weights);
    return new Diverged(error.step, bad ?? error.tensor);
  }

  /** Of the weights that are kept. Undefined when `signal` aborted before the last batch. @throws Diverged */
  async validate(
    batches: readonly Batch[],
    { step, signal }: { step: number; signal?: AbortSignal | undefined },
  ): Promise<Validated | undefined> {
    const totals = new Map<string, { nll: number; rows: number }>();
    const kept = new Map(this.names.map((name) => [name, this.keptSlot(name)]));
    for (const batch of batches) {
      if (signal?.aborted) return undefined;
      const { feeds, rowOfAnswer } = feedsOf(batch);
      const { answer_weight: _, ...asked } = feeds;
      const session = await this.sessions.of(`loss ${batch.batch}×${batch.sequence}×${batch.answers}`, () =>
        lossGraph(this.model.config, this.spec.method, batch),
      );
      const { nll } = await this.sessions.run(session, { feeds: asked, fetch: ['nll'] }, kept);
      for (const { task } of batch.rows) {
        const total = totals.get(task) ?? { nll: 0, rows: 0 };
        totals.set(task, { ...total, rows: total.rows + 1 });
      }
      rowOfAnswer.forEach((row, n) => {
        totals.get(batch.rows[row].task)!.nll += nll.data[n] as number;
      });
    }
    const all = [...totals.values()];
    const objective = all.reduce((n, { nll }) => n + nll, 0) / all.reduce((n, { rows }) => n + rows, 0);
    if (!Number.isFinite(objective)) throw await this.located(new Diverged(step, 'the validation objective'));
    return {
      objective,
      objectives: Object.fromEntries([...totals].map(([task, { nll, rows }]) => [task, nll / rows])),
    };
  }

  /** Where the weight lies that is validated and kept: its moving average, where there is one. */
  private keptSlot(name: string): string {
    return this.spec.ema === undefined ? name : `ema.${name}`;
  }

  /** The trained tensors as they would be kept now. With `end` they leave the executor instead of being copied. */
  async keptTensors({ end = false } = {}): Promise<Map<string, HostTensor>> {
    const tensors = new Map<string, HostTensor>();
    for (const name of this.names) {
      const slot = this.keptSlot(name);
      tensors.set(name, await (end ? this.executor.take(slot) : this.executor.get(slot)));
    }
    return tensors;
  }

  /** Everything that a checkpoint needs, read when it is written. */
  everything(): Map<string, WrittenTensor> {
    const { executor } = this;
    return new Map(
      [...this.trained, ...this.update.slots()].map(({ name, shape }) => [
        name,
        { shape, data: async () => (await executor.get(name)).data as Float32Array },
      ]),
    );
  }

  async close(): Promise<void> {
    if (this.profile !== undefined) await this.executor.endProfiling();
    await this.executor.close();
  }
}
