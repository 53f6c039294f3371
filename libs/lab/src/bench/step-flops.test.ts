import { type ModelConfig, modelParameters, parseConfig } from '@emotune/models';
import { describe, expect, it } from 'vitest';
import { linearProducts, stepFlops } from './step-flops.js';

const shared = { vocab_size: 50, hidden_size: 16, tie_word_embeddings: true };
const configs: ModelConfig[] = [
  { model_type: 'llama', num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 32 },
  { model_type: 'opt', num_hidden_layers: 2, num_attention_heads: 2, ffn_dim: 32 },
  { model_type: 'bloom', n_layer: 2, n_head: 2 },
].map((own) => parseConfig({ ...shared, ...own }));

/** Every token labelled, as if the last one had a successor. */
const shape = { batch: 3, sequence: 8, answers: 8 };
const tokens = 24;
const attention = 12 * 2 * 16 * 8 * tokens;

describe.each(configs.map((config) => [config.family, config] as const))('a step of %s', (_, config) => {
  const matrices = modelParameters(config)
    .filter(({ name, shape }) => shape.length === 2 && !name.includes('positions'))
    .reduce((sum, { shape: [rows, columns] }) => sum + rows * columns, 0);

  it('is 6 operations for each weight and token, and attention', () => {
    expect(stepFlops(config, { name: 'full' }, shape)).toBe(6 * matrices * tokens + attention);
  });

  it('is 4 of them with lora, and 6 for each weight of the adapters', () => {
    const rank = 4;
    // Σ (in + out) over the linear layers.
    const sides = linearProducts(config, shape)
      .filter(({ out }) => out !== config.vocabSize)
      .reduce((sum, { into, out, count }) => sum + count * (into + out), 0);
    expect(stepFlops(config, { name: 'lora', rank, alpha: 8 }, shape)).toBe(
      4 * matrices * tokens + attention + 6 * rank * sides * tokens,
    );
  });
});

it('counts the head for labelled tokens alone', () => {
  const [llama] = configs;
  const one = stepFlops(llama, { name: 'full' }, { ...shape, answers: 1 });
  const two = stepFlops(llama, { name: 'full' }, { ...shape, answers: 2 });
  expect(two - one).toBe(6 * 3 * 16 * 50);
});
