/** Checkpoint folders as Hugging Face publishes them (config.json, one or several safetensors files, tokenizer.json), and GGUF. */
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AlreadyExists, exists, InvalidArgument, NotFound, show, Violations } from '@emotune/base';
import { FileTensor, float32, type HostTensor, reading, release } from '@emotune/engine';
import { sameShape } from '@emotune/graph';
import { z } from 'zod';
import { type ModelConfig, parseConfig, toHuggingFaceConfig } from './config.js';
import { openGgufModel, type WeightSource } from './gguf-model.js';
import { modelParameters } from './parameters.js';
import { SafetensorsFile, writeSafetensors } from './safetensors.js';

export interface Model {
  readonly config: ModelConfig;
  /** By the names of `modelParameters`. */
  readonly tensors: Map<string, HostTensor>;
}

async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new NotFound(`expected a checkpoint's ${path} (${(cause as NodeJS.ErrnoException).code})`, {
      cause,
    });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw InvalidArgument.at(path, 'expected JSON', { cause });
  }
}

const shardIndex = z.object({ weight_map: z.record(z.string(), z.string()) });

async function weightFiles(dir: string): Promise<string[]> {
  const index = join(dir, 'model.safetensors.index.json');
  if (!(await exists(index))) return [join(dir, 'model.safetensors')];
  const parsed = shardIndex.safeParse(await readJson(index));
  const names = [...new Set(Object.values(parsed.data?.weight_map ?? {}))];
  const outside = names.filter((name) => !/^[^/\\]+\.safetensors$/.test(name));
  if (names.length === 0 || outside.length > 0) {
    const got = outside.length > 0 ? outside.map(show).join(', ') : 'none';
    throw InvalidArgument.at(index, `expected names of .safetensors files in weight_map, got ${got}`);
  }
  return names.map((name) => join(dir, name));
}

/**
 * The GGUF file that a path stands for: itself, or the only one of a folder without safetensors; undefined for others.
 * @throws InvalidArgument when there are several.
 */
export async function ggufAt(path: string): Promise<string | undefined> {
  if (path.endsWith('.gguf') && !(await stat(path).catch(() => undefined))?.isDirectory()) return path;
  const names = await readdir(path).catch(() => [] as string[]);
  const found = names.filter((name) => name.endsWith('.gguf'));
  if (found.length === 0 || names.some((name) => /^model.*\.safetensors$/.test(name))) return undefined;
  if (found.length > 1)
    throw InvalidArgument.at(
      path,
      `expected one GGUF file, got ${found.sort().join(', ')}; name the file itself, or leave one in the folder`,
    );
  return join(path, found[0]);
}

/** The family's prefix may be missing (checkpoints of the bare body) and is then added. */
function canonicalName(name: string, known: ReadonlySet<string>): string {
  if (known.has(name)) return name;
  return (
    ['model.', 'transformer.'].map((prefix) => `${prefix}${name}`).find((full) => known.has(full)) ?? name
  );
}

function firstNotFinite(data: Float32Array): number {
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) return i;
  return -1;
}

/** The weights of the sources, opened and read one after the other, checked against what the config asks for. */
async function collect(
  config: ModelConfig,
  sources: readonly (() => Promise<WeightSource>)[],
  inFiles: boolean,
): Promise<Model> {
  const wanted = new Map(modelParameters(config).map(({ name, shape }) => [name, shape]));
  const known = new Set(wanted.keys());
  const tensors = new Map<string, HostTensor>();
  const violations = new Violations();
  const wrong = (field: string, description: string) => violations.add(field, description);
  /** A head stored beside the table that it repeats. */
  let repeated: Float32Array | undefined;
  for (const open of sources) {
    const source = await open();
    try {
      for (const [stored, { shape }] of source.entries) {
        const name = canonicalName(stored, known);
        const want = wanted.get(name);
        if (want === undefined) {
          if (name === 'lm_head.weight' && config.tieEmbeddings)
            repeated = (await source.float32(stored)).data;
          // Rotary tables of old checkpoints are recomputed.
          else if (!name.endsWith('rotary_emb.inv_freq'))
            wrong(stored, `expected no such tensor in this ${config.family} model, got [${shape}]`);
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
  for (const [name, shape] of wanted) {
    if (!tensors.has(name) && !violations.list.some((v) => canonicalName(v.field, known) === name))
      wrong(name, `expected a tensor of [${shape}], got nothing`);
  }
  const [embeddings] = wanted.keys();
  const table = tensors.get(embeddings);
  const head = repeated;
  if (
    head &&
    table &&
    !reading(table, ({ data }) => head.length === data.length && head.every((v, i) => v === data[i]))
  )
    wrong(
      'lm_head.weight',
      'expected the embedding table, as tie_word_embeddings says, got other values; set tie_word_embeddings to false to keep them',
    );
  violations.throwIfAny();
  return { config, tensors: new Map([...wanted.keys()].map((name) => [name, tensors.get(name)!])) };
}

/**
 * Loads config and weights as float32 from a checkpoint folder, a GGUF file, or a folder with one. With `inFiles` weights
 * that lie as float32 in safetensors files are checked and left there; the files must stay as they are.
 * @throws NotFound; InvalidArgument naming what is damaged or not supported, and every tensor that is missing, extra, of
 *   the wrong shape, or not finite.
 */
export async function loadModel(path: string, { inFiles = false } = {}): Promise<Model> {
  const gguf = await ggufAt(path);
  if (gguf !== undefined) {
    const { config, weights } = await openGgufModel(gguf);
    return collect(config, [async () => weights], inFiles);
  }
  const config = parseConfig(await readJson(join(path, 'config.json')));
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
  options: { dtype?: 'F32' | 'F16'; tokenizer?: string; files?: Record<string, string> } = {},
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
