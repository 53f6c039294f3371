/** BLOOM (Le Scao et al. 2022): ALiBi (Press et al. 2022), normalised embeddings, query, key and value interleaved by head. */
import { build as b, type Value } from '@emotune/graph';
import { attention, embed, layerNorm, type ModelInputs, maskBias, rowsOf, type Weights } from './blocks.js';
import type { BloomConfig } from './config.js';

const biased = { bias: true };

/** One slope per head: a geometric sequence; head counts that are no power of two take every other one of the next. */
function alibiSlopes(heads: number): Float32Array {
  const power = 2 ** Math.floor(Math.log2(heads));
  const slope = (n: number, i: number) => 2 ** (-(8 / n) * i);
  return Float32Array.from({ length: heads }, (_, i) =>
    i < power ? slope(power, i + 1) : slope(2 * power, 2 * (i - power) + 1),
  );
}

/** The last hidden states [N, H], or [n, H] of the flat positions `rows` [n] alone. */
export function bloom(
  config: BloomConfig,
  weights: Weights,
  { ids, positions, mask, cache, atEmbeddings }: ModelInputs,
  rows?: Value,
): Value {
  const [B, T] = ids.shape;
  const { heads, hiddenSize: H, normEpsilon, residualAfterNorm } = config;
  // slope · position of the key; what depends on the query alone cancels in the softmax.
  const slopes = b.constant(alibiSlopes(heads), [1, heads, 1, 1]);
  const keyPositions = cache?.pastPositions ? b.concat([cache.pastPositions, positions], 1) : positions;
  const alibi = b.mul(slopes, b.toFloat(b.reshape(keyPositions, [B, 1, 1, keyPositions.shape[1]])));
  const bias = b.add(alibi, maskBias(mask));
  const table = weights.get('transformer.word_embeddings.weight');
  let x = layerNorm(
    weights,
    embed(table, ids, atEmbeddings),
    'transformer.word_embeddings_layernorm',
    normEpsilon,
  );
  for (let i = 0; i < config.layers; i++) {
    x = b.boundary(x);
    const at = `transformer.h.${i}`;
    const h = layerNorm(weights, x, `${at}.input_layernorm`, normEpsilon);
    const fused = weights.linear(h, `${at}.self_attention.query_key_value`, biased);
    const parts = b.transpose(b.reshape(fused, [B, T, heads, 3, H / heads]), [3, 0, 2, 1, 4]);
    const part = (n: number) => b.reshape(b.slice(parts, 0, n, n + 1), [B, heads, T, H / heads]);
    const asked = i === config.layers - 1 ? rows : undefined;
    const mixed = rowsOf(attention(cache, i, part(0), part(1), part(2), bias), asked);
    x = b.add(
      rowsOf(residualAfterNorm ? h : x, asked),
      weights.linear(mixed, `${at}.self_attention.dense`, biased),
    );
    const m = layerNorm(weights, x, `${at}.post_attention_layernorm`, normEpsilon);
    const up = b.geluTanh(weights.linear(m, `${at}.mlp.dense_h_to_4h`, biased));
    x = b.add(residualAfterNorm ? m : x, weights.linear(up, `${at}.mlp.dense_4h_to_h`, biased));
  }
  return layerNorm(weights, x, 'transformer.ln_f', normEpsilon);
}
