/** LLaMA (Touvron et al. 2023): RMSNorm, rotary positions on half-split heads, SwiGLU, grouped keys and values. */
import { build as b, type Value } from '@emotune/graph';
import { attention, embed, type ModelInputs, maskBias, rowsOf, splitHeads, type Weights } from './blocks.js';
import type { LlamaConfig } from './config.js';

/**
 * θ_i of each pair of channels after scaling: [D/2], or [B, 1, D/2] with dynamic scaling, which stretches by how far
 * each row has come.
 */
function rotaryFrequencies(config: LlamaConfig, positions: Value): Value {
  const { headDim, ropeTheta, ropeScaling: scaling, maxPositions } = config;
  if (scaling?.type === 'dynamic') {
    // (θ·stretch^(D/(D − 2)))^(−2i/D) with stretch = max(1, factor·length/longest − (factor − 1)).
    const length = b.add(b.reduceMax(b.toFloat(positions), [1]), b.scalar(1));
    const wanted = b.sub(
      b.mul(length, b.scalar(scaling.factor / maxPositions)),
      b.scalar(scaling.factor - 1),
    );
    const stretch = b.where(b.less(wanted, b.scalar(1)), b.scalar(1), wanted);
    const logTheta = b.add(
      b.mul(b.log(stretch), b.scalar(headDim / (headDim - 2))),
      b.scalar(Math.log(ropeTheta)),
    );
    const powers = Float32Array.from({ length: headDim / 2 }, (_, i) => (-2 * i) / headDim);
    return b.exp(b.mul(b.reshape(logTheta, [positions.shape[0], 1, 1]), b.constant(powers, [headDim / 2])));
  }
  const frequencies = Float32Array.from({ length: headDim / 2 }, (_, i) => {
    const frequency = ropeTheta ** ((-2 * i) / headDim);
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
  return b.constant(frequencies, [headDim / 2]);
}

/** The last hidden states [N, H], or [n, H] of the flat positions `rows` [n] alone. */
export function llama(
  config: LlamaConfig,
  weights: Weights,
  { ids, positions, mask, cache, atEmbeddings }: ModelInputs,
  rows?: Value,
): Value {
  const [B, T] = ids.shape;
  const { heads, kvHeads, normEpsilon } = config;
  const biased = { bias: config.attentionBias };
  const bias = maskBias(mask);
  const angles = b.mul(b.toFloat(b.reshape(positions, [B, T, 1])), rotaryFrequencies(config, positions));
  const byRow = b.reshape(angles, [B * T, config.headDim / 2]);
  const [cos, sin] = [b.cos(byRow), b.sin(byRow)];
  const norm = (name: string) => b.rmsNorm(x, weights.get(`${name}.weight`), normEpsilon);
  let x = embed(weights.get('model.embed_tokens.weight'), ids, atEmbeddings);
  for (let i = 0; i < config.layers; i++) {
    x = b.boundary(x);
    const at = `model.layers.${i}`;
    const h = norm(`${at}.input_layernorm`);
    const [queries, keys, values] = weights.linears(
      h,
      ['q_proj', 'k_proj', 'v_proj'].map((name) => `${at}.self_attn.${name}`),
      biased,
    );
    const q = b.rotary(splitHeads(queries, B, T, heads), cos, sin);
    const k = b.rotary(splitHeads(keys, B, T, kvHeads), cos, sin);
    const v = splitHeads(values, B, T, kvHeads);
    const asked = i === config.layers - 1 ? rows : undefined;
    const mixed = rowsOf(attention(cache, i, q, k, v, bias), asked);
    x = b.add(rowsOf(x, asked), weights.linear(mixed, `${at}.self_attn.o_proj`, biased));
    const m = norm(`${at}.post_attention_layernorm`);
    const mlp = { bias: config.mlpBias };
    const [gate, up] = weights.linears(m, [`${at}.mlp.gate_proj`, `${at}.mlp.up_proj`], mlp);
    x = b.add(x, weights.linear(b.mul(b.silu(gate), up), `${at}.mlp.down_proj`, mlp));
  }
  return norm('model.norm');
}
