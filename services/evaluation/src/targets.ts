/** What an evaluation asks: the rows of a feature set, of a dataset or of a file, and the train rows beside them. */
import { basename, extname } from 'node:path';
import {
  ConstantBaseline,
  defaultLabelSeparator,
  type Example,
  isRegression,
  labelSeparatorViolations,
  labelViolations,
  languageViolations,
  type Scale,
  type Split,
  scaleViolations,
  splits,
  type Task,
  type Teaching,
  tasks,
  taughtInquiry,
} from '@emotune/affect';
import { plainExamples } from '@emotune/affect/plain';
import {
  FailedPrecondition,
  InvalidArgument,
  NotFound,
  sha256,
  show,
  type Violation,
  Violations,
} from '@emotune/base';
import { type ObjectStore, openRowFile, type UploadedFile, uploadViolations } from '@emotune/objects';
import { common, type data, type evaluation, type featurization, type tuning } from '@emotune/proto';
import {
  checkUserFile,
  columnsOf,
  columnViolations,
  decodeShard,
  expectFits,
  readExamples,
  readUserFile,
  type UserFile,
} from '@emotune/records';
import type { Channel } from '@emotune/service';
import { taskOf, teachingOfModel } from '@emotune/service/words';

export type Target =
  | { readonly kind: 'features'; readonly features: string; readonly split: Split }
  | { readonly kind: 'dataset'; readonly dataset: string; readonly split: Split }
  | { readonly kind: 'plain' | 'checks' }
  | {
      readonly kind: 'file';
      readonly upload: UploadedFile;
      readonly task: Task;
      readonly scale: Scale | null;
      readonly labels: readonly string[];
      readonly multiLabel: boolean;
      readonly labelSeparator: string;
      readonly language: string;
      readonly columns: UserFile['columns'];
    };

/** What is asked, read whole. */
interface Material {
  readonly examples: readonly Example[];
  /** Learnt from the train rows; a file has none. */
  readonly constant: ConstantBaseline;
}

/** A target found: where its rows lie. Plain data. */
export type Source = {
  /** Name of the dataset or file, for people. */
  readonly dataset: string;
  /** Content address; empty for a file. */
  readonly version: string;
} & (
  | { readonly kind: 'shards' | 'splits'; readonly prefix: string; readonly split: Split }
  | { readonly kind: 'file'; readonly target: FileTarget }
  | { readonly kind: 'plain' | 'checks'; readonly teaching: Teaching | undefined }
);

type FileTarget = Target & { readonly kind: 'file' };

function fileViolations(file: evaluation.FileTarget): readonly Violation[] {
  const violations = new Violations();
  const task = taskOf(file.task);
  violations.addAll(uploadViolations(file.upload, 'file.upload'));
  violations.expect(task !== undefined, 'file.task', `expected one of ${tasks.join(', ')}, got nothing`);
  if (task !== undefined && isRegression(task)) {
    if (file.scale) violations.addAll(scaleViolations(file.scale, 'file.scale'));
  } else if (task !== undefined && file.labels.length > 0)
    violations.addAll(labelViolations(file.labels, 'file.labels'));
  violations.addAll(languageViolations(file.language, 'file.language'));
  violations.addAll(columnViolations(file, 'file'));
  violations.addAll(labelSeparatorViolations(file.labelSeparator, file.labels, 'file.labelSeparator'));
  return violations.list;
}

/** What a request asks for. @throws InvalidArgument with every violation. */
export function targetOf({
  dataset,
  file,
  plain,
  checks,
  limit,
}: Pick<evaluation.EvaluateRequest, 'dataset' | 'file' | 'plain' | 'checks' | 'limit'>): Target {
  // The contract lets a message hold one of them.
  if (!(dataset || file || plain || checks))
    throw InvalidArgument.at('', 'expected "dataset", "file", "plain" or "checks", got none of them');
  if (plain || checks) {
    const kind = plain ? 'plain' : 'checks';
    if (limit !== 0) throw InvalidArgument.at('limit', `expected 0 beside "${kind}", got ${limit}`);
    return { kind };
  }
  if (file) {
    new Violations(fileViolations(file)).throwIfAny();
    const { labels, multiLabel, language: given } = file;
    const language = given || 'en';
    const labelSeparator = file.labelSeparator || defaultLabelSeparator;
    const columns = columnsOf(file);
    const { sha256, name } = file.upload!;
    const upload = { sha256, name };
    const task = taskOf(file.task)!;
    return isRegression(task)
      ? {
          kind: 'file',
          upload,
          task,
          scale: file.scale ?? null,
          labels: [],
          multiLabel: false,
          labelSeparator,
          language,
          columns,
        }
      : { kind: 'file', upload, task, scale: null, labels, multiLabel, labelSeparator, language, columns };
  }
  const { features, dataset: name, split: asked } = dataset!;
  const violations = new Violations();
  const split = (asked === '' ? 'test' : asked) as Split;
  if (!splits.includes(split))
    violations.add('dataset.split', `expected one of ${splits.join(', ')}, got ${show(split)}`);
  if (features === '' && name === '')
    violations.add('dataset', 'expected "features" or "dataset", got neither');
  violations.throwIfAny();
  return features === '' ? { kind: 'dataset', dataset: name, split } : { kind: 'features', features, split };
}

/**
 * The target with the scale or labels that the model was taught, where a file's are not given.
 * @throws InvalidArgument where the model does not tell them.
 */
export function taughtTarget(target: Target, teaching: Teaching | undefined): Target {
  if (target.kind !== 'file' || target.scale !== null || target.labels.length > 0) return target;
  const { task, multiLabel } = target;
  const taught = taughtInquiry(teaching, task);
  if (taught) {
    const { scale, labelSet: labels } = taught;
    return { ...target, scale, labels, multiLabel: multiLabel || taught.multiLabel };
  }
  const why = `, got nothing; the model does not tell what it was taught for ${task}`;
  throw isRegression(task)
    ? InvalidArgument.at('file.scale', `expected the range of the labels${why}`)
    : InvalidArgument.at('file.labels', `expected every label that may occur (two at least)${why}`);
}

/** @throws FailedPrecondition */
function expectReady(
  what: string,
  { state, failure }: { readonly state: common.BuildState; readonly failure: string },
): void {
  if (state === common.BuildState.BUILD_STATE_READY) return;
  const why =
    state === common.BuildState.BUILD_STATE_FAILED ? `it failed: ${failure}` : 'it is being built; try again';
  throw new FailedPrecondition(`${what} cannot be asked: ${why}`);
}

function userFile({
  upload,
  task,
  scale,
  labels,
  multiLabel,
  labelSeparator,
  language,
  columns,
}: FileTarget): UserFile {
  return {
    path: upload.name,
    name: basename(upload.name, extname(upload.name)),
    task,
    scale,
    labels,
    multiLabel,
    labelSeparator,
    columns,
    licence: 'unknown',
    language,
    split: null,
  };
}

/**
 * Finds what a target names; the rows of a file are not read.
 * The shards of the model's tokenizer are read where there are several.
 * @throws NotFound, FailedPrecondition, Unavailable
 */
export async function findSource(target: Target, model: tuning.Model, channel: Channel): Promise<Source> {
  switch (target.kind) {
    case 'features': {
      const client = channel.client<featurization.FeatureServiceClient>('FeatureService');
      const set = await client.call('getFeatureSet', { name: target.features });
      expectReady(`feature set ${set.name}`, set);
      // The questions are the same for every tokenizer.
      const { prefix } = set.tokenized.find((t) => t.tokenizer === model.tokenizer) ?? set.tokenized[0];
      const dataset = set.spec?.dataset ?? set.name;
      return { dataset, version: set.datasetVersion, kind: 'shards', prefix, split: target.split };
    }
    case 'dataset': {
      const client = channel.client<data.DatasetServiceClient>('DatasetService');
      const dataset = await client.call('getDataset', { name: target.dataset });
      expectReady(`dataset ${dataset.name}`, dataset);
      const { name, version, prefix } = dataset;
      return { dataset: name, version, kind: 'splits', prefix, split: target.split };
    }
    case 'file':
      return { dataset: basename(target.upload.name), version: '', kind: 'file', target };
    case 'plain':
    case 'checks': {
      const dataset = target.kind === 'plain' ? 'plain-sentences' : 'behavioural-checks';
      return { dataset, version: '', kind: target.kind, teaching: teachingOfModel(model) };
    }
  }
}

/** Reads the rows of a file and keeps none. @throws FailedPrecondition when it is gone; InvalidArgument with every bad row. */
export async function checkFile(target: FileTarget, objects: ObjectStore): Promise<void> {
  const content = await openRowFile(objects, target.upload, 'file.upload');
  expectFits(await checkUserFile(userFile(target), content, 'file.upload'), 'file.upload');
}

/** @throws FailedPrecondition when it is gone; InvalidArgument with every bad row of a file, or more than memory holds. */
export async function readSource(source: Source, objects: ObjectStore): Promise<Material> {
  const constant = new ConstantBaseline();
  if (source.kind === 'file') {
    const { target } = source;
    const content = await openRowFile(objects, target.upload, 'file.upload');
    return { examples: await readUserFile(userFile(target), content, 'file.upload'), constant };
  }
  // What checks ask is no example with one gold.
  if ('teaching' in source)
    return { examples: source.kind === 'plain' ? plainExamples(source.teaching) : [], constant };
  const { kind, prefix } = source;
  async function* rowsOf(split: Split): AsyncGenerator<Example> {
    if (kind === 'shards') {
      // A shard that is gone is not in the list.
      await (await objects.folder(prefix)).release();
      // What was made of other rows says nothing of how often answers are given.
      for (const { key } of await objects.list(`${prefix}/${split}-`))
        yield* decodeShard(await objects.get(key)).filter(({ derived }) => !derived);
      return;
    }
    const key = `${prefix}/${split}.parquet`;
    const found = await objects.stat(key);
    if (!found) throw new NotFound(`the files of dataset ${source.dataset} are gone from the object store`);
    yield* readExamples({ bytes: found.bytes, read: (from) => objects.read(key, from) }, split);
  }
  for await (const example of rowsOf('train')) constant.add(example);
  const examples: Example[] = [];
  for await (const example of rowsOf(source.split)) examples.push(example);
  return { examples, constant };
}

/** At most `limit` examples of each task, the same ones of the same examples; 0 keeps all. */
export function limited(examples: readonly Example[], limit: number): Example[] {
  if (limit === 0) return [...examples];
  const rank = new Map(examples.map((e) => [e, sha256(`${e.task}\u0000${e.id}`)]));
  const kept = new Set(
    tasks.flatMap((task) =>
      examples
        .filter((e) => e.task === task)
        .sort((a, b) => (rank.get(a)! < rank.get(b)! ? -1 : 1))
        .slice(0, limit),
    ),
  );
  return examples.filter((e) => kept.has(e));
}
