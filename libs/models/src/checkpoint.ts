/** Checkpoint folders as Hugging Face publishes them: config.json, one or several safetensors files, tokenizer.json. */
import { access, copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AlreadyExists, InvalidArgument, NotFound, type Violation } from '@emotune/base';
import { float32, type HostTensor } from '@emotune/engine';
import { sameShape } from '@emotune/graph';
import { type ModelConfig, parseConfig, toHuggingFaceConfig } from './config.js';
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

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function weightFiles(dir: string): Promise<string[]> {
  const index = join(dir, 'model.safetensors.index.json');
  if (!(await exists(index))) return [join(dir, 'model.safetensors')];
  const { weight_map: map } = (await readJson(index)) as { weight_map?: Record<string, string> };
  const names = [...new Set(Object.values(map ?? {}))];
  const outside = names.filter((name) => name.includes('/') || name.includes('\\') || name.includes('..'));
  if (names.length === 0 || outside.length > 0)
    throw InvalidArgument.at(index, `expected file names in weight_map, got ${outside.join(', ') || 'none'}`);
  return names.map((name) => join(dir, name));
}

/** The family's prefix may be missing (checkpoints of the bare body) and is then added. */
function canonicalName(name: string, known: ReadonlySet<string>): string {
  if (known.has(name)) return name;
  return (
    ['model.', 'transformer.'].map((prefix) => `${prefix}${name}`).find((full) => known.has(full)) ?? name
  );
}

/**
 * Loads config and weights as float32.
 * @throws NotFound; InvalidArgument naming every tensor that is missing, extra, of the wrong shape, or not finite.
 */
export async function loadModel(dir: string): Promise<Model> {
  const config = parseConfig(await readJson(join(dir, 'config.json')));
  const wanted = new Map(modelParameters(config).map(({ name, shape }) => [name, shape]));
  const known = new Set(wanted.keys());
  const tensors = new Map<string, HostTensor>();
  const violations: Violation[] = [];
  for (const path of await weightFiles(dir)) {
    const file = await SafetensorsFile.open(path);
    try {
      for (const [stored, { shape }] of file.entries) {
        const name = canonicalName(stored, known);
        const want = wanted.get(name);
        if (want === undefined) {
          // A tied head may be stored beside the table it repeats; rotary tables of old checkpoints are recomputed.
          if ((name === 'lm_head.weight' && config.tieEmbeddings) || name.endsWith('rotary_emb.inv_freq'))
            continue;
          violations.push({
            field: stored,
            description: `expected no such tensor in this ${config.family} model, got [${shape}]`,
          });
        } else if (!sameShape(shape, want)) {
          violations.push({ field: stored, description: `expected [${want}], got [${shape}]` });
        } else {
          const { data } = await file.float32(stored);
          const bad = data.findIndex((v) => !Number.isFinite(v));
          if (bad >= 0)
            violations.push({
              field: stored,
              description: `expected finite numbers, got ${data[bad]} at element ${bad}`,
            });
          tensors.set(name, float32(shape, data));
        }
      }
    } finally {
      await file.close();
    }
  }
  for (const [name, shape] of wanted) {
    if (!tensors.has(name) && !violations.some((v) => canonicalName(v.field, known) === name)) {
      violations.push({ field: name, description: `expected a tensor of [${shape}], got nothing` });
    }
  }
  if (violations.length > 0) throw new InvalidArgument(violations);
  return { config, tensors: new Map([...wanted.keys()].map((name) => [name, tensors.get(name)!])) };
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
