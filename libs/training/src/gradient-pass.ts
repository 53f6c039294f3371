/** How a micro-batch becomes a gradient: which graph is run, how often, on what. */
import { float32, type HostTensor } from '@emotune/engine';
import { accumulateGraph, type ModelConfig, trainableParameters, trainGraph } from '@emotune/models';
import { type Batch, feedsOf } from './batches.js';
import { Diverged } from './failures.js';
import type { Sessions } from './sessions.js';
import type { TrainSpec } from './spec.js';

/** Times the loss of a uniform guess: no model that can still learn is so wrong. */
const hopelessLoss = 10;

export interface MicroBatch {
  /** Of the optimizer, from 1. With `micro` the name of every random draw. */
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

/**
 * `share` times the gradient of the micro-batch's loss, left in (or added to) the slots `grad.<name>`. `loss` is the mean
 * over its answer tokens, nats, without `share`.
 * @throws Diverged
 */
export async function gradientPass(
  sessions: Sessions,
  config: ModelConfig,
  spec: TrainSpec,
  batch: Batch,
  { step, share, accumulate }: MicroBatch,
): Promise<{ loss: number; tokens: number }> {
  const { feeds, tokens } = feedsOf(batch);
  const session = await sessions.of(`train ${batch.batch}×${batch.sequence}×${batch.answers}`, () =>
    trainGraph(config, spec.method, batch),
  );
  const trained = trainableParameters(config, spec.method);
  const target = accumulate ? 'part' : 'grad';
  const { loss } = await sessions.run(session, {
    feeds: { ...feeds, answer_weight: scaled(feeds['answer_weight'], share) },
    to: Object.fromEntries(trained.map(({ name }) => [`grad.${name}`, `${target}.${name}`])),
    fetch: ['loss'],
  });
  if (accumulate) {
    const sum = await sessions.of('accumulate', () => accumulateGraph(trained));
    await sessions.run(sum, {
      feeds: {},
      to: Object.fromEntries(trained.map(({ name }) => [`next.${name}`, `grad.${name}`])),
      fetch: [],
    });
  }
  const value = (loss.data[0] as number) / share;
  if (!Number.isFinite(value)) throw new Diverged(step, 'loss');
  if (value > hopelessLoss * Math.log(config.vocabSize))
    throw new Diverged(step, 'loss', `${value.toPrecision(3)} nats a token`);
  return { loss: value, tokens };
}
