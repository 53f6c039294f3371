/** One run of an ablation: features, training, calibration and answers of a variant, as a trial and its model version have them. */
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { parseTeaching, type SourceExample, type Teaching, teachingFile } from '@emotune/affect';
import { Answerer } from '@emotune/answering';
import { predict, predictOtherwise } from '@emotune/evaluation';
import { buildFeatures, planOf } from '@emotune/featurization';
import { loadTokenizer } from '@emotune/models';
import type { ObjectStore } from '@emotune/objects';
import { readRows, trainOnce, validationParts } from '@emotune/trainer';
import { parseSettings } from '@emotune/training';
import { keptAnswer, type PartAnswers } from './answers.js';
import { type Feature, reference, referenceFeatures, referenceSettings } from './features.js';
import type { AblationRun, Workload } from './runs-file.js';
import type { AblationRows } from './split.js';

/** Of each subtask and part. */
const askedOtherwise = 40;
const validationExamples = 100;

export interface RunOptions {
  readonly workload: Workload;
  /** The feature whose variant it is; undefined for the reference. */
  readonly feature: Feature | undefined;
  readonly seed: number;
  /** Checkpoint folder. */
  readonly model: string;
  readonly rows: AblationRows;
  readonly objects: ObjectStore;
  readonly dataset: { readonly version: string; readonly prefix: string };
  /** Of this run alone; what is in it after an interruption is gone on with. */
  readonly work: string;
  readonly threads: number;
  readonly signal: AbortSignal;
  readonly onProgress: (phase: string, done: number, total: number, unit: string) => void;
}

async function featuresOf({ workload, feature, seed, model, objects, dataset, onProgress }: RunOptions) {
  const name = basename(model);
  const plan = planOf({
    name: 'ablation',
    dataset: 'ablation',
    baseModels: [name],
    withoutCues: false,
    inducedLexicon: false,
    lexicons: [],
    varyScales: false,
    augmentations: [],
    untaughtScales: [],
    maxTokens: 0,
    seed,
    limitTrain: workload.trainRows,
    limitValidation: 0,
    limitTest: 0,
    ...referenceFeatures,
    ...feature?.features,
  });
  const { tokenized } = await buildFeatures(plan, {
    objects,
    dataset,
    tokenizers: [{ tokenizer: await loadTokenizer(model), baseModels: [name] }],
    lexicons: [],
    augmentation: {},
    onProgress: ({ phase, done, total, unit }) => onProgress(phase, done, total, unit),
  });
  return objects.folder(tokenized[0].prefix);
}

/** @throws as `trainOnce`; Interrupted, with a checkpoint in `work`. */
export async function ablationRun(options: RunOptions): Promise<AblationRun> {
  const { workload, feature, seed, model, rows, work, threads, signal, onProgress } = options;
  const { tokens, method, learningRate, batchTokens } = workload;
  await using features = await featuresOf(options);
  const out = join(work, 'model');
  const trained = await trainOnce({
    baseModel: model,
    features: features.path,
    out,
    checkpoints: join(work, 'checkpoints'),
    signal,
    settings: parseSettings({
      tokens,
      method,
      learningRate,
      batchTokens,
      validationExamples,
      seed,
      threads,
      ...referenceSettings,
      ...feature?.settings,
    }),
    onMeasurement: (measurement) => {
      onProgress('training', measurement.tokens, measurement.totalTokens, 'tokens');
      return 'continue';
    },
  });
  const asked = method === 'full' ? { folder: out, threads } : { folder: model, adapter: out, threads };
  const teaching = parseTeaching(await readFile(join(out, teachingFile), 'utf8'));
  const { open } = validationParts(await readRows(features.path, ['validation']));
  const answerer = await Answerer.open(asked);
  try {
    const openIds = new Set(open.map(({ task, id }) => `${task} ${id}`));
    const answered = (part: readonly SourceExample[]) =>
      partAnswers(answerer, part, { teaching, signal, onProgress });
    return {
      workload,
      variant: feature?.name ?? reference,
      seed,
      seconds: trained.tokens / trained.tokensPerSecond,
      tokensPerSecond: trained.tokensPerSecond,
      objective: trained.best?.objective ?? null,
      answers: {
        validation: await answered(rows.validation.filter(({ task, id }) => openIds.has(`${task} ${id}`))),
        test: await answered(rows.test),
      },
    };
  } finally {
    await answerer.close();
  }
}

async function partAnswers(
  answerer: Answerer,
  examples: readonly SourceExample[],
  {
    teaching,
    signal,
    onProgress,
  }: { readonly teaching: Teaching } & Pick<RunOptions, 'signal' | 'onProgress'>,
): Promise<PartAnswers> {
  const answering = (done: number, total: number) => {
    signal.throwIfAborted();
    onProgress('answering', done, total, 'rows');
  };
  const { predictions } = await predict(answerer, examples, {
    teaching,
    onProgress: (done) => answering(done, examples.length),
  });
  const otherwise = await predictOtherwise(answerer, examples, {
    teaching,
    perTask: askedOtherwise,
    onProgress: answering,
  });
  return {
    usual: predictions.map((prediction) => keptAnswer(prediction)),
    otherwise: otherwise.map(({ kind, prediction }) => keptAnswer(prediction, kind)),
  };
}
