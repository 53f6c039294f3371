/** Writes GGUF files for tests, also wrong ones. */
import type { Model } from './checkpoint.js';
import type { ModelConfig } from './config.js';

export type WrittenValue =
  | { readonly string: string }
  | { readonly uint32: number }
  | { readonly uint64: bigint }
  | { readonly float32: number }
  | { readonly bool: boolean }
  | { readonly strings: readonly string[] }
  | { readonly int32s: readonly number[] }
  | { readonly float32s: readonly number[] };

export type WrittenMetadata = Readonly<Record<string, WrittenValue>>;

export interface WrittenTensor {
  readonly name: string;
  /** Slowest dimension first. */
  readonly shape: readonly (number | bigint)[];
  /** The code of its type; 0 is F32. */
  readonly type?: number;
  readonly bytes: Uint8Array;
  /** Where its bytes lie in the tensor data; after the tensor before it unless given. */
  readonly offset?: bigint;
}

export interface WrittenFile {
  readonly version?: number;
  readonly metadata?: WrittenMetadata;
  readonly tensors?: readonly WrittenTensor[];
  readonly alignment?: number;
}

const number = (bytes: number, write: (buffer: Buffer) => void): Buffer => {
  const buffer = Buffer.alloc(bytes);
  write(buffer);
  return buffer;
};
export const uint32 = (value: number): Buffer => number(4, (b) => b.writeUInt32LE(value));
export const uint64 = (value: number | bigint): Buffer => number(8, (b) => b.writeBigUInt64LE(BigInt(value)));
const float32 = (value: number): Buffer => number(4, (b) => b.writeFloatLE(value));
export const string = (text: string): Buffer =>
  Buffer.concat([uint64(Buffer.byteLength(text)), Buffer.from(text)]);
const list = (kind: number, items: readonly Buffer[]): Buffer =>
  Buffer.concat([uint32(9), uint32(kind), uint64(items.length), ...items]);

function valueBytes(value: WrittenValue): Buffer {
  if ('string' in value) return Buffer.concat([uint32(8), string(value.string)]);
  if ('uint32' in value) return Buffer.concat([uint32(4), uint32(value.uint32)]);
  if ('uint64' in value) return Buffer.concat([uint32(10), uint64(value.uint64)]);
  if ('float32' in value) return Buffer.concat([uint32(6), float32(value.float32)]);
  if ('bool' in value) return Buffer.concat([uint32(7), Buffer.of(value.bool ? 1 : 0)]);
  if ('strings' in value) return list(8, value.strings.map(string));
  if ('int32s' in value)
    return list(
      5,
      value.int32s.map((n) => number(4, (b) => b.writeInt32LE(n))),
    );
  return list(6, value.float32s.map(float32));
}

export function ggufBytes({ version = 3, metadata = {}, tensors = [], alignment = 32 }: WrittenFile): Buffer {
  const aligned = (n: number) => Math.ceil(n / alignment) * alignment;
  const entries = Object.entries(metadata);
  const head = [Buffer.from('GGUF'), uint32(version), uint64(tensors.length), uint64(entries.length)];
  for (const [key, value] of entries) head.push(string(key), valueBytes(value));
  let end = 0;
  const placed = tensors.map((tensor) => {
    const at = aligned(end);
    end = at + tensor.bytes.length;
    return { ...tensor, at };
  });
  for (const { name, shape, type = 0, offset, at } of placed) {
    head.push(string(name), uint32(shape.length));
    for (const size of [...shape].reverse()) head.push(uint64(size));
    head.push(uint32(type), uint64(offset ?? at));
  }
  const header = Buffer.concat(head);
  const file = Buffer.alloc(aligned(header.length) + end);
  header.copy(file);
  for (const { bytes, at } of placed) file.set(bytes, aligned(header.length) + at);
  return file;
}

/** The bytes of float32 numbers. */
export const floats = (data: Float32Array): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** Rows of Hugging Face's tensor in the order in which llama.cpp's converter writes them (conversion/{llama,bloom}.py). */
function convertedRows(config: ModelConfig, name: string, rows: number): number[] {
  const plain = Array.from({ length: rows }, (_, row) => row);
  if (config.family === 'llama' && /[qk]_proj/.test(name)) {
    // reshape(heads, 2, width / 2, …).swapaxes(1, 2)
    const half = config.headDim / 2;
    return Array.from({ length: rows / config.headDim }, (_, head) =>
      Array.from({ length: half }, (_, c) => [0, 1].map((h) => head * config.headDim + h * half + c)),
    ).flat(2);
  }
  if (config.family === 'bloom' && name.includes('query_key_value')) {
    // reshape(heads, 3, width, …), all queries, then all keys, then all values
    const width = config.hiddenSize / config.heads;
    return [0, 1, 2].flatMap((part) => plain.filter((row) => Math.floor(row / width) % 3 === part));
  }
  return plain;
}

const renamed: [RegExp, string][] = [
  [/^model\.embed_tokens|^transformer\.word_embeddings(?=\.)/, 'token_embd'],
  [/^transformer\.word_embeddings_layernorm/, 'token_embd_norm'],
  [/^model\.norm|^transformer\.ln_f/, 'output_norm'],
  [/^lm_head/, 'output'],
  [/^(?:model\.layers|transformer\.h)\./, 'blk.'],
  [/post_attention_layernorm/, 'ffn_norm'],
  [/input_layernorm/, 'attn_norm'],
  [/self_attn\.([qkv])_proj/, 'attn_$1'],
  [/self_attn\.o_proj|self_attention\.dense/, 'attn_output'],
  [/self_attention\.query_key_value/, 'attn_qkv'],
  [/mlp\.(gate|up|down)_proj/, 'ffn_$1'],
  [/mlp\.dense_h_to_4h/, 'ffn_up'],
  [/mlp\.dense_4h_to_h/, 'ffn_down'],
];

/** A model's tensors as llama.cpp's converter writes them in float32. */
export function convertedTensors({ config, tensors }: Model): WrittenTensor[] {
  return [...tensors].map(([name, { shape, data }]) => {
    const values = data as Float32Array;
    const width = values.length / shape[0];
    const out = new Float32Array(values.length);
    for (const [at, row] of convertedRows(config, name, shape[0]).entries())
      out.set(values.subarray(row * width, (row + 1) * width), at * width);
    const stored = renamed.reduce((text, [from, to]) => text.replace(from, to), name);
    return { name: stored, shape, bytes: floats(out) };
  });
}
