/** How a micro-batch becomes a gradient: which graphs are run, how often, on what. */
import { Rng } from '@emotune/base';
import { bool, float32, type HostTensor, type Program } from '@emotune/engine';
import {
  ascentGraph,
  type ModelConfig,
  maskKind,
  referenceGraph,
  type StepOptions,
  slotNames,
  trainableParameters,
  trainGraph,
} from '@emotune/models';
import { type Batch, type Feeds, feedsOf } from './batches.js';
import { gridFeeds } from './candidate-rows.js';
import { Diverged } from './failures.js';
import { digitFeeds, ordinalTarget } from './number-answers.js';
import { addParts } from './optimizers/update.js';
import { answersOf } from './packing.js';
import type { Pass, RunOptions } from './regularisers/method.js';
import { perturbationOf } from './regularisers/methods.js';
import { maskingOf } from './regularisers/settings.js';
import { Stream } from './regularisers/stream.js';
import type { Sessions } from './sessions.js';
import type { TrainSpec } from './spec.js';
import { distillationFeeds } from './teacher-answers.js';

/** Times the loss of a uniform guess: no model that can still learn is so wrong. */
const hopelessLoss = 10;

export interface MicroBatch {
  /** The step of the optimizer, from 1. With `micro` the name of every random draw. */
  readonly step: number;
  /** Place of the micro-batch in its step, from 0. */
  readonly micro: number;
  /** Its answer tokens as a share of the step's, so that the sum is the gradient of the step's mean; times the loss scale, where there is one. */
  readonly share: number;
  /** Add to the gradients in the slots, instead of taking their place. */
  readonly accumulate: boolean;
}

function scaled({ shape, data }: HostTensor, factor: number): HostTensor {
  return float32(
    shape,
    (data as Float32Array).map((x) => x * factor),
  );
}

/** What the losses of the spec add to a batch's feeds and graphs. Weights are means over its answer tokens, as the answers' are. */
function lossOf(
  { loss, regularisation, recompute, distillation }: TrainSpec,
  { vocabSize }: ModelConfig,
  batch: Batch,
  feeds: Feeds,
): { options: StepOptions; feeds: Record<string, HostTensor> } {
  const { numberTokens, regression, labelSmoothing } = loss;
  const options: StepOptions = { labelSmoothing, recompute, ...maskingOf(regularisation) };
  const all = { ...feeds.feeds };
  if (distillation) {
    const { grid, answerWeight } = distillationFeeds(batch, feeds, vocabSize, distillation);
    const { temperature } = distillation;
    return {
      options: { ...options, ...(grid ? { grid: { ...grid.shape, loss: { temperature } } } : {}) },
      feeds: { ...all, ...grid?.feeds, answer_weight: answerWeight },
    };
  }
  if (numberTokens) {
    const signed = numberTokens.distance === 'squared';
    const digits = digitFeeds(batch, feeds, vocabSize, { signed, weight: numberTokens.weight });
    return {
      options: { ...options, digits: { ...digits.shape, squared: signed } },
      feeds: { ...all, ...digits.feeds },
    };
  }
  if (regression.name === 'answer') return { options, feeds: all };
  // A row counts as much as its answer tokens did.
  const weights = batch.rows.map((row) => (regression.weight * answersOf(row)) / feeds.rowOfAnswer.length);
  const grid = gridFeeds(
    batch,
    vocabSize,
    ({ number }) =>
      regression.name === 'ordinal'
        ? ordinalTarget(number!, regression.deviation)
        : number!.choices.values.map((value) => value - number!.value),
    weights,
  );
  if (!grid) return { options, feeds: all };
  const weight = (all['answer_weight'].data as Float32Array).slice();
  feeds.rowOfAnswer.forEach((r, n) => {
    if (batch.rows[r].number) weight[n] *= regression.answerWeight;
  });
  return {
    options: {
      ...options,
      grid: { ...grid.shape, loss: regression.name === 'ordinal' ? 'crossEntropy' : 'squaredError' },
    },
    feeds: { ...all, ...grid.feeds, answer_weight: float32([weight.length], weight) },
  };
}

const deltaGradientName = slotNames.gradient('delta');

/** Where the run lies that this one is to be consistent with, if with any. */
function referenceSlot({ consistency }: RunOptions): Map<string, string> {
  return new Map(consistency ? [['reference', slotNames.reference(consistency.with)]] : []);
}

/** The feeds that weigh losses. */
const weightNames = ['answer_weight', 'mix_weight', 'digit_weight', 'candidate_weight'];

class MicroPass implements Pass {
  readonly feeds: Feeds;
  readonly extent: Pass['extent'];
  private readonly options: StepOptions;
  private readonly own: Record<string, HostTensor>;
  private readonly key: string;
  /** Width of the token embeddings. */
  private readonly width: number;
  private fresh: boolean;

  constructor(
    private readonly sessions: Sessions,
    private readonly config: ModelConfig,
    private readonly spec: TrainSpec,
    readonly batch: Batch,
    private readonly place: MicroBatch,
  ) {
    this.feeds = feedsOf(batch);
    const { perturbation } = spec.regularisation;
    const { options, feeds } = lossOf(spec, config, batch, this.feeds);
    this.options = { ...options, ...(perturbation ? perturbationOf(perturbation).needs : {}) };
    this.own = feeds;
    this.key = JSON.stringify([batch.batch, batch.sequence, batch.answers, this.options]);
    this.width = config.family === 'opt' ? config.embeddingSize : config.hiddenSize;
    this.extent = {
      tokens: batch.batch * batch.sequence,
      width: this.width,
      spans: batch.rows.map(({ tokens }, r) => ({ start: batch.starts[r], length: tokens.length })),
    };
    this.fresh = !place.accumulate;
  }

  random(name: string): Rng {
    const { step, micro } = this.place;
    return Rng.of(this.spec.seed, name, step, micro);
  }

  /** Everything that a graph of this micro-batch reads and no slot holds. */
  private feedsFor(
    program: Program,
    { delta, answers = 1, consistency, draw = 0, feeds }: RunOptions,
    share = this.place.share,
  ): Record<string, HostTensor> {
    const fed: Record<string, HostTensor> = { ...this.own, ...feeds };
    for (const name of weightNames) if (fed[name]) fed[name] = scaled(fed[name], share * answers);
    const { inputs } = program;
    if ('delta' in inputs) {
      const { tokens } = this.extent;
      fed['delta'] = float32([tokens, this.width], delta ?? new Float32Array(tokens * this.width));
    }
    if ('consistency_weight' in inputs) {
      const weight = new Float32Array(this.batch.answers);
      const asked = this.feeds.rowOfAnswer.length;
      if (consistency) weight.fill((share * consistency.weight) / asked, 0, asked);
      fed['consistency_weight'] = float32([weight.length], weight);
    }
    const { dropout, mixout } = this.spec.regularisation;
    for (const [name, { shape }] of Object.entries(inputs)) {
      const kind = maskKind(name);
      if (!kind) continue;
      const stream = Stream.of(this.random('mask').child(name, draw));
      const kept = new Uint8Array(shape.reduce((n, d) => n * d, 1));
      fed[name] = bool(shape, stream.kept(kept, kind === 'mixout' ? mixout!.rate : dropout[kind]));
    }
    return Object.fromEntries(Object.entries(fed).filter(([name]) => name in inputs));
  }

  async learn(
    options: RunOptions & { remember?: string } = {},
  ): Promise<{ loss: number; deltaGradient: Float32Array }> {
    const { sessions, config, spec, place } = this;
    const program = await sessions.of(
      `train ${this.key}`,
      () => trainGraph(config, spec.method, this.batch, this.options),
      // Sizes of tries differ between batches, and each size would keep a batch's memory.
      { runs: this.options.grid === undefined ? 'often' : 'seldom' },
    );
    const trained = trainableParameters(config, spec.method);
    const target = this.fresh ? slotNames.gradient : slotNames.part;
    const { remember, answers = 1 } = options;
    const { loss, [deltaGradientName]: deltaGradient } = await sessions.run(
      program,
      {
        feeds: this.feedsFor(program, options),
        to: Object.fromEntries([
          ...trained.map(({ name }) => [slotNames.gradient(name), target(name)]),
          ...(remember ? [['log_probabilities', slotNames.reference(remember)]] : []),
        ]),
        fetch: ['loss', ...(this.options.delta ? [deltaGradientName] : [])],
      },
      referenceSlot(options),
    );
    if (!this.fresh) await addParts(sessions, trained);
    this.fresh = false;
    const weight = place.share * answers;
    const mean = weight > 0 ? (loss.data[0] as number) / weight : 0;
    if (!Number.isFinite(mean)) throw new Diverged(place.step, 'loss');
    return { loss: mean, deltaGradient: (deltaGradient?.data as Float32Array) ?? new Float32Array() };
  }

  async ascend(options: RunOptions): Promise<Float32Array> {
    const program = await this.sessions.of(`ascent ${this.key}`, () =>
      ascentGraph(this.config, this.spec.method, this.batch, this.options),
    );
    const { [deltaGradientName]: gradient } = await this.sessions.run(
      program,
      { feeds: this.feedsFor(program, options, 1), fetch: [deltaGradientName] },
      referenceSlot(options),
    );
    return gradient.data as Float32Array;
  }

  async remember(name: string, options: RunOptions & { average?: boolean } = {}): Promise<void> {
    const { sessions, config, spec } = this;
    const program = await sessions.of(`reference ${this.key}`, () =>
      referenceGraph(config, spec.method, this.batch, this.options),
    );
    const averaged = options.average ? trainableParameters(config, spec.method) : [];
    await sessions.run(
      program,
      {
        feeds: this.feedsFor(program, options),
        to: { log_probabilities: slotNames.reference(name) },
        fetch: [],
      },
      new Map(averaged.map((trained) => [trained.name, slotNames.average(trained.name)])),
    );
  }
}

/**
 * `share` times the gradient of the micro-batch's objective, left in (or added to) the slots of gradients. `loss` is that of
 * its answers, a mean over their tokens, nats, without `share`. Reads the slots of
 * pretrained weights for mixout, and of averages for SMART's proximal term.
 * @throws Diverged
 */
export async function gradientPass(
  sessions: Sessions,
  config: ModelConfig,
  spec: TrainSpec,
  batch: Batch,
  place: MicroBatch,
): Promise<{ loss: number; tokens: number }> {
  const pass = new MicroPass(sessions, config, spec, batch, place);
  const { perturbation } = spec.regularisation;
  const loss = perturbation
    ? await perturbationOf(perturbation).pass(pass, perturbation)
    : (await pass.learn()).loss;
  if (loss > hopelessLoss * Math.log(config.vocabSize))
    throw new Diverged(place.step, 'loss', `${loss.toPrecision(3)} nats a token`);
  return { loss, tokens: pass.feeds.tokens };
}
