import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { float32 } from '@emotune/engine';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadModel, type Model } from './checkpoint.js';
import { type ModelConfig, parseConfig } from './config.js';
import { initialTensors } from './model.js';
import { convertedTensors, floats, ggufBytes, type WrittenMetadata, type WrittenTensor } from './testing.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'emotune-gguf-model-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const ids = { vocab_size: 11, bos_token_id: 1, eos_token_id: 2 };
const llama = parseConfig({
  model_type: 'llama',
  ...ids,
  hidden_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 3,
  num_key_value_heads: 1,
  head_dim: 6,
  intermediate_size: 40,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 50_000,
  attention_bias: true,
});
const bloom = parseConfig({ model_type: 'bloom', ...ids, hidden_size: 15, n_layer: 2, n_head: 3 });

const tokens: WrittenMetadata = {
  'tokenizer.ggml.bos_token_id': { uint32: 1 },
  'tokenizer.ggml.eos_token_id': { uint32: 2 },
};
const metadata = {
  llama: {
    'general.architecture': { string: 'llama' },
    ...tokens,
    'llama.block_count': { uint32: 2 },
    'llama.context_length': { uint32: 64 },
    'llama.embedding_length': { uint32: 24 },
    'llama.feed_forward_length': { uint32: 40 },
    'llama.attention.head_count': { uint32: 3 },
    'llama.attention.head_count_kv': { uint32: 1 },
    'llama.attention.key_length': { uint32: 6 },
    'llama.attention.layer_norm_rms_epsilon': { float32: 1e-5 },
    'llama.rope.freq_base': { float32: 50_000 },
    'llama.rope.dimension_count': { uint32: 6 },
    'llama.vocab_size': { uint32: 11 },
  } as WrittenMetadata,
  bloom: {
    'general.architecture': { string: 'bloom' },
    ...tokens,
    'bloom.block_count': { uint32: 2 },
    'bloom.context_length': { uint32: 64 },
    'bloom.embedding_length': { uint32: 15 },
    'bloom.feed_forward_length': { uint32: 60 },
    'bloom.attention.head_count': { uint32: 3 },
    'bloom.attention.head_count_kv': { uint32: 3 },
    'bloom.attention.layer_norm_epsilon': { float32: 1e-5 },
  } as WrittenMetadata,
};

/** Fresh weights whose vectors differ from row to row, so that a wrong order shows. */
function varied(config: ModelConfig): Model {
  const tensors = [...initialTensors(config, 1)].map(([name, { shape, data }]) => {
    const values = (data as Float32Array).map((v, i) => (shape.length === 1 ? v + i : v));
    return [name, float32(shape, values)] as const;
  });
  return { config, tensors: new Map(tensors) };
}

const write = (
  name: string,
  config: ModelConfig,
  more: { metadata?: WrittenMetadata; tensors?: WrittenTensor[] } = {},
) => {
  const path = join(dir, name);
  writeFileSync(
    path,
    ggufBytes({
      metadata: { ...metadata[config.family as 'llama'], ...more.metadata },
      tensors: [...convertedTensors(varied(config)), ...(more.tensors ?? [])],
    }),
  );
  return path;
};

describe('a GGUF model', () => {
  it.each([
    ['llama', llama],
    ['bloom', bloom],
    ['bloom with a head of its own', { ...bloom, tieEmbeddings: false }],
  ])('is the %s model that was converted', async (_, config) => {
    const model = await loadModel(write('model.gguf', config));
    expect(model.config).toEqual(config);
    const want = varied(config).tensors;
    expect([...model.tensors.keys()]).toEqual([...want.keys()]);
    for (const [name, { shape, data }] of want) {
      expect(model.tensors.get(name)!.shape, name).toEqual(shape);
      expect(model.tensors.get(name)!.data, name).toEqual(data);
    }
  });

  it('is found in a folder that holds nothing else of the kind', async () => {
    mkdirSync(join(dir, 'm'));
    const path = write('m/model.gguf', llama);
    expect((await loadModel(join(dir, 'm'))).config).toEqual(llama);
    write('m/other.gguf', llama);
    await expect(loadModel(join(dir, 'm'))).rejects.toThrow(
      'expected one GGUF file, got model.gguf, other.gguf',
    );
    expect((await loadModel(path)).config).toEqual(llama);
    await expect(loadModel(join(dir, 'none.gguf'))).rejects.toThrow('expected a GGUF file');
  });

  it('ties a head that repeats the embedding table to the byte', async () => {
    const [table] = convertedTensors(varied(bloom));
    const repeated = write('same.gguf', bloom, { tensors: [{ ...table, name: 'output.weight' }] });
    expect((await loadModel(repeated)).config.tieEmbeddings).toBe(true);
  });

  it('takes linear scaling from its metadata and Llama 3’s from its factors', async () => {
    const linear = write('linear.gguf', llama, {
      metadata: {
        'llama.rope.scaling.type': { string: 'linear' },
        'llama.rope.scaling.factor': { float32: 2.5 },
      },
    });
    expect((await loadModel(linear)).config).toMatchObject({ ropeScaling: { type: 'linear', factor: 2.5 } });
    // conversion/llama.py for theta 50000, head 6, factor 8, low 1, high 4, original 8192: wavelengths 6.3, 231.5, 8528.
    const factors = (last: number) => [
      { name: 'rope_freqs.weight', shape: [3], bytes: floats(Float32Array.of(1, 1, last)) },
    ];
    const llama3 = write('llama3.gguf', llama, { tensors: factors(8) });
    expect((await loadModel(llama3)).config).toMatchObject({
      ropeScaling: {
        type: 'llama3',
        factor: 8,
        lowFrequencyFactor: 1,
        highFrequencyFactor: 4,
        originalMaxPositions: 8192,
      },
    });
    const short = { 'llama.rope.scaling.original_context_length': { uint32: 16 } };
    const other = write('other.gguf', llama, { tensors: factors(8), metadata: short });
    await expect(loadModel(other)).rejects.toThrow(
      'rope_freqs.weight: expected the frequency factors of Llama 3',
    );
  });

  it.each([
    ['general.architecture', { string: 'opt' }, 'expected llama or bloom (GGUF has no OPT), got "opt"'],
    ['general.architecture', { string: 'constructor' }, 'expected llama or bloom'],
    ['general.type', { string: 'adapter' }, 'general.type: expected model'],
    ['split.count', { uint32: 3 }, 'split.count: expected 0 or 1'],
    [
      'llama.attention.sliding_window',
      { uint32: 4096 },
      'llama.attention.sliding_window: expected a key that llama models here support',
    ],
    ['llama.rope.scaling.type', { string: 'yarn' }, 'llama.rope.scaling.type: expected "none"'],
    ['llama.rope.dimension_count', { uint32: 4 }, 'llama.rope.dimension_count: expected 6'],
    ['llama.attention.value_length', { uint32: 8 }, 'llama.attention.value_length: expected 6'],
    ['llama.expert_count', { uint32: 8 }, 'llama.expert_count: expected 0'],
    ['llama.vocab_size', { uint32: 12 }, 'llama.vocab_size: expected 11'],
    ['llama.attention.head_count', { int32s: [3, 3] }, 'num_attention_heads: expected number'],
    ['llama.attention.head_count', { uint32: 0 }, 'num_attention_heads'],
    ['llama.block_count', { uint32: 2 ** 31 }, 'num_hidden_layers'],
    [
      'llama.block_count',
      { uint32: 3 },
      'model.layers.2.self_attn.q_proj.weight: expected a tensor of [18,24], got nothing',
    ],
    ['llama.rope.freq_base', { string: 'x' }, 'rope_theta: expected number'],
  ] as const)('is refused with %s = %j', async (key, value, message) => {
    await expect(loadModel(write('bad.gguf', llama, { metadata: { [key]: value } }))).rejects.toThrow(
      message,
    );
  });

  it('names tensors that it has no place for, and those that are not finite', async () => {
    const extra = write('extra.gguf', llama, {
      tensors: [{ name: 'blk.0.attn_sinks.weight', shape: [1], bytes: floats(Float32Array.of(Number.NaN)) }],
    });
    await expect(loadModel(extra)).rejects.toThrow('blk.0.attn_sinks.weight: expected no such tensor');
    const tensors = convertedTensors(varied(llama)).map((tensor) =>
      tensor.name === 'output_norm.weight'
        ? { ...tensor, bytes: floats(new Float32Array(24).fill(Number.POSITIVE_INFINITY)) }
        : tensor,
    );
    writeFileSync(join(dir, 'inf.gguf'), ggufBytes({ metadata: metadata.llama, tensors }));
    await expect(loadModel(join(dir, 'inf.gguf'))).rejects.toThrow(
      'model.norm.weight: expected finite numbers, got Infinity at element 0',
    );
  });
});
