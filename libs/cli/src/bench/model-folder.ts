/** The models that benchmarks run. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InvalidArgument, NotFound } from '@emotune/base';
import { initialTensors, loadModel, type Model, parseConfig } from '@emotune/models';

/** Comes with the project. */
export const shippedModel = fileURLToPath(new URL('../../../../models/emotune-llama-4m', import.meta.url));

/**
 * The model of a checkpoint folder, with random weights where it holds config.json alone.
 * @throws NotFound; InvalidArgument naming what is wrong with the checkpoint.
 */
export async function modelOfShape(folder: string): Promise<Model> {
  const files = await readdir(folder).catch((cause) => {
    throw new NotFound(`expected a folder with config.json, got ${folder} (${cause.code})`, { cause });
  });
  if (
    files.some((name) => /^model\.safetensors(\.index\.json)?$/.test(name)) ||
    !files.includes('config.json')
  )
    return loadModel(folder, { inFiles: true });
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
