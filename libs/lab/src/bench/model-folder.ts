/** The models that benchmarks run. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InvalidArgument, NotFound } from '@emotune/base';
import { release } from '@emotune/engine';
import { initialTensors, loadModel, type Model, parseConfig, saveModel } from '@emotune/models';

/** Comes with the project. */
export const shippedModel = fileURLToPath(new URL('../../../../models/emotune-llama-4m', import.meta.url));

/** @throws NotFound */
async function hasWeights(folder: string): Promise<boolean> {
  const files = await readdir(folder).catch((cause) => {
    throw new NotFound(`expected a folder with config.json, got ${folder} (${cause.code})`, { cause });
  });
  return (
    files.some((name) => /^model\.safetensors(\.index\.json)?$/.test(name)) || !files.includes('config.json')
  );
}

/**
 * The model of a checkpoint folder, with random weights where it holds config.json alone.
 * @throws NotFound; InvalidArgument naming what is wrong with the checkpoint.
 */
export async function modelOfShape(folder: string): Promise<Model> {
  if (await hasWeights(folder)) return loadModel(folder, { inFiles: true });
  const path = join(folder, 'config.json');
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw InvalidArgument.at(path, 'expected JSON', { cause });
  }
  const config = parseConfig(json);
  return { config, tensors: initialTensors(config, 1) };
}

/**
 * What `use` makes of a checkpoint folder with this model. Random weights lie in a temporary one meanwhile, so that a model
 * without weights takes the memory of one with them.
 * @throws as `modelOfShape`
 */
export async function withCheckpoint<T>(folder: string, use: (checkpoint: string) => Promise<T>): Promise<T> {
  if (await hasWeights(folder)) return use(folder);
  const model = await modelOfShape(folder);
  const temporary = await mkdtemp(join(tmpdir(), 'emotune-bench-'));
  try {
    const checkpoint = join(temporary, basename(folder));
    await saveModel(checkpoint, model);
    for (const tensor of model.tensors.values()) release(tensor);
    return await use(checkpoint);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}
