/** Cases that no fixture has, against what transformers 5.23.0 (torch 2.15.0, eager attention) gave for the same weights. */
import { bool, type Executor, float32, int64, OnnxExecutor } from '@emotune/engine';
import { expect, it } from 'vitest';
import { modelInputs } from './blocks.js';
import { type ModelConfig, parseConfig } from './config.js';
import { GraphWeights, hiddenStates, logitsOf } from './model.js';
import { modelParameters } from './parameters.js';
import { trainGraph } from './train-graph.js';

const tokens = [5, 3, 6, 1];
const T = tokens.length;
const ids = { vocab_size: 7, bos_token_id: 1, eos_token_id: 2, pad_token_id: 3 };
const feeds = {
  input_ids: int64([1, T], tokens),
  positions: int64([1, T], [0, 1, 2, 3]),
  mask: bool(
    [1, 1, T, T],
    Uint8Array.from({ length: T * T }, (_, i) => (i % T <= Math.floor(i / T) ? 1 : 0)),
  ),
};

/** 0.3·sin(0.7·i + length of the name), and 1 more for the weights of norms. */
async function withWeights<T>(config: ModelConfig, use: (executor: Executor) => Promise<T>): Promise<T> {
  const executor = OnnxExecutor.create();
  try {
    for (const { name, shape } of modelParameters(config)) {
      const base = /(norm|ln_f).*weight$/.test(name) ? 1 : 0;
      const length = shape.reduce((n, d) => n * d, 1);
      const data = Float32Array.from({ length }, (_, i) => base + 0.3 * Math.sin(0.7 * i + name.length));
      await executor.put(name, float32(shape, data));
    }
    return await use(executor);
  } finally {
    await executor.close();
  }
}

it('BLOOM starts its residuals from the normalised input where its config says so', async () => {
  const config = parseConfig({
    model_type: 'bloom',
    ...ids,
    hidden_size: 6,
    n_layer: 2,
    n_head: 3,
    apply_residual_connection_post_layernorm: true,
  });
  const logits = await withWeights(config, async (executor) => {
    const weights = new GraphWeights(config, { name: 'full' });
    const program = await executor.compile({
      logits: logitsOf(weights, hiddenStates(config, weights, modelInputs(1, T))),
    });
    const from = Object.fromEntries(modelParameters(config).map(({ name }) => [name, name]));
    return (await executor.run(program, { feeds, from, fetch: ['logits'] }))['logits'].data as Float32Array;
  });
  const want = [0.078871, 0.729163, -0.793832, 0.049206, 0.745584, -0.780267, 0.019485];
  // Six decimals were written down.
  want.forEach((v, i) => void expect(logits[3 * 7 + i]).toBeCloseTo(v, 5));
});

it('the row of the padding token learns nothing from being looked up', async () => {
  const config = parseConfig({
    model_type: 'llama',
    ...ids,
    hidden_size: 4,
    intermediate_size: 6,
    num_hidden_layers: 1,
    num_attention_heads: 2,
  });
  const results = await withWeights(config, async (executor) => {
    const program = await executor.compile(
      trainGraph(config, { name: 'full' }, { batch: 1, sequence: T, answers: 3 }),
    );
    return executor.run(program, {
      feeds: {
        ...feeds,
        answer_index: int64([3], [0, 1, 2]),
        answer_target: int64([3], tokens.slice(1)),
        answer_weight: float32([3], new Float32Array(3).fill(1 / 3)),
      },
      from: Object.fromEntries(modelParameters(config).map(({ name }) => [name, name])),
      fetch: ['loss', 'grad.model.embed_tokens.weight'],
    });
  });
  expect(results['loss'].data[0]).toBeCloseTo(2.2200424671173096, 5);
  const gradient = results['grad.model.embed_tokens.weight'].data as Float32Array;
  const want = [
    ...new Array(20).fill(0),
    -0.152999,
    0.277454,
    0.226465,
    0.209876,
    0.152305,
    0.004039,
    0.045762,
    0.016704,
  ];
  want.forEach((v, i) => void expect(gradient[i]).toBeCloseTo(v, 5));
});
