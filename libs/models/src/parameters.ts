/** Names and shapes of every weight, as Hugging Face's state dictionaries have them. */
import type { Shape } from '@emotune/graph';
import type { BloomConfig, LlamaConfig, ModelConfig, OptConfig } from './config.js';

export interface Parameter {
  readonly name: string;
  readonly shape: Shape;
}

/** Rows of OPT's position table before position 0. */
export const optPositionOffset = 2;

function linear(name: string, out: number, into: number, bias: boolean): Parameter[] {
  const weight = { name: `${name}.weight`, shape: [out, into] };
  return bias ? [weight, { name: `${name}.bias`, shape: [out] }] : [weight];
}

function layerNorm(name: string, width: number): Parameter[] {
  return [
    { name: `${name}.weight`, shape: [width] },
    { name: `${name}.bias`, shape: [width] },
  ];
}

function llama(c: LlamaConfig): Parameter[] {
  const H = c.hiddenSize;
  const layers = Array.from({ length: c.layers }, (_, i) => {
    const at = `model.layers.${i}`;
    return [
      { name: `${at}.input_layernorm.weight`, shape: [H] },
      ...linear(`${at}.self_attn.q_proj`, c.heads * c.headDim, H, c.attentionBias),
      ...linear(`${at}.self_attn.k_proj`, c.kvHeads * c.headDim, H, c.attentionBias),
      ...linear(`${at}.self_attn.v_proj`, c.kvHeads * c.headDim, H, c.attentionBias),
      ...linear(`${at}.self_attn.o_proj`, H, c.heads * c.headDim, c.attentionBias),
      { name: `${at}.post_attention_layernorm.weight`, shape: [H] },
      ...linear(`${at}.mlp.gate_proj`, c.intermediateSize, H, c.mlpBias),
      ...linear(`${at}.mlp.up_proj`, c.intermediateSize, H, c.mlpBias),
      ...linear(`${at}.mlp.down_proj`, H, c.intermediateSize, c.mlpBias),
    ];
  });
  return [
    { name: 'model.embed_tokens.weight', shape: [c.vocabSize, H] },
    ...layers.flat(),
    { name: 'model.norm.weight', shape: [H] },
    ...(c.tieEmbeddings ? [] : [{ name: 'lm_head.weight', shape: [c.vocabSize, H] }]),
  ];
}

function opt(c: OptConfig): Parameter[] {
  const H = c.hiddenSize;
  const E = c.embeddingSize;
  const layers = Array.from({ length: c.layers }, (_, i) => {
    const at = `model.decoder.layers.${i}`;
    return [
      ...['q_proj', 'k_proj', 'v_proj', 'out_proj'].flatMap((p) =>
        linear(`${at}.self_attn.${p}`, H, H, true),
      ),
      ...layerNorm(`${at}.self_attn_layer_norm`, H),
      ...linear(`${at}.fc1`, c.intermediateSize, H, true),
      ...linear(`${at}.fc2`, H, c.intermediateSize, true),
      ...layerNorm(`${at}.final_layer_norm`, H),
    ];
  });
  return [
    { name: 'model.decoder.embed_tokens.weight', shape: [c.vocabSize, E] },
    { name: 'model.decoder.embed_positions.weight', shape: [c.maxPositions + optPositionOffset, H] },
    ...(E === H ? [] : linear('model.decoder.project_in', H, E, false)),
    ...layers.flat(),
    ...(c.normBefore ? layerNorm('model.decoder.final_layer_norm', H) : []),
    ...(E === H ? [] : linear('model.decoder.project_out', E, H, false)),
    ...(c.tieEmbeddings ? [] : [{ name: 'lm_head.weight', shape: [c.vocabSize, E] }]),
  ];
}

function bloom(c: BloomConfig): Parameter[] {
  const H = c.hiddenSize;
  const layers = Array.from({ length: c.layers }, (_, i) => {
    const at = `transformer.h.${i}`;
    return [
      ...layerNorm(`${at}.input_layernorm`, H),
      ...linear(`${at}.self_attention.query_key_value`, 3 * H, H, true),
      ...linear(`${at}.self_attention.dense`, H, H, true),
      ...layerNorm(`${at}.post_attention_layernorm`, H),
      ...linear(`${at}.mlp.dense_h_to_4h`, 4 * H, H, true),
      ...linear(`${at}.mlp.dense_4h_to_h`, H, 4 * H, true),
    ];
  });
  return [
    { name: 'transformer.word_embeddings.weight', shape: [c.vocabSize, H] },
    ...layerNorm('transformer.word_embeddings_layernorm', H),
    ...layers.flat(),
    ...layerNorm('transformer.ln_f', H),
    ...(c.tieEmbeddings ? [] : [{ name: 'lm_head.weight', shape: [c.vocabSize, H] }]),
  ];
}

/** Every weight, bottom layer first. A tied head has none of its own. */
export function modelParameters(config: ModelConfig): Parameter[] {
  if (config.family === 'llama') return llama(config);
  return config.family === 'opt' ? opt(config) : bloom(config);
}
