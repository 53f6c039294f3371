/** LLaMA (Touvron et al. 2023): RMSNorm, rotary positions on half-split heads, SwiGLU, grouped keys and values. */
import { build as b, type Value } from '@emotune/graph';
import { attention, embed, type ModelInputs, rmsNorm, rowsOf, splitHeads, type Weights } from './blocks.js';
import type { LlamaConfig } from './config.js';

/** θ_i of each pair of channels [D/2], after scaling. `sequence` matters to dynamic scaling only. */
function rotaryFrequencies(config: LlamaConfig, sequence: number): Float32Array {
  const { headDim, ropeScaling: scaling, maxPositions } = config;
  let theta = config.ropeTheta;
  if (scaling?.type === 'dynamic' && sequence > maxPositions) {
    const stretch = (scaling.factor * sequence) / maxPositions - (scaling.factor - 1);
    theta *= stretch ** (headDim / (headDim - 2));
  }
  return Float32Array.from({ length: headDim / 2 }, (_, i) => {
    const frequency = theta ** ((-2 * i) / headDim);
    if (scaling?.type === 'linear') return frequency / scaling.factor;
    if (scaling?.type !== 'llama3') return frequency;
    // Long waves are stretched, short ones kept, those between interpolated.
    const wavelength = (2 * Math.PI) / frequency;
    const longest = scaling.originalMaxPositions / scaling.lowFrequencyFactor;
    const shortest = scaling.originalMaxPositions / scaling.highFrequencyFactor;
    if (wavelength > longest) return frequency / scaling.factor;
    if (wavelength < shortest) return frequency;
    const smooth =
      (scaling.originalMaxPositions / wavelength - scaling.lowFrequencyFactor) /
      (scaling.highFrequencyFactor - scaling.lowFrequencyFactor);
    return ((1 - smooth) * frequency) / scaling.factor + smooth * frequency;
  });
}

/** Rotates [B, A, T, D] by cos, sin [B, 1, T, D/2]: (x₁, x₂) → (x₁cos − x₂sin, x₂cos + x₁sin). */
function rotate(x: Value, cos: Value, sin: Value): Value {
  const half = x.shape[3] / 2;
  const x1 = b.slice(x, 3, 0, half);
  const x2 = b.slice(x, 3, half, 2 * half);
  return b.concat([b.sub(b.mul(x1, cos), b.mul(x2, sin)), b.add(b.mul(x2, cos), b.mul(x1, sin))], 3);
}

/** [B, K, T, D] → [B, A, T, D], each head repeated for its group of queries. */
function repeatHeads(x: Value, heads: number): Value {
  const [batch, kv, sequence, width] = x.shape;
  if (kv === heads) return x;
  const grouped = b.expand(b.reshape(x, [batch, kv, 1, sequence, width]), [
    batch,
    kv,
    heads / kv,
    sequence,
    width,
  ]);
  return b.reshape(grouped, [batch, heads, sequence, width]);
}

/** The last hidden states [N, H], or [n, H] of the flat positions `rows` [n] alone. */
export function llama(
  config: LlamaConfig,
  weights: Weights,
  { ids, positions, mask, atEmbeddings }: ModelInputs,
  rows?: Value,
): Value {
  const [B, T] = ids.shape;
  const { heads, kvHeads, normEpsilon } = config;
  const bias = { bias: config.attentionBias };
  const frequencies = b.constant(rotaryFrequencies(config, T), [config.headDim / 2]);
  const angles = b.mul(b.toFloat(b.reshape(positions, [B, 1, T, 1])), frequencies);
  const [cos, sin] = [b.cos(angles), b.sin(angles)];
  let x = embed(weights.get('model.embed_tokens.weight'), ids, atEmbeddings);
  for (let i = 0; i < config.layers; i++) {
    const at = `model.layers.${i}`;
    const h = rmsNorm(weights, x, `${at}.input_layernorm`, normEpsilon);
    const project = (name: string, n: number) =>
      splitHeads(weights.linear(h, `${at}.self_attn.${name}`, bias), B, T, n);
    const q = rotate(project('q_proj', heads), cos, sin);
    const k = repeatHeads(rotate(project('k_proj', kvHeads), cos, sin), heads);
    const v = repeatHeads(project('v_proj', kvHeads), heads);
    const asked = i === config.layers - 1 ? rows : undefined;
    const mixed = rowsOf(attention(q, k, v, mask), asked);
    x = b.add(rowsOf(x, asked), weights.linear(mixed, `${at}.self_attn.o_proj`, bias));
    const m = rmsNorm(weights, x, `${at}.post_attention_layernorm`, normEpsilon);
    const mlp = (input: Value, name: string) =>
      weights.linear(input, `${at}.mlp.${name}`, { bias: config.mlpBias });
    const gate = mlp(m, 'gate_proj');
    x = b.add(x, mlp(b.mul(b.mul(gate, b.sigmoid(gate)), mlp(m, 'up_proj')), 'down_proj'));
  }
  return rmsNorm(weights, x, 'model.norm', normEpsilon);
}
