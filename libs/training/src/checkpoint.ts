/**
 * Training checkpoints: one folder per step with the tensors, the run's state and the hashes of both. A folder is
 * whole or absent; one that is damaged or belongs to another run is passed over, by name, for the one before it.
 * Random draws are named by seed and step, so there is no generator to keep.
 */
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { canonicalJson, makeFolder, sha256, sha256OfFile, syncToDisk } from '@emotune/base';
import { float32, type HostTensor } from '@emotune/engine';
import { SafetensorsFile, type WrittenTensor, writeSafetensors } from '@emotune/models';
import { z } from 'zod';
import { LostOrigin } from './failures.js';

const state = z.strictObject({
  /** Of the spec and the rows: another run's checkpoint is refused. */
  run: z.string(),
  step: z.number().int(),
  tokens: z.number(),
  examples: z.number(),
  seconds: z.number(),
  cursor: z.strictObject({
    stage: z.number().int(),
    epoch: z.number().int(),
    index: z.number().int(),
    stageTokens: z.number(),
    /** Of those, the ones before the epoch. */
    epochTokens: z.number(),
  }),
  /** What the last step measured, where its validation did not come to its end. */
  pending: z
    .strictObject({ trainLoss: z.number(), learningRate: z.number(), gradientNorm: z.number() })
    .nullable(),
  sinceValidation: z.number(),
  best: z.strictObject({ objective: z.number(), tokens: z.number(), step: z.number().int() }).nullable(),
  misses: z.number().int(),
  /** Objectives of each task at the end of each stage so far. */
  stageObjectives: z.array(z.record(z.string(), z.number())),
  stopped: z.enum(['patience', 'directive']).nullable(),
  /** Of the weights: steps less those that were skipped. */
  updates: z.number().int(),
  /** What the runs did that it goes on from; the numbers above are its own, but for the cursor and the updates. */
  before: z.strictObject({ steps: z.number().int(), tokens: z.number() }),
  lossScale: z.strictObject({ scale: z.number(), goodSteps: z.number().int() }).nullable(),
});

/** Where a run stands. */
export type RunState = z.output<typeof state>;

const manifest = z.strictObject({
  state,
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

/** Writes a checkpoint below `dir` and removes all but the `kept` newest. Its folder. */
export async function saveCheckpoint(
  dir: string,
  run: RunState,
  tensors: ReadonlyMap<string, WrittenTensor>,
  kept: number,
): Promise<string> {
  const final = join(dir, folderName(run.step));
  const temporary = `${final}.${process.pid}.tmp`;
  await rm(temporary, { recursive: true, force: true });
  await makeFolder(temporary);
  await writeSafetensors(join(temporary, tensorFile), tensors);
  const files = { [tensorFile]: await sha256OfFile(join(temporary, tensorFile)) };
  const content = canonicalJson({ state: run, files, hash: sha256(canonicalJson({ state: run, files })) });
  await writeFile(join(temporary, manifestFile), content);
  for (const path of [tensorFile, manifestFile]) await syncToDisk(join(temporary, path));
  await syncToDisk(temporary);
  await rm(final, { recursive: true, force: true });
  await rename(temporary, final);
  await syncToDisk(dir);
  const all = (await readdir(dir)).filter((name) => stepFolder.test(name)).sort();
  for (const old of all.slice(0, -kept)) await rm(join(dir, old), { recursive: true, force: true });
  return final;
}

export interface Checkpoint {
  readonly state: RunState;
  readonly tensors: Map<string, HostTensor>;
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
    const tensors = new Map<string, HostTensor>();
    for (const key of file.entries.keys()) {
      const { shape, data } = await file.float32(key);
      tensors.set(key, float32(shape, data));
    }
    return { state: found, tensors };
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
