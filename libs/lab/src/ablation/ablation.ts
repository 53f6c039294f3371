/** `emotune bench ablation`: what each feature of training is worth on one split and budget. */
import { mkdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { FolderStore } from '@emotune/objects';
import { modelHash } from '../distill/teachers.js';
import { type Effect, effectsOf, type Figures, helps, levels, neverFound } from './effects.js';
import { type Feature, features, reference } from './features.js';
import { ablationRun } from './run.js';
import { RunsFile, type Workload } from './runs-file.js';
import { type AblationRows, hashOfRows, storeRows } from './split.js';

export interface AblationOptions extends Omit<Workload, 'model' | 'rows'> {
  /** Checkpoint folder. */
  readonly model: string;
  /** Seeds 1 to this. */
  readonly seeds: number;
  /** Features by their names; empty: all. */
  readonly only: readonly string[];
  /** The file that runs are appended to. */
  readonly runs: string;
  readonly threads: number;
  readonly rows: AblationRows;
  readonly signal: AbortSignal;
  readonly onRun: (variant: string, seed: number, done: number, total: number) => void;
  readonly onProgress: (phase: string, done: number, total: number, unit: string) => void;
}

export interface AblationFigures {
  readonly workload: Workload;
  readonly seeds: number;
  readonly features: readonly (Feature & {
    readonly validation: Effect;
    readonly test: Effect;
    /** By the validation rows. */
    readonly helps: boolean;
  })[];
  /** The reference on test rows. */
  readonly reference: Figures;
  readonly testRows: number;
  readonly neverFound: ReturnType<typeof neverFound>;
}

async function stores(rows: AblationRows, work: string) {
  await mkdir(work, { recursive: true });
  const objects = await FolderStore.open(join(work, 'objects'));
  return { objects, dataset: await storeRows(rows, objects) };
}

/** Runs what the file lacks, seed by seed, so that an ablation that was stopped has whole seeds. @throws as `ablationRun` */
export async function benchAblation(options: AblationOptions): Promise<AblationFigures> {
  const { model, seeds, only, rows, runs: file, signal, onRun, ...rest } = options;
  const { tokens, trainRows, method, learningRate, batchTokens, threads, onProgress } = rest;
  const name = `${basename(model)} ${(await modelHash([model])).slice(0, 12)}`;
  const workload = {
    ...{ model: name, rows: hashOfRows(rows), tokens, trainRows },
    ...{ method, learningRate, batchTokens },
  };
  const known = await RunsFile.open(file, workload);
  const chosen = features.filter(({ name }) => only.length === 0 || only.includes(name));
  const variants = [undefined, ...chosen];
  const work = `${file}.work`;
  let stored: Awaited<ReturnType<typeof stores>> | undefined;
  for (let seed = 1, done = 0; seed <= seeds; seed++)
    for (const feature of variants) {
      const variant = feature?.name ?? reference;
      onRun(variant, seed, done++, seeds * variants.length);
      if (known.has(variant, seed)) continue;
      stored ??= await stores(rows, work);
      const own = join(work, `${variant.replaceAll(' ', '-')}-${seed}`);
      // A model that was trained, but not asked to the end, is trained again.
      await rm(join(own, 'model'), { recursive: true, force: true });
      await known.add(
        await ablationRun({
          ...{ workload, feature, seed, model, rows, ...stored },
          ...{ work: own, threads, signal, onProgress },
        }),
      );
      await rm(own, { recursive: true });
    }
  await rm(work, { recursive: true, force: true });
  const used = known.runs.filter((run) => run.seed <= seeds);
  const test = effectsOf(used, 'test');
  return {
    workload,
    seeds,
    testRows: rows.test.length,
    features: effectsOf(used, 'validation').map((validation, i) => ({
      ...features.find(({ name }) => name === validation.feature)!,
      validation,
      test: test[i],
      helps: helps(validation),
    })),
    reference: levels(
      used.filter(({ variant }) => variant === reference),
      'test',
    ),
    neverFound: neverFound(used),
  };
}
