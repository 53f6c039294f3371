/**
 * Fields of a `config.json` that the family's class in transformers does not read. Most are bookkeeping of the programs
 * that saved the file; a few say how another class, or code of the model's own, computes otherwise.
 */
import { show, type Violation } from '@emotune/base';
import type { Family } from './config.js';

type Json = Readonly<Record<string, unknown>>;

/** Nothing, off, or empty. */
const off = (value: unknown): boolean =>
  value === null ||
  value === false ||
  value === 0 ||
  (typeof value === 'object' && Object.keys(value).length === 0);
const one = (value: unknown): boolean => value === null || value === false || value === 1;
const activations: Readonly<Record<Family, readonly unknown[]>> = {
  llama: ['silu', 'swish'],
  opt: ['relu'],
  bloom: ['gelu', 'gelu_new', 'gelu_fast', 'gelu_pytorch_tanh', 'bloom_gelu'],
};
const positions: Readonly<Record<Family, RegExp>> = {
  llama: /^(rope|rotary)/i,
  opt: /^(learned|absolute)/i,
  bloom: /^alibi/i,
};
const longest = ({ max_position_embeddings: given }: Json) => (typeof given === 'number' ? given : 2048);

interface Deciding {
  /** Of the whole name. */
  readonly name: RegExp;
  /** Whether the value changes nothing in what the family computes. */
  readonly neutral: (value: unknown, config: Json, family: Family) => boolean;
  readonly expected: string;
}

/** What changes a model's numbers and leaves its tensors as they are, so that their names and shapes cannot tell. */
const deciding: readonly Deciding[] = [
  {
    name: /(^|_)(quantization|quant|compression)(_config|_method|ization)?|bits|load_in_[48]bit/,
    neutral: off,
    expected: 'null: weights as floating-point numbers',
  },
  { name: /is_causal/, neutral: (value) => value === null || value === true, expected: 'true' },
  { name: /use_bidirectional_attention|bidirectional/, neutral: off, expected: 'false' },
  {
    name: /(use_)?(sliding_window|sliding_window_size|attention_window|window_size|local_attention_window)/,
    neutral: (value, config, family) =>
      off(value) ||
      value === -1 ||
      config['use_sliding_window'] === false ||
      (typeof value === 'number' && family !== 'bloom' && value >= longest(config)),
    expected: 'null, or at least the longest row: attention to all tokens before',
  },
  {
    name: /attention_chunk_size|attention_types|sparse_attention|block_sparse|attention_sink.*|sink_tokens?/,
    neutral: off,
    expected: 'null: attention to all tokens before',
  },
  {
    name: /layer_types/,
    neutral: (value) =>
      off(value) || (Array.isArray(value) && value.every((type) => type === 'full_attention')),
    expected: 'full_attention for every layer',
  },
  { name: /.*(soft_?cap(ping)?|logit_cap)|.*clip_qkv|qkv_clip/, neutral: off, expected: 'null' },
  {
    name: /.*_multipliers?|(scale|scaling)_(emb|embs|embed|embeddings?|depth|logits?|residual|attn|attention|width)|(emb|embed|embeddings?|depth|logits?|residual|attn|width)_(scale|scaling)(_factor)?|normalize_embeddings?/,
    neutral: one,
    expected: '1',
  },
  {
    name: /.*(^|_)(qk|query_key|q|k)_?(layer_?)?norm(_type)?|use_(qk|query_key)_?(layer_?)?norm/,
    neutral: off,
    expected: 'false',
  },
  {
    name: /.*(^|_)(experts?|moe)(_.*)?/,
    neutral: (value) => off(value) || value === 1,
    expected: 'none: one feed-forward for all tokens',
  },
  { name: /(use_)?parallel_(residual|attn|attention)(_block)?/, neutral: off, expected: 'false' },
  {
    name: /(use_)?alibi/,
    neutral: (value, _, family) => (family === 'bloom' ? value === null || value === true : off(value)),
    expected: 'the positions of the family',
  },
  {
    name: /(use_)?(position_embedding_type|position_encoding|positional_embeddings?|pos_emb(ed)?(ding)?_type)/,
    neutral: (value, _, family) =>
      value === null || (typeof value === 'string' && positions[family].test(value)),
    expected: 'the positions of the family',
  },
  {
    name: /partial_rotary_factor|rotary_pct|rope_pct|rotary_percent/,
    neutral: one,
    expected: '1: the whole head',
  },
  {
    name: /no_rope_layers|no_rope_layer_interval|nope_.*/,
    neutral: (value) => off(value) || (Array.isArray(value) && value.every((layer) => layer === 1)),
    expected: 'none: positions in every layer',
  },
  {
    name: /original_max_position_embeddings/,
    neutral: (value, config) => {
      const rope = (config['rope_scaling'] ?? config['rope_parameters'] ?? {}) as Json;
      const type = rope['rope_type'] ?? rope['type'];
      return type !== 'llama3' || value === rope['original_max_position_embeddings'];
    },
    expected: 'what rope_scaling says',
  },
  { name: /rope_local_base_freq|(.*_)?(rope_)?ntk.*|yarn_.*|longrope_.*/, neutral: off, expected: 'null' },
  {
    name: /activation|act_fn|hidden_activation|mlp_activation|activation_type/,
    neutral: (value, _, family) => value === null || activations[family].includes(value),
    expected: 'the activation of the family',
  },
  {
    name: /per_layer_.*|block_configs?|layer_configs?|num_(attention|key_value)_heads_per_layer|num_heads_per_layer/,
    neutral: off,
    expected: 'null: every layer alike',
  },
  {
    name: /pruned_heads|skip_layers|.*layers_to_skip|exit_layers?/,
    neutral: off,
    expected: 'none',
  },
];

/** What decides the numbers and is not at the value that the family computes, by name. */
export function decidingFields(names: readonly string[], config: Json, family: Family): Violation[] {
  return names.flatMap((name) => {
    const found = deciding.find((row) => new RegExp(`^(?:${row.name.source})$`, 'i').test(name));
    if (!found || found.neutral(config[name], config, family)) return [];
    return [
      {
        field: name,
        description: `expected ${found.expected}, got ${show(config[name])}; remove the field if the model computes without it`,
      },
    ];
  });
}
