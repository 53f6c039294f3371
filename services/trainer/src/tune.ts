/** One training run from files to files: what a trainer does, and `emotune train`. */
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  type Calibration,
  lexiconsFile,
  type Teaching,
  tasks,
  teachingFile,
  teachingJson,
  teachingOf,
} from '@emotune/affect';
import { AlreadyExists, type Clock, exists, makeFolder, systemClock } from '@emotune/base';
import {
  companionFiles,
  endingWith,
  loadModel,
  loadTokenizer,
  type Method,
  type ModelConfig,
  modelParameters,
  saveAdapter,
  saveModel,
} from '@emotune/models';
import type { FeatureRow } from '@emotune/records/features';
import { textAt } from '@emotune/text';
import {
  assist,
  comparesNumbers,
  type Link,
  Ring,
  type TrainHooks,
  type TrainingSettings,
  type TrainResult,
  train,
  trainSpecOf,
  withExecutor,
} from '@emotune/training';
import { calibrate, type ValidationParts, validationParts } from './calibrating.js';
import { checkRows, readRows, shardsOf, validationRows } from './feature-rows.js';
import { type FoldPlace, splitOf } from './folds.js';
import { numberRows } from './number-rows.js';
import { withRanks } from './ranks/processes.js';

export interface Tuning {
  /** Checkpoint folder. */
  readonly baseModel: string;
  /** Folder of feature shards. */
  readonly features: string;
  readonly trainSplits: readonly string[];
  /** Empty: no validation but on a fold. Half of its texts may be kept for calibration. */
  readonly validationSplit: string;
  /** One of the train splits of which half of the texts may be kept for calibration; absent: of none. */
  readonly calibrationSplit?: string;
  /** Held out of the train splits, for validation. */
  readonly fold?: FoldPlace;
  readonly settings: TrainingSettings;
}

export interface Tuned extends TrainResult {
  readonly config: ModelConfig;
  readonly method: Method;
  readonly teaching: Teaching;
  /** The text of the features' `lexicons.json`; undefined where their cues need none. */
  readonly lexicons: string | undefined;
  /** For calibration: rows of texts that were not trained on. */
  readonly held: readonly FeatureRow[];
}

/** What of a trained model is written. */
type Saved = Pick<Tuned, 'config' | 'method' | 'teaching' | 'lexicons' | 'tensors'>;

/** A run as every rank of it reads it. */
async function prepared(request: Tuning) {
  const { settings, validationSplit, fold } = request;
  const base = await loadModel(request.baseModel, { inFiles: true });
  const wholes = request.trainSplits.filter((split) => split !== request.calibrationSplit);
  const kept = await partsOf(request.features, request.calibrationSplit);
  const given = [...(wholes.length > 0 ? await readRows(request.features, wholes) : []), ...kept.open];
  const validation = await partsOf(request.features, validationSplit);
  const { train: trained, held } = fold ? splitOf(given, fold) : { train: given, held: validation.open };
  const rows = { train: trained, validation: validationRows(held, settings.validationExamples) };
  checkRows([...rows.train, ...rows.validation], base.config);
  const longest = rows.train.reduce((most, { tokens }) => Math.max(most, tokens.length), 0);
  // A final training is given the tokens at which its trial was best, which may have been before its first longest row.
  const tokens =
    request.calibrationSplit === undefined ? settings.tokens : Math.max(settings.tokens, longest);
  const spec = trainSpecOf(
    // The processor's threads are those of all ranks on it.
    { ...settings, tokens, threads: Math.max(1, Math.floor(settings.threads / settings.ranks)) },
    {
      tasks: tasks.filter((task) => rows.train.some((row) => row.task === task)),
      validationTokens: rows.validation.reduce((sum, row) => sum + row.tokens.length, 0),
      longest,
    },
  );
  const trainRows = comparesNumbers(spec.loss)
    ? numberRows(rows.train, await loadTokenizer(request.baseModel))
    : rows.train;
  const aside = [...kept.held, ...validation.held];
  return { base, spec, given, aside, rows: { ...rows, train: trainRows } };
}

/** @throws InvalidArgument, NotFound, Diverged, Interrupted, ResourceExhausted, LostRank. */
export async function tune(request: Tuning, hooks: TrainHooks, clock: Clock = systemClock): Promise<Tuned> {
  const { base, spec, given, aside, rows } = await prepared(request);
  const onDevice = (device: string) => hooks.onNotice?.(`computing on ${device}`);
  const result = await withRanks(spec.ranks, request, (exchange) =>
    withExecutor({ ...spec, onDevice }, (executor) =>
      train({ ...hooks, executor, clock, model: base, rows, spec, exchange, takeWeights: true }),
    ),
  );
  // Other questions about the same rows are many, and each is asked of few.
  const teaching = teachingOf(given.filter(({ derived }) => !derived));
  const lexicons = await textAt(join(request.features, lexiconsFile));
  return { config: base.config, method: spec.method, teaching, lexicons, held: aside, ...result };
}

/** What another rank of the run does. @throws InvalidArgument, NotFound, Diverged, ResourceExhausted, LostRank. */
export async function assistTuning(
  request: Tuning,
  { rank, link }: { readonly rank: number; readonly link: Link },
): Promise<void> {
  const { base, spec, rows } = await prepared(request);
  await withExecutor(spec, (executor) =>
    assist({
      executor,
      clock: systemClock,
      model: base,
      rows,
      spec,
      exchange: new Ring(rank, spec.ranks, link),
    }),
  );
}

async function partsOf(features: string, split = ''): Promise<ValidationParts> {
  return split === '' ? { open: [], held: [] } : validationParts(await readRows(features, [split]));
}

/** Writes what calibration has found beside the weights of a model that was saved. */
export async function saveCalibrations(
  folder: string,
  teaching: Teaching,
  calibrations: readonly Calibration[],
): Promise<void> {
  await writeFile(join(folder, teachingFile), teachingJson({ ...teaching, calibrations }));
}

async function assertNew(folder: string): Promise<void> {
  if (await exists(folder)) throw new AlreadyExists(`expected no folder yet, got ${folder}`);
}

/**
 * Writes the tuned model, or the adapter, beside the base model's tokenizer and what was taught, to a folder that appears
 * whole or not at all.
 * `baseName`: what the adapter calls its base model; `more`: further files by their names; `dtype`: of whole weights.
 * @throws AlreadyExists; InvalidArgument naming a tensor that is not finite.
 */
export async function saveTuned(
  folder: string,
  { config, method, teaching, lexicons, tensors }: Saved,
  {
    baseModel,
    baseName,
    more = {},
    dtype = 'F32',
  }: {
    baseModel: string;
    baseName: string;
    more?: Readonly<Record<string, string>>;
    dtype?: 'F32' | 'F16';
  },
): Promise<void> {
  await assertNew(folder);
  const temporary = `${folder}.part`;
  await rm(temporary, { recursive: true, force: true });
  await makeFolder(dirname(folder));
  try {
    const { endTokenId } = teaching;
    const files = {
      ...(await companionFiles(baseModel, endTokenId)),
      [teachingFile]: teachingJson(teaching),
      ...(lexicons === undefined ? {} : { [lexiconsFile]: lexicons }),
      ...more,
    };
    if (method.name === 'full') {
      const all = await completed(tensors, config, baseModel);
      await saveModel(temporary, { config: endingWith(config, endTokenId), tensors: all }, { files, dtype });
    } else {
      await mkdir(temporary);
      for (const [name, text] of Object.entries(files)) await writeFile(join(temporary, name), text);
      await saveAdapter(temporary, { lora: method, tensors }, config, baseName);
    }
    await rename(temporary, folder);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}

/** The weights that were trained among those of the base that were not. */
async function completed(
  trained: TrainResult['tensors'],
  config: ModelConfig,
  baseModel: string,
): Promise<TrainResult['tensors']> {
  if (trained.size === modelParameters(config).length) return trained;
  return new Map([...(await loadModel(baseModel)).tensors, ...trained]);
}

export interface TrainOnceOptions extends TrainHooks {
  /** Checkpoint folder. */
  readonly baseModel: string;
  /** Folder of feature shards: split train, and validation where there is one. */
  readonly features: string;
  /** Folder for the result, which must not exist. */
  readonly out: string;
  readonly settings: TrainingSettings;
}

export type TrainedOnce = Pick<
  TrainResult,
  'best' | 'step' | 'tokens' | 'tokensPerSecond' | 'stopped' | 'forgetting'
> & { readonly calibrations: readonly Calibration[] };

/**
 * One training run without the platform; the same code as a trainer's. Goes on from `checkpoints` when there are some.
 * Then it is calibrated, on the validation rows that were kept aside. Interrupted there, it is whole but uncalibrated.
 * @throws AlreadyExists, InvalidArgument, NotFound, Diverged, Interrupted, ResourceExhausted.
 */
export async function trainOnce({
  baseModel,
  features,
  out,
  settings,
  ...hooks
}: TrainOnceOptions): Promise<TrainedOnce> {
  await assertNew(out);
  const validationSplit = (await shardsOf(features, 'validation')).length > 0 ? 'validation' : '';
  const request = { baseModel, features, trainSplits: ['train'], validationSplit, settings };
  const tuned = await tune(request, hooks);
  await saveTuned(out, tuned, { baseModel, baseName: baseModel });
  const { held, teaching, best, step, tokens, tokensPerSecond, stopped, forgetting } = tuned;
  if (held.length > 0)
    hooks.onNotice?.(
      `calibrating on ${held.length} validation rows kept aside; once more, or later: emotune calibrate`,
    );
  const asked = tuned.method.name === 'full' ? { folder: out } : { folder: baseModel, adapter: out };
  const calibrations = await calibrate({ ...asked, threads: settings.threads }, teaching, held, hooks.signal);
  await saveCalibrations(out, teaching, calibrations);
  return { best, step, tokens, tokensPerSecond, stopped, forgetting, calibrations };
}
