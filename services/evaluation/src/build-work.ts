/** What the evaluation service does in the process of a build: reads rows, asks the model, measures, writes the report. */
import { writeFile } from 'node:fs/promises';
import { arch, availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { type Example, explain, type Teaching, tasks, unseenLanguages } from '@emotune/affect';
import { Answerer } from '@emotune/answering';
import { FailedPrecondition, sha256 } from '@emotune/base';
import { openObjectStore } from '@emotune/objects';
import type { common, evaluation, files, tuning } from '@emotune/proto';
import { decodePredictions, encodePredictions, type Prediction } from '@emotune/records';
import type { BuildWork } from '@emotune/service';
import { teachingOfModel } from '@emotune/service/words';
import { analyseTask } from './analysis.js';
import { type Predicted, predict } from './asking.js';
import { type OtherwisePrediction, predictOtherwise } from './asking-otherwise.js';
import { checkBehaviour } from './checking.js';
import { compare } from './comparing.js';
import { type ReportData, renderReport } from './report.js';
import { resultsJson } from './results-file.js';
import { stagesOf } from './stages.js';
import { checkFile, limited, readSource, type Source, type Target } from './targets.js';

export type Result = Pick<
  evaluation.Evaluation,
  'tasks' | 'slices' | 'hardest' | 'examplesPerSecond' | 'artifacts' | 'checks' | 'warnings' | 'stages'
>;

export interface EvaluationBuild {
  /** Of the object store. */
  readonly objects: string;
  /** Where the files are written, by the names that they are stored under. */
  readonly folder: string;
  readonly source: Source;
  /** Empty for a file. */
  readonly split: string;
  readonly perTask: number;
  readonly threads: number;
  /** The evaluation as it is shown once it is done, but for its results. */
  readonly evaluation: evaluation.Evaluation;
  readonly model: tuning.Model;
  readonly beside: Pick<ReportData, 'base' | 'trials' | 'insight' | 'explanations'>;
}

const seed = 0;

export const check: BuildWork<
  { readonly target: Target & { readonly kind: 'file' }; readonly objects: string },
  void
> = async ({ target, objects }) => checkFile(target, await openObjectStore(objects));

/** Compares the predictions of two evaluations, by their folders. */
export const compareStored: BuildWork<
  { readonly objects: string; readonly first: string; readonly second: string },
  evaluation.TaskComparison[]
> = async ({ objects: url, first, second }) => {
  const objects = await openObjectStore(url);
  const predictions = async (prefix: string) =>
    decodePredictions(await objects.get(`${prefix}/predictions.arrow`));
  return compare(await predictions(first), await predictions(second), seed);
};

/** @throws as `readSource`; FailedPrecondition where there is nothing to ask, or the model cannot be used. */
export const evaluate: BuildWork<EvaluationBuild, Result> = async (given, report) => {
  const { source, split, model, beside } = given;
  const objects = await openObjectStore(given.objects);
  const material = await readSource(source, objects);
  const examples = limited(material.examples, given.perTask);
  if (examples.length === 0 && source.kind !== 'checks')
    throw new FailedPrecondition(`${source.dataset} has no ${split} rows; add some or ask another split`);

  report({ phase: 'loading the model', done: 0, total: 0, unit: 'files' });
  const answerer = await Answerer.openStored(model, (prefix) => objects.folder(prefix), {
    threads: given.threads,
  });
  const { predictions, raw, checks, seconds, otherwise } = await ask(
    answerer,
    { model, examples, source },
    report,
  ).finally(() => answerer.close());

  const analyses = [];
  for (const task of tasks.filter((t) => predictions.some((p) => p.task === t))) {
    report({ phase: `measuring ${task}`, done: 0, total: 0, unit: 'rows' });
    const lexicon = (text: string, language: string) => {
      if (!/^en\b/i.test(language)) return undefined;
      const { cues, vader } = explain(text);
      return { vader, words: [...new Set(cues.map((cue) => cue.text.toLowerCase()))] };
    };
    const ofTask = (all: readonly Prediction[]) => all.filter((p) => p.task === task);
    const of = ofTask(predictions);
    // Of the plain sentences every wrong answer is shown.
    const hardest = source.kind === 'plain' ? { hardestShown: of.length } : {};
    const beside = {
      ...{ constant: material.constant, lexicon, seed, raw: ofTask(raw) },
      otherwise: otherwise.filter(({ prediction }) => prediction.task === task),
    };
    analyses.push(analyseTask(task, of, { ...beside, ...hardest }));
  }

  report({ phase: 'writing the report', done: 0, total: 0, unit: 'files' });
  const result: Result = {
    tasks: analyses.map((a) => a.result),
    slices: analyses.flatMap((a) => a.slices),
    hardest: analyses.flatMap((a) => a.hardest),
    examplesPerSecond: examples.length / Math.max(seconds, 1e-3),
    artifacts: [],
    checks,
    warnings: languageWarnings(predictions, teachingOfModel(model)),
    stages: stagesOf(beside.trials, model.lineage?.trial),
  };
  const done = { ...given.evaluation, ...result };
  const page = renderReport({
    ...{
      evaluation: done,
      model,
      datasetVersion: source.version,
      split,
      machine: machineText(given.threads),
    },
    ...beside,
  });
  const made: Record<string, Uint8Array> = {
    'predictions.arrow': encodePredictions(predictions),
    'results.json': Buffer.from(resultsJson(done, { datasetVersion: source.version, split })),
    'report.html': Buffer.from(page),
  };
  const artifacts: files.Artifact[] = [];
  for (const [path, content] of Object.entries(made)) {
    await writeFile(join(given.folder, path), content);
    const name = `${done.prefix}/${path}`;
    artifacts.push({ path, bytes: content.length, sha256: sha256(content), name });
  }
  return { ...result, artifacts };
};

/** How many of the texts are in languages that the model never saw. */
function languageWarnings(predictions: readonly Prediction[], teaching: Teaching | undefined): string[] {
  const rows = new Map<string, number>();
  for (const { language } of predictions) rows.set(language, (rows.get(language) ?? 0) + 1);
  const foreign = unseenLanguages(teaching, rows.keys());
  if (!foreign) return [];
  const unseen = foreign.unseen.map(
    (language) => `${language} (${rows.get(language)} of ${predictions.length} rows)`,
  );
  return [`the model saw no text in ${unseen.join(', ')}: it was trained on ${foreign.seen.join(', ')}`];
}

/** The processors that answered. */
function machineText(threads: number): string {
  const [first] = cpus();
  const name = first?.model.trim() || arch();
  return `${name}, ${threads} of ${availableParallelism()} threads, ${Math.round(totalmem() / 2 ** 30)} GiB`;
}

/** Examples of each subtask that are also asked as training never does. */
const otherwisePerTask = 40;

/** Checks are asked where the source is theirs, else examples; of those of a dataset or file some otherwise, too. */
async function ask(
  answerer: Answerer,
  {
    model,
    examples,
    source,
  }: { readonly model: tuning.Model; readonly examples: readonly Example[]; readonly source: Source },
  report: (progress: common.Progress) => void,
): Promise<
  Predicted & {
    readonly checks: evaluation.CheckResult[];
    /** That the examples took, as usual. */
    readonly seconds: number;
    readonly otherwise: readonly OtherwisePrediction[];
  }
> {
  const progress = (phase: string) => (done: number, total: number) =>
    report({ phase, done, total, unit: 'rows' });
  const answering = progress('answering');
  if (source.kind === 'checks') {
    const checks = await checkBehaviour(answerer, source.teaching, answering);
    return { predictions: [], raw: [], checks, seconds: 0, otherwise: [] };
  }
  const teaching = teachingOfModel(model);
  const plain = source.kind === 'plain';
  const started = performance.now();
  const predicted = await predict(answerer, examples, {
    teaching,
    alone: plain,
    onProgress: (done) => answering(done, examples.length),
  });
  const seconds = (performance.now() - started) / 1000;
  const otherwise = plain
    ? []
    : await predictOtherwise(answerer, examples, {
        teaching,
        perTask: otherwisePerTask,
        onProgress: progress('answering questions that training never asks'),
      });
  return { ...predicted, checks: [], seconds, otherwise };
}
