/** Checkpoint folders as Hugging Face publishes them (config.json, one or several safetensors files, tokenizer.json), and GGUF. */
import { copyFile, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AlreadyExists, exists, InvalidArgument, NotFound, show, Violations } from '@emotune/base';
import { FileTensor, float32, type HostTensor, reading, release } from '@emotune/engine';
import { sameShape } from '@emotune/graph';
import { endNotices, endsOfSequence, textAt } from '@emotune/text';
import { z } from 'zod';
import { ignoredFields, type ModelConfig, parseConfig, toHuggingFaceConfig } from './config.js';
import { openGgufModel, type WeightSource } from './gguf-model.js';
import { ggufAt, textsOf } from './model-texts.js';
import { modelParameters } from './parameters.js';
import { SafetensorsFile, writeSafetensors } from './safetensors.js';

export interface Model {
  readonly config: ModelConfig;
  /** By the names of `modelParameters`. */
  readonly tensors: Map<string, HostTensor>;
}

/** @throws InvalidArgument */
function jsonOf(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw InvalidArgument.at(path, 'expected JSON', { cause });
  }
}

const shardIndex = z.object({ weight_map: z.record(z.string(), z.string()) });

async function weightFiles(dir: string): Promise<string[]> {
  const index = join(dir, 'model.safetensors.index.json');
  const text = await textAt(index);
  if (text === undefined) return [join(dir, 'model.safetensors')];
  const parsed = shardIndex.safeParse(jsonOf(index, text));
  const names = [...new Set(Object.values(parsed.data?.weight_map ?? {}))];
  const outside = names.filter((name) => !/^[^/\\]+\.safetensors$/.test(name));
  if (names.length === 0 || outside.length > 0) {
    const got = outside.length > 0 ? outside.slice(0, 10).map(show).join(', ') : 'none';
    throw InvalidArgument.at(index, `expected names of .safetensors files in weight_map, got ${got}`);
  }
  return names.map((name) => join(dir, name));
}

const familyPrefixes = ['model.', 'transformer.'];

/**
 * As transformers reads names: the family's prefix may be missing (checkpoints of the bare body) or stand before what has
 * none, and is then added or left out.
 */
function canonicalName(name: string, known: ReadonlySet<string>): string {
  if (known.has(name)) return name;
  const added = familyPrefixes.map((prefix) => prefix + name).find((full) => known.has(full));
  if (added !== undefined) return added;
  const without = familyPrefixes.find((prefix) => name.startsWith(prefix))?.length ?? 0;
  return known.has(name.slice(without)) ? name.slice(without) : name;
}

const headName = 'lm_head.weight';

/** The same numbers under another name, of which each may be released alone. */
function again(tensor: HostTensor): HostTensor {
  return tensor instanceof FileTensor
    ? new FileTensor(tensor.shape, tensor.range)
    : float32(tensor.shape, (tensor.data as Float32Array).slice());
}

const equal = (p: HostTensor, q: HostTensor): boolean =>
  reading(p, (read) =>
    reading(q, ({ data }) => read.data.length === data.length && read.data.every((v, i) => v === data[i])),
  );

function firstNotFinite(data: Float32Array): number {
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) return i;
  return -1;
}

/**
 * The weights of the sources, opened and read one after the other, checked against what the config asks for. A tied table is
 * read under either of its names; a head that differs from it makes the model an untied one, as in transformers.
 */
async function collect(
  config: ModelConfig,
  sources: readonly (() => Promise<WeightSource>)[],
  inFiles: boolean,
): Promise<Model> {
  const untied = { ...config, tieEmbeddings: false };
  const shapes = new Map(modelParameters(untied).map(({ name, shape }) => [name, shape]));
  const known = new Set(shapes.keys());
  const tensors = new Map<string, HostTensor>();
  const aliases = new Map<string, string>();
  const violations = new Violations();
  const wrong = (field: string, description: string | (() => string)) => violations.add(field, description);
  for (const open of sources) {
    const source = await open();
    try {
      for (const [alias, name] of source.aliases ?? [])
        aliases.set(canonicalName(alias, known), canonicalName(name, known));
      for (const [stored, { shape }] of source.entries) {
        const name = canonicalName(stored, known);
        const want = shapes.get(name);
        if (want === undefined) {
          // Rotary tables of old checkpoints are recomputed.
          if (!name.endsWith('rotary_emb.inv_freq'))
            wrong(stored, () => `expected no such tensor in this ${config.family} model, got [${shape}]`);
        } else if (tensors.has(name)) wrong(stored, 'expected each tensor once, got it twice');
        else if (!sameShape(shape, want)) wrong(stored, `expected [${want}], got [${shape}]`);
        else {
          const { data } = await source.float32(stored);
          const bad = firstNotFinite(data);
          if (bad >= 0) wrong(stored, `expected finite numbers, got ${data[bad]} at element ${bad}`);
          const range = inFiles ? source.plainFloat32?.(stored) : undefined;
          const read = float32(shape, data);
          tensors.set(name, range ? new FileTensor(shape, range) : read);
          if (range) release(read);
        }
      }
    } finally {
      await source.close();
    }
  }
  const [tableName] = shapes.keys();
  if (config.tieEmbeddings && !tensors.has(tableName)) {
    const head = tensors.get(headName);
    if (head) tensors.set(tableName, head);
    tensors.delete(headName);
  }
  for (const [alias, name] of aliases) {
    if (config.tieEmbeddings && alias === headName) continue;
    const tensor = tensors.get(name);
    const fits = tensor && shapes.has(alias) && sameShape(tensor.shape, shapes.get(alias)!);
    if (fits && !tensors.has(alias)) tensors.set(alias, again(tensor));
  }
  const [table, head] = [tensors.get(tableName), tensors.get(headName)];
  const tied = config.tieEmbeddings && !(table && head && !equal(table, head));
  const wanted = tied ? [...known].filter((name) => name !== headName) : [...known];
  const told = new Set(violations.list.map(({ field }) => canonicalName(field, known)));
  for (const name of wanted) {
    if (!tensors.has(name) && !told.has(name))
      wrong(name, `expected a tensor of [${shapes.get(name)}], got nothing`);
  }
  violations.throwIfAny();
  return {
    config: tied === config.tieEmbeddings ? config : untied,
    tensors: new Map(wanted.map((name) => [name, tensors.get(name)!])),
  };
}

/**
 * Loads config and weights as float32 from a checkpoint folder, a GGUF file, or a folder with one. With `inFiles` weights
 * that lie as float32 in safetensors files are checked and left there; the files must stay as they are. Ends of sequence are
 * those of all its files together, the one that ends answers first.
 * @throws NotFound; InvalidArgument naming what is damaged or not supported, and every tensor that is missing, extra, of
 *   the wrong shape, or not finite.
 */
export async function loadModel(path: string, { inFiles = false } = {}): Promise<Model> {
  const gguf = await ggufAt(path);
  const ended = async (config: ModelConfig): Promise<ModelConfig> => ({
    ...config,
    eosTokenIds: await endsOfSequence(await textsOf(path)),
  });
  if (gguf !== undefined) {
    const { config, weights } = await openGgufModel(gguf);
    return collect(await ended(config), [async () => weights], inFiles);
  }
  const configFile = join(path, 'config.json');
  const text = await textAt(configFile);
  if (text === undefined) throw new NotFound(`expected a checkpoint's ${configFile}, got none`);
  const config = await ended(parseConfig(jsonOf(configFile, text)));
  const files = await weightFiles(path);
  return collect(
    config,
    files.map((file) => () => SafetensorsFile.open(file)),
    inFiles,
  );
}

/**
 * Writes a checkpoint folder that `loadModel` and transformers load. It appears whole or not at all.
 * @throws AlreadyExists when the folder is there; InvalidArgument naming a tensor that is not finite.
 */
export async function saveModel(
  dir: string,
  { config, tensors }: Model,
  options: { dtype?: 'F32' | 'F16'; tokenizer?: string; files?: Readonly<Record<string, string>> } = {},
): Promise<void> {
  if (await exists(dir)) throw new AlreadyExists(`expected no folder yet, got ${dir}`);
  for (const [name, { data }] of tensors) {
    if (!(data as Float32Array).every(Number.isFinite))
      throw InvalidArgument.at(name, 'expected finite weights, got NaN or infinity');
  }
  await mkdir(dirname(dir), { recursive: true });
  const temporary = `${dir}.${process.pid}.tmp`;
  await rm(temporary, { recursive: true, force: true });
  try {
    await mkdir(temporary);
    const dtype = options.dtype ?? 'F32';
    const json = { ...toHuggingFaceConfig(config), torch_dtype: dtype === 'F16' ? 'float16' : 'float32' };
    await writeFile(join(temporary, 'config.json'), `${JSON.stringify(json, null, 2)}\n`);
    await writeSafetensors(
      join(temporary, 'model.safetensors'),
      tensors as ReadonlyMap<string, { shape: readonly number[]; data: Float32Array }>,
      { dtype },
    );
    if (options.tokenizer) await copyFile(options.tokenizer, join(temporary, 'tokenizer.json'));
    for (const [name, text] of Object.entries(options.files ?? {}))
      await writeFile(join(temporary, name), text);
    await rename(temporary, dir);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}

/** What a user should know of how the files of a checkpoint were read, a line each. @throws as `loadModel`. */
export async function checkpointNotices(path: string, { config }: Model): Promise<string[]> {
  const read = await textsOf(path);
  const json = JSON.parse((await read('config.json')) ?? '{}');
  const ignored = json['model_type'] === undefined ? [] : ignoredFields(json);
  const untied = json['model_type'] !== undefined && parseConfig(json).tieEmbeddings && !config.tieEmbeddings;
  return [
    ...(ignored.length > 0
      ? [`config.json: ${ignored.join(', ')}: not read, since ${config.family} models do not depend on it`]
      : []),
    ...(untied
      ? [
          'config.json: tie_word_embeddings: taken as false, since lm_head.weight differs from the table of embeddings',
        ]
      : []),
    ...(await endNotices(read)),
  ];
}
