/**
 * Training checkpoints: one folder per step with the tensors, the run's state and the hashes of both. A folder is
 * whole or absent; one that is damaged or belongs to another run is passed over, by name, for the one before it.
 * Random draws are named by seed and step, so there is no generator to keep.
 */
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { canonicalJson, makeFolder, sha256, sha256OfFile, syncToDisk } from '@emotune/base';
import { float32, type HostTensor } from '@emotune/engine';
import {
  SafetensorsFile,
  slotNames,
  type WrittenTensor,
  weightOfBest,
  writeSafetensors,
} from '@emotune/models';
import { z } from 'zod';
import { LostOrigin } from './failures.js';
import { type RunState, runState } from './run-state.js';

const manifest = z.strictObject({
  state: runState,
  /** SHA-256 of each file beside the manifest. */
  files: z.record(z.string(), z.string()),
  /** SHA-256 of the two. */
  hash: z.string(),
});
const manifestFile = 'manifest.json';
const tensorFile = 'tensors.safetensors';
const stepFolder = /^step-\d+$/;

function folderName(step: number): string {
  return `step-${String(step).padStart(9, '0')}`;
}

/** What of a run goes into its checkpoints beside its state. */
export interface Saved {
  readonly tensors: ReadonlyMap<string, WrittenTensor>;
  /** The weights that are kept as the best, where some are. */
  readonly best?: ReadonlyMap<string, HostTensor> | undefined;
}

/** Writes a checkpoint below `dir` and removes all but the `kept` newest. Its folder. */
export async function saveCheckpoint(
  dir: string,
  run: RunState,
  { tensors, best }: Saved,
  kept: number,
): Promise<string> {
  const final = join(dir, folderName(run.step));
  const temporary = `${final}.${process.pid}.tmp`;
  await rm(temporary, { recursive: true, force: true });
  await makeFolder(temporary);
  const all = new Map(tensors);
  for (const [name, { shape, data }] of best ?? [])
    all.set(slotNames.best(name), { shape, data: data as Float32Array });
  await writeSafetensors(join(temporary, tensorFile), all);
  const files = { [tensorFile]: await sha256OfFile(join(temporary, tensorFile)) };
  const content = canonicalJson({ state: run, files, hash: sha256(canonicalJson({ state: run, files })) });
  await writeFile(join(temporary, manifestFile), content);
  for (const path of [tensorFile, manifestFile]) await syncToDisk(join(temporary, path));
  await syncToDisk(temporary);
  await rm(final, { recursive: true, force: true });
  await rename(temporary, final);
  await syncToDisk(dir);
  const folders = (await readdir(dir)).filter((name) => stepFolder.test(name)).sort();
  for (const old of folders.slice(0, -kept)) await rm(join(dir, old), { recursive: true, force: true });
  return final;
}

export interface Checkpoint {
  readonly state: RunState;
  readonly tensors: ReadonlyMap<string, HostTensor>;
  /** The weights that were kept as the best, where some were. */
  readonly best: Map<string, HostTensor> | undefined;
}

/** Newest first. */
async function foldersIn(dir: string): Promise<string[]> {
  const names = (await readdir(dir).catch(() => [])).filter((name) => stepFolder.test(name));
  return names
    .sort()
    .reverse()
    .map((name) => join(dir, name));
}

/** @throws with what is wrong with it, as far as `accepts` does not refuse it first. */
async function readCheckpoint(folder: string, accepts: (state: RunState) => void): Promise<Checkpoint> {
  const {
    state: found,
    files,
    hash,
  } = manifest.parse(JSON.parse(await readFile(join(folder, manifestFile), 'utf8')));
  if (sha256(canonicalJson({ state: found, files })) !== hash) throw new Error(`${manifestFile} is damaged`);
  accepts(found);
  if ((await sha256OfFile(join(folder, tensorFile))) !== files[tensorFile])
    throw new Error(`${tensorFile} is damaged`);
  const file = await SafetensorsFile.open(join(folder, tensorFile));
  try {
    const [tensors, best] = [new Map<string, HostTensor>(), new Map<string, HostTensor>()];
    for (const key of file.entries.keys()) {
      const { shape, data } = await file.float32(key);
      const tensor = float32(shape, data);
      const weight = weightOfBest(key);
      if (weight === undefined) tensors.set(key, tensor);
      else best.set(weight, tensor);
    }
    return { state: found, tensors, best: best.size > 0 ? best : undefined };
  } finally {
    await file.close();
  }
}

function whyNot(error: unknown): string {
  return error instanceof z.ZodError || error instanceof SyntaxError
    ? `${manifestFile} is not one of ours`
    : (error as Error).message;
}

/**
 * The newest checkpoint that is whole and belongs to this run, or undefined.
 * `onRefused` hears of each one that was passed over, and why.
 */
export async function loadCheckpoint(
  dir: string,
  run: string,
  onRefused: (folder: string, reason: string) => void,
): Promise<Checkpoint | undefined> {
  for (const folder of await foldersIn(dir)) {
    try {
      return await readCheckpoint(folder, (state) => {
        if (state.run !== run) throw new Error('it belongs to a run with another spec, model or data');
      });
    } catch (error) {
      onRefused(folder, whyNot(error));
    }
  }
  return undefined;
}

/**
 * The last checkpoint of another run, whatever its spec: an older one would be another run's middle.
 * @throws LostOrigin when there is none or it is damaged.
 */
export async function loadOrigin(dir: string): Promise<Checkpoint> {
  const [folder] = await foldersIn(dir);
  if (folder === undefined) throw new LostOrigin(`there is no checkpoint in ${dir}`);
  try {
    return await readCheckpoint(folder, () => {});
  } catch (error) {
    throw new LostOrigin(`${folder} cannot be used: ${whyNot(error)}`, { cause: error });
  }
}
