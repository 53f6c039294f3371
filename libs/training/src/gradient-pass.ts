/** How a batch becomes a gradient: which graph is run, how often, on what. */
import { type ModelConfig, trainableParameters, trainGraph } from '@emotune/models';
import { type Batch, feedsOf } from './batches.js';
import { Diverged } from './failures.js';
import type { Sessions } from './sessions.js';
import type { TrainSpec } from './spec.js';

/** Times the loss of a uniform guess: no model that can still learn is so wrong. */
const hopelessLoss = 10;

/**
 * The gradient of the batch's loss, left in the slots `grad.<name>`, and the mean loss of its answer tokens in nats.
 * @throws Diverged
 */
export async function gradientPass(
  sessions: Sessions,
  config: ModelConfig,
  spec: TrainSpec,
  batch: Batch,
  step: number,
): Promise<{ loss: number; tokens: number }> {
  const { feeds, tokens } = feedsOf(batch);
  const session = await sessions.of(`train ${batch.batch}×${batch.sequence}×${batch.answers}`, () =>
    trainGraph(config, spec.method, batch),
  );
  const gradients = trainableParameters(config, spec.method).map(({ name }) => `grad.${name}`);
  const { loss } = await sessions.run(session, {
    feeds,
    to: Object.fromEntries(gradients.map((name) => [name, name])),
    fetch: ['loss'],
  });
  const value = loss.data[0] as number;
  if (!Number.isFinite(value)) throw new Diverged(step, 'loss');
  if (value > hopelessLoss * Math.log(config.vocabSize))
    throw new Diverged(step, 'loss', `${value.toPrecision(3)} nats a token`);
  return { loss: value, tokens };
}
