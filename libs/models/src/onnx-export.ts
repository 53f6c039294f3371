/**
 * A model as one ONNX file for inference with a cache, with the inputs and outputs that Hugging Face Optimum gives such
 * files: `input_ids`, `attention_mask`, `position_ids` and `past_key_values.<layer>.key|value`, [batch, heads of keys,
 * past, width], to `logits` and `present.<layer>.key|value`. Batch, sequence and past have any length at a run. All
 * families have the same inputs; BLOOM counts its positions from the mask and does not look at `position_ids`.
 */
import { type FileHandle, mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  build as b,
  dynamicNodes,
  encodeOnnx,
  type Initializer,
  type NamedNode,
  type SizeTerm,
  type Value,
} from '@emotune/graph';
import { modelInputs } from './blocks.js';
import type { Model } from './checkpoint.js';
import { type ModelConfig, toHuggingFaceConfig } from './config.js';
import { cacheShape } from './kv-cache.js';
import { GraphWeights, hiddenStates, logitsOf } from './model.js';

const modelFile = 'model.onnx';
const dataFile = 'model.onnx_data';
/** Bytes of weights up to which they lie in the model's own file: protobuf ends at 2 GiB. */
const largestFile = 2 ** 31 - 2 ** 24;

/** The two sets of sizes that show what depends on them: rows, tokens, tokens before. */
const sizes = [
  { batch: 2, sequence: 3, past: 5 },
  { batch: 7, sequence: 11, past: 13 },
] as const;
const termOf = (name: string, of: (size: (typeof sizes)[number]) => number): SizeTerm => ({
  name,
  values: [of(sizes[0]), of(sizes[1])],
});
const terms = [
  termOf('batch', ({ batch }) => batch),
  termOf('sequence', ({ sequence }) => sequence),
  termOf('past', ({ past }) => past),
  termOf('keys', ({ sequence, past }) => past + sequence),
  termOf('tokens', ({ batch, sequence }) => batch * sequence),
];

const namesOf = ({ layers }: ModelConfig) =>
  Array.from({ length: layers }, (_, i) =>
    ['key', 'value'].map((part) => [`past_key_values.${i}.${part}`, `present.${i}.${part}`] as const),
  ).flat();

/** The graph for fixed sizes, but for what `preamble` makes of the file's inputs: `mask`, `positions`, `past_positions`. */
function bodyOf(
  config: ModelConfig,
  { batch, sequence, past }: (typeof sizes)[number],
): Record<string, Value> {
  const names = namesOf(config);
  const cached = names.map(([name]) => b.input(name, 'float32', cacheShape(config, batch, past)));
  const cache = {
    past: Array.from({ length: config.layers }, (_, i) => ({ key: cached[2 * i], value: cached[2 * i + 1] })),
    pastPositions: b.input('past_positions', 'int64', [batch, past]),
    present: [] as { key: Value; value: Value }[],
    joined: true,
  };
  const mask = b.input('mask', 'bool', [batch, 1, sequence, past + sequence]);
  const weights = new GraphWeights(config, { name: 'full' });
  const hidden = hiddenStates(config, weights, { ...modelInputs(batch, sequence), mask, cache });
  const present = cache.present.flatMap(({ key, value }) => [key, value]);
  return {
    logits: b.reshape(logitsOf(weights, hidden), [batch, sequence, config.vocabSize]),
    ...Object.fromEntries(names.map(([, name], i) => [name, present[i]])),
  };
}

/** Sizes as [1] int64, the causal mask within what is attended [B, 1, T, P + T], and positions. */
function preamble({ family }: ModelConfig): NamedNode[] {
  const nodes: NamedNode[] = [];
  const node = (
    op: string,
    inputs: NamedNode['inputs'],
    output: string,
    attributes?: NamedNode['attributes'],
  ) => nodes.push({ op, inputs, outputs: [output], ...(attributes ? { attributes } : {}) });
  const ints = (...values: number[]) => ({ ints: values });
  node('Shape', ['input_ids'], 'ids_shape');
  node('Gather', ['ids_shape', ints(0)], 'batch', { axis: 0 });
  node('Gather', ['ids_shape', ints(1)], 'sequence', { axis: 0 });
  node('Shape', ['past_key_values.0.key'], 'past_shape');
  node('Gather', ['past_shape', ints(2)], 'past', { axis: 0 });
  node('Add', ['past', 'sequence'], 'keys');
  node('Mul', ['batch', 'sequence'], 'tokens');
  node('Squeeze', [ints(0)], 'zero');
  node('Squeeze', [ints(1)], 'one');
  node('Squeeze', ['keys'], 'keys_end');
  node('Range', ['zero', 'keys_end', 'one'], 'key_index');
  node('Slice', ['key_index', 'past', 'keys', ints(0)], 'query_index');
  node('Unsqueeze', ['query_index', ints(1)], 'query_column');
  node('LessOrEqual', ['key_index', 'query_column'], 'causal');
  node('Cast', ['attention_mask'], 'attended_flat', { to: 9 });
  node('Unsqueeze', ['attended_flat', ints(1, 2)], 'attended');
  node('And', ['causal', 'attended'], 'mask');
  if (family !== 'bloom') {
    node('Identity', ['position_ids'], 'positions');
  } else {
    // (Σ of the mask so far − 1) · mask, as Hugging Face has it.
    node('CumSum', ['attention_mask', 'one'], 'counted');
    node('Sub', ['counted', 'one'], 'before');
    node('Mul', ['before', 'attention_mask'], 'key_positions');
    node('Slice', ['key_positions', ints(0), 'past', ints(1)], 'past_positions');
    node('Slice', ['key_positions', 'past', 'keys', ints(1)], 'positions');
  }
  return nodes;
}

/** RMSNorm by the standard's own operators: the fused one is known to ONNX Runtime alone, which makes it of these again. */
function standard(node: NamedNode): NamedNode[] {
  const [x, gamma] = node.inputs;
  const [y] = node.outputs;
  const epsilon = node.attributes?.['epsilon'];
  if (node.op !== 'SimplifiedLayerNormalization' || typeof epsilon !== 'object' || !('float' in epsilon))
    return [node];
  const step = (op: string, inputs: NamedNode['inputs'], output: string) => ({
    op,
    inputs,
    outputs: [`${y}_${output}`],
  });
  return [
    step('Mul', [x, x], 'square'),
    step('ReduceMean', [`${y}_square`, { ints: [-1] }], 'mean'),
    step('Add', [`${y}_mean`, epsilon], 'shifted'),
    step('Sqrt', [`${y}_shifted`], 'root'),
    step('Div', [x, `${y}_root`], 'normal'),
    { op: 'Mul', inputs: [`${y}_normal`, gamma], outputs: [y] },
  ];
}

/** Writes `chunks` from the start of the file on, each as a whole. */
async function writeChunks(path: string, chunks: Iterable<Uint8Array>): Promise<void> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, 'w');
    for (const chunk of chunks) await file.writeFile(chunk);
  } finally {
    await file?.close();
  }
}

/**
 * Makes the folder `dir` with `model.onnx`, the config and what `files` holds: text by name. The weights are in `model.onnx`,
 * or beside it in `model.onnx_data` where they have more than `largest` bytes.
 */
export async function exportOnnx(
  dir: string,
  { config, tensors }: Model,
  options: { files?: Readonly<Record<string, string>>; largest?: number } = {},
): Promise<void> {
  const { files = {}, largest = largestFile } = options;
  const body = dynamicNodes([bodyOf(config, sizes[0]), bodyOf(config, sizes[1])], terms);
  const read = body.inputs.map(({ name }) => name!).filter((name) => tensors.has(name));
  const weights = read.map((name) => ({ name, ...tensors.get(name)! }));
  const beside = weights.reduce((sum, { data }) => sum + data.byteLength, 0) > largest;
  let end = 0;
  const initializers = weights.map(({ name, dtype, shape, data }): Initializer => {
    const offset = end;
    end += data.byteLength;
    const place = { location: dataFile, offset, length: data.byteLength };
    return { name, dtype, shape, data: beside ? place : data };
  });
  const [rows, tokens, past] = ['batch_size', 'sequence_length', 'past_sequence_length'];
  const all = `${past} + ${tokens}`;
  const [, kvHeads, , width] = cacheShape(config, 1, 1);
  const names = namesOf(config);
  const cached = (name: string, length: string) =>
    ({ name, dtype: 'float32', shape: [rows, kvHeads, length, width] }) as const;
  const model = encodeOnnx({
    nodes: [...preamble(config), ...body.nodes.flatMap(standard)],
    initializers: [...initializers, ...body.initializers],
    inputs: [
      { name: 'input_ids', dtype: 'int64', shape: [rows, tokens] },
      { name: 'attention_mask', dtype: 'int64', shape: [rows, all] },
      { name: 'position_ids', dtype: 'int64', shape: [rows, tokens] },
      ...names.map(([name]) => cached(name, past)),
    ],
    outputs: [
      { name: 'logits', dtype: 'float32', shape: [rows, tokens, config.vocabSize] },
      ...names.map(([, name]) => cached(name, all)),
    ],
  });
  await mkdir(dir, { recursive: true });
  await writeChunks(join(dir, modelFile), model);
  if (beside) {
    const bytes = weights.map(({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    await writeChunks(join(dir, dataFile), bytes);
  }
  await writeFile(join(dir, 'config.json'), `${JSON.stringify(toHuggingFaceConfig(config), null, 2)}\n`);
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text);
}
