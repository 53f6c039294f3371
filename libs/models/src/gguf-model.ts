/**
 * A model inside a GGUF file in Hugging Face's terms: metadata as `config.json`, tensors under their names there, without
 * what llama.cpp's converter does to them (rotary halves interleaved, BLOOM's query, key and value one after the other).
 */
import { basename } from 'node:path';
import { InvalidArgument, own, show, type Violation, Violations } from '@emotune/base';
import type { FileRange } from '@emotune/engine';
import type { Shape } from '@emotune/graph';
import { type ModelConfig, parseConfig } from './config.js';
import { GgufFile, type GgufValue } from './gguf.js';

type Metadata = ReadonlyMap<string, GgufValue>;

/** Keys below `<architecture>.` by the field of config.json that they fill. */
const fields: Record<string, Record<string, string>> = {
  llama: {
    context_length: 'max_position_embeddings',
    embedding_length: 'hidden_size',
    block_count: 'num_hidden_layers',
    feed_forward_length: 'intermediate_size',
    'attention.head_count': 'num_attention_heads',
    'attention.head_count_kv': 'num_key_value_heads',
    'attention.key_length': 'head_dim',
    'attention.layer_norm_rms_epsilon': 'rms_norm_eps',
    'rope.freq_base': 'rope_theta',
  },
  bloom: {
    context_length: 'seq_length',
    embedding_length: 'hidden_size',
    block_count: 'n_layer',
    'attention.head_count': 'n_head',
    'attention.layer_norm_epsilon': 'layer_norm_epsilon',
  },
};

/** Keys below `<architecture>.` that say nothing more than others, once `checkKeys` has found them to agree. */
const checked: Record<string, readonly string[]> = {
  llama: [
    'vocab_size',
    'rope.dimension_count',
    'attention.value_length',
    'rope.scaling.type',
    'rope.scaling.factor',
    'rope.scaling.original_context_length',
    'rope.scaling.finetuned',
    'rope.scale_linear',
    'expert_count',
    'expert_used_count',
    'tensor_data_layout',
  ],
  bloom: ['vocab_size', 'feed_forward_length', 'attention.head_count_kv', 'tensor_data_layout'],
};

/** How a value reads in an error message; lists by their length alone. */
function brief(value: GgufValue | undefined): string {
  return typeof value === 'object' ? `a list of ${value.length}` : show(value);
}

/** The shortest decimal that is the same float32: 1e-5, where the file's double is 9.99999974e-6. */
function shortest(value: GgufValue): GgufValue {
  if (typeof value !== 'number' || Number.isInteger(value) || !Number.isFinite(value)) return value;
  for (let digits = 1; digits < 9; digits++) {
    const decimal = Number(value.toPrecision(digits));
    if (Math.fround(decimal) === Math.fround(value)) return decimal;
  }
  return value;
}

/** Llama 3 stretches its frequencies; the file holds the divisor of each instead of the rule's parameters. */
function llama3Scaling(
  factors: Float32Array,
  { theta, headDim, original }: { theta: number; headDim: number; original: number },
): Record<string, unknown> | undefined {
  const factor = Math.round(Math.max(...factors.subarray(0, headDim)) * 1e4) / 1e4;
  const [low, high] = [1, 4];
  const matches = Array.from({ length: headDim / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * theta ** ((2 * i) / headDim);
    const smooth = (original / wavelength - low) / (high - low);
    const want =
      wavelength > original / low
        ? factor
        : wavelength < original / high
          ? 1
          : 1 / ((1 - smooth) / factor + smooth);
    return Math.abs(factors[i] / want - 1) < 1e-5;
  });
  if (factors.length !== headDim / 2 || !matches.every(Boolean)) return undefined;
  return {
    rope_type: 'llama3',
    factor,
    low_freq_factor: low,
    high_freq_factor: high,
    original_max_position_embeddings: original,
  };
}

/** Disagreements between keys, and settings that are not computed here, each by its key. */
function checkKeys(
  architecture: string,
  metadata: Metadata,
  json: Record<string, unknown>,
): readonly Violation[] {
  const violations = new Violations();
  const expect = (key: string, want: unknown, also: readonly unknown[] = []) => {
    const value = metadata.get(`${architecture}.${key}`);
    if (value !== undefined && value !== want && !also.includes(value))
      violations.add(
        `${architecture}.${key}`,
        `expected ${show(want)} (anything else is not supported), got ${brief(value)}`,
      );
  };
  expect('vocab_size', json['vocab_size']);
  if (architecture === 'bloom') {
    expect('feed_forward_length', 4 * Number(json['hidden_size']));
    expect('attention.head_count_kv', json['n_head']);
  } else {
    const headDim = json['head_dim'] ?? Number(json['hidden_size']) / Number(json['num_attention_heads']);
    expect('rope.dimension_count', headDim);
    expect('attention.value_length', headDim);
    expect('rope.scaling.type', 'none', ['linear']);
    expect('expert_count', 0);
    expect('expert_used_count', 0);
  }
  for (const key of metadata.keys()) {
    if (!key.startsWith(`${architecture}.`)) continue;
    const rest = key.slice(architecture.length + 1);
    if (!Object.hasOwn(fields[architecture], rest) && !checked[architecture].includes(rest))
      violations.add(
        key,
        `expected a key that ${architecture} models here support, got ${brief(metadata.get(key))}`,
      );
  }
  return violations.list;
}

/** Where llama.cpp's names differ from Hugging Face's; `<n>` stands for the number of a layer. */
const names: Record<string, Record<string, string>> = {
  llama: {
    token_embd: 'model.embed_tokens',
    output_norm: 'model.norm',
    output: 'lm_head',
    attn_norm: 'model.layers.<n>.input_layernorm',
    attn_q: 'model.layers.<n>.self_attn.q_proj',
    attn_k: 'model.layers.<n>.self_attn.k_proj',
    attn_v: 'model.layers.<n>.self_attn.v_proj',
    attn_output: 'model.layers.<n>.self_attn.o_proj',
    ffn_norm: 'model.layers.<n>.post_attention_layernorm',
    ffn_gate: 'model.layers.<n>.mlp.gate_proj',
    ffn_up: 'model.layers.<n>.mlp.up_proj',
    ffn_down: 'model.layers.<n>.mlp.down_proj',
  },
  bloom: {
    token_embd: 'transformer.word_embeddings',
    token_embd_norm: 'transformer.word_embeddings_layernorm',
    output_norm: 'transformer.ln_f',
    output: 'lm_head',
    attn_norm: 'transformer.h.<n>.input_layernorm',
    attn_qkv: 'transformer.h.<n>.self_attention.query_key_value',
    attn_output: 'transformer.h.<n>.self_attention.dense',
    ffn_norm: 'transformer.h.<n>.post_attention_layernorm',
    ffn_up: 'transformer.h.<n>.mlp.dense_h_to_4h',
    ffn_down: 'transformer.h.<n>.mlp.dense_4h_to_h',
  },
};

function huggingFaceName(architecture: string, name: string): string {
  const found = /^(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)$/.exec(name);
  const known = found && own(names[architecture], found[2]);
  if (!known || known.includes('<n>') !== (found[1] !== undefined)) return name;
  return `${known.replace('<n>', found[1])}.${found[3]}`;
}

/** Rows in another order: row r of the result is row `source(r)`. */
function permuteRows(data: Float32Array, rows: number, source: (row: number) => number): Float32Array {
  const width = data.length / rows;
  const out = new Float32Array(data.length);
  for (let row = 0; row < rows; row++) {
    const from = source(row) * width;
    out.set(data.subarray(from, from + width), row * width);
  }
  return out;
}

/** Row of the file that is row `row` of Hugging Face's tensor; undefined where nothing moved. */
function rowOrder(config: ModelConfig, name: string): ((row: number) => number) | undefined {
  if (config.family === 'llama' && /\.self_attn\.[qk]_proj\./.test(name)) {
    // The file alternates the rotary halves: HF (half h, channel c) lies at 2c + h of its head.
    const width = config.headDim;
    return (row) => {
      const inHead = row % width;
      return row - inHead + 2 * (inHead % (width / 2)) + Math.floor(inHead / (width / 2));
    };
  }
  if (config.family === 'bloom' && /\.query_key_value\./.test(name)) {
    // HF: head, then part (query, key, value), then channel; the file: part, then head.
    const width = config.hiddenSize / config.heads;
    return (row) => {
      const [head, part] = [Math.floor(row / (3 * width)), Math.floor(row / width) % 3];
      return (part * config.heads + head) * width + (row % width);
    };
  }
  return undefined;
}

async function configOf(file: GgufFile, architecture: string): Promise<ModelConfig> {
  const { metadata, tensors } = file;
  const json: Record<string, unknown> = { model_type: architecture };
  for (const [key, field] of Object.entries(fields[architecture])) {
    const value = metadata.get(`${architecture}.${key}`);
    if (value !== undefined)
      json[field] = typeof value === 'object' ? [...value.slice(0, 8)] : shortest(value);
  }
  for (const kind of ['bos', 'eos', 'padding'] as const) {
    const id = metadata.get(`tokenizer.ggml.${kind}_token_id`);
    if (id !== undefined) json[kind === 'padding' ? 'pad_token_id' : `${kind}_token_id`] = id;
  }
  json['vocab_size'] = tensors.get('token_embd.weight')?.shape[0];
  json['tie_word_embeddings'] =
    !tensors.has('output.weight') || (await file.same('output.weight', 'token_embd.weight'));
  if (architecture === 'llama') {
    json['attention_bias'] = tensors.has('blk.0.attn_q.bias');
    json['mlp_bias'] = tensors.has('blk.0.ffn_gate.bias');
  }
  new Violations(checkKeys(architecture, metadata, json)).throwIfAny();
  if (architecture === 'llama') json['rope_scaling'] = await ropeScaling(file, json);
  return parseConfig(json);
}

async function ropeScaling(
  file: GgufFile,
  json: Record<string, unknown>,
): Promise<Record<string, unknown> | null> {
  const { metadata, tensors } = file;
  const factors = tensors.has('rope_freqs.weight') ? await file.float32('rope_freqs.weight') : undefined;
  const linear =
    metadata.get('llama.rope.scaling.type') === 'linear'
      ? metadata.get('llama.rope.scaling.factor')
      : metadata.get('llama.rope.scale_linear');
  if (linear !== undefined && linear !== 1) {
    if (factors)
      throw InvalidArgument.at('rope_freqs.weight', 'expected no factors beside linear scaling, got both');
    return { rope_type: 'linear', factor: shortest(linear) };
  }
  if (!factors) return null;
  const headDim = Number(
    json['head_dim'] ?? Number(json['hidden_size']) / Number(json['num_attention_heads']),
  );
  const scaling = llama3Scaling(factors.data, {
    theta: Number(json['rope_theta'] ?? 10_000),
    headDim,
    original: Number(metadata.get('llama.rope.scaling.original_context_length') ?? 8192),
  });
  if (!scaling)
    throw InvalidArgument.at(
      'rope_freqs.weight',
      'expected the frequency factors of Llama 3 (low 1, high 4), got others, which are not supported',
    );
  return scaling;
}

/** Weights by Hugging Face's names, read when asked for. Close it. */
export interface WeightSource {
  readonly entries: ReadonlyMap<string, { readonly shape: Shape }>;
  float32(name: string): Promise<{ data: Float32Array }>;
  /** Names that stand for tensors of other names: what shared its memory when it was saved. */
  readonly aliases?: ReadonlyMap<string, string>;
  /** Where a tensor lies, if its bytes are float32 as they are. */
  plainFloat32?(name: string): FileRange | undefined;
  close(): Promise<void>;
}

/**
 * Config and weights of a GGUF file.
 * @throws NotFound; InvalidArgument naming what is damaged or not supported.
 */
export async function openGgufModel(path: string): Promise<{ config: ModelConfig; weights: WeightSource }> {
  const file = await GgufFile.open(path);
  try {
    const architecture = file.metadata.get('general.architecture');
    if (typeof architecture !== 'string' || !Object.hasOwn(fields, architecture))
      throw InvalidArgument.at(
        `${basename(path)}: general.architecture`,
        `expected llama or bloom (GGUF has no OPT), got ${brief(architecture)}`,
      );
    for (const [key, off] of [
      ['general.type', ['model']],
      ['split.count', [0, 1]],
    ] as const) {
      const value = file.metadata.get(key);
      if (value !== undefined && !(off as readonly unknown[]).includes(value))
        throw InvalidArgument.at(
          `${basename(path)}: ${key}`,
          `expected ${off.join(' or ')} (one file with a whole model), got ${brief(value)}`,
        );
    }
    const config = await configOf(file, architecture);
    // What the config already says.
    const derived = new Set(['rope_freqs.weight', ...(config.tieEmbeddings ? ['output.weight'] : [])]);
    const stored = new Map(
      [...file.tensors.keys()]
        .filter((name) => !derived.has(name))
        .map((name) => [huggingFaceName(architecture, name), name]),
    );
    const weights: WeightSource = {
      entries: new Map([...stored].map(([name, raw]) => [name, { shape: file.tensors.get(raw)!.shape }])),
      float32: async (name) => {
        const { shape, data } = await file.float32(stored.get(name)!);
        const order = rowOrder(config, name);
        return { data: order ? permuteRows(data, shape[0], order) : data };
      },
      close: () => file.close(),
    };
    return { config, weights };
  } catch (error) {
    await file.close();
    throw error;
  }
}
