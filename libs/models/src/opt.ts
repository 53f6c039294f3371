/** OPT (Zhang et al. 2022): learned positions (offset 2), ReLU; opt-350m normalises after and projects its embeddings. */
import { build as b, type Value } from '@emotune/graph';
import {
  attention,
  embed,
  layerNorm,
  type ModelInputs,
  maskBias,
  rowsOf,
  splitHeads,
  type Weights,
} from './blocks.js';
import type { OptConfig } from './config.js';
import { optPositionOffset } from './parameters.js';

const epsilon = 1e-5;
const biased = { bias: true };

/**
 * The last hidden states [N, E], E being the width of the embedding table, or [n, E] of the flat positions `rows` [n]
 * alone.
 */
export function opt(
  config: OptConfig,
  weights: Weights,
  { ids, positions, mask, cache, atEmbeddings }: ModelInputs,
  rows?: Value,
): Value {
  const [B, T] = ids.shape;
  const projected = config.embeddingSize !== config.hiddenSize;
  const tokens = embed(weights.get('model.decoder.embed_tokens.weight'), ids, atEmbeddings);
  const shifted = b.add(positions, b.constant(BigInt64Array.of(BigInt(optPositionOffset)), [1]));
  const bias = maskBias(mask);
  let x = b.add(
    projected ? weights.linear(tokens, 'model.decoder.project_in', { bias: false }) : tokens,
    embed(weights.get('model.decoder.embed_positions.weight'), shifted),
  );
  /** x + f(x), normalised before or after, at the rows that f answers. */
  const residual = (norm: string, f: (h: Value) => Value, asked?: Value) => {
    x = config.normBefore
      ? b.add(rowsOf(x, asked), f(layerNorm(weights, x, norm, epsilon)))
      : layerNorm(weights, b.add(rowsOf(x, asked), f(x)), norm, epsilon);
  };
  for (let i = 0; i < config.layers; i++) {
    x = b.boundary(x);
    const at = `model.decoder.layers.${i}`;
    const asked = i === config.layers - 1 ? rows : undefined;
    const attend = (h: Value) => {
      const paths = ['q_proj', 'k_proj', 'v_proj'].map((name) => `${at}.self_attn.${name}`);
      const [q, k, v] = weights
        .linears(h, paths, biased)
        .map((heads) => splitHeads(heads, B, T, config.heads));
      const mixed = attention(cache, i, q, k, v, bias);
      return weights.linear(rowsOf(mixed, asked), `${at}.self_attn.out_proj`, biased);
    };
    residual(`${at}.self_attn_layer_norm`, attend, asked);
    residual(`${at}.final_layer_norm`, (h) =>
      weights.linear(b.relu(weights.linear(h, `${at}.fc1`, biased)), `${at}.fc2`, biased),
    );
  }
  if (config.normBefore) x = layerNorm(weights, x, 'model.decoder.final_layer_norm', epsilon);
  return projected ? weights.linear(x, 'model.decoder.project_out', { bias: false }) : x;
}
