/** What an evaluation asks: the rows of a feature set, of a dataset or of a file, and the train rows beside them. */
import { basename, extname } from 'node:path';
import {
  ConstantBaseline,
  defaultLabelSeparator,
  type Example,
  isRegression,
  labelSeparatorViolations,
  labelViolations,
  type Scale,
  type Split,
  scaleViolations,
  splits,
  type Task,
  type Teaching,
  tasks,
  taughtInquiry,
} from '@emotune/affect';
import { FailedPrecondition, InvalidArgument, sha256, show, type Violation, Violations } from '@emotune/base';
import { type ObjectStore, openRowFile, type UploadedFile, uploadViolations } from '@emotune/objects';
import { common, type data, type evaluation, type featurization } from '@emotune/proto';
import {
  columnsOf,
  decodeExamples,
  decodeShard,
  type FeatureRow,
  readUserFile,
  type UserFile,
} from '@emotune/records';
import { type Channel, taskOf } from '@emotune/service';

export type Target =
  | { readonly kind: 'features'; readonly features: string; readonly split: Split }
  | { readonly kind: 'dataset'; readonly dataset: string; readonly split: Split }
  | {
      readonly kind: 'file';
      readonly upload: UploadedFile;
      readonly task: Task;
      readonly scale: Scale | null;
      readonly labels: readonly string[];
      readonly multiLabel: boolean;
      readonly labelSeparator: string;
      readonly columns: UserFile['columns'];
    };

/** What is asked, read whole. */
interface Material {
  readonly examples: readonly Example[];
  /** Learnt from the train rows; a file has none. */
  readonly constant: ConstantBaseline;
}

/** A target found: its peers know it and it can be read. */
export interface Source {
  /** Name of the dataset or file, for people. */
  readonly dataset: string;
  /** Content address; empty for a file. */
  readonly version: string;
  read(): Promise<Material>;
}

function fileViolations(file: evaluation.FileTarget): readonly Violation[] {
  const violations = new Violations();
  const task = taskOf(file.task);
  violations.addAll(uploadViolations(file.upload, 'file.upload'));
  violations.expect(task !== undefined, 'file.task', `expected one of ${tasks.join(', ')}, got nothing`);
  if (task !== undefined && isRegression(task)) {
    if (file.scale) violations.addAll(scaleViolations(file.scale, 'file.scale'));
  } else if (task !== undefined && file.labels.length > 0)
    violations.addAll(labelViolations(file.labels, 'file.labels'));
  violations.addAll(labelSeparatorViolations(file.labelSeparator, file.labels, 'file.labelSeparator'));
  return violations.list;
}

/** What a request asks for. @throws InvalidArgument with every violation. */
export function targetOf({ dataset, file }: Pick<evaluation.EvaluateRequest, 'dataset' | 'file'>): Target {
  if ((dataset == null) === (file == null)) {
    const got = dataset == null ? 'neither' : 'both';
    throw InvalidArgument.at('', `expected "dataset" or "file", got ${got}`);
  }
  if (file) {
    new Violations(fileViolations(file)).throwIfAny();
    const { labels, multiLabel } = file;
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
          columns,
        }
      : { kind: 'file', upload, task, scale: null, labels, multiLabel, labelSeparator, columns };
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

async function featureSource(
  target: Target & { kind: 'features' },
  tokenizer: string,
  channel: Channel,
  objects: ObjectStore,
): Promise<Source> {
  const set = await channel
    .client<featurization.FeatureServiceClient>('FeatureService')
    .call('getFeatureSet', { name: target.features });
  expectReady(`feature set ${set.name}`, set);
  // The questions are the same for every tokenizer.
  const tokenized = set.tokenized.find((t) => t.tokenizer === tokenizer) ?? set.tokenized[0];
  const rowsOf = async (split: string) => {
    // A shard that is gone is not in the list.
    await (await objects.folder(tokenized.prefix)).release();
    const objectsFound = await objects.list(`${tokenized.prefix}/${split}-`);
    const shards: FeatureRow[][] = [];
    for (const { key } of objectsFound) shards.push(decodeShard(await objects.get(key)));
    return shards.flat();
  };
  return {
    dataset: set.spec?.dataset ?? set.name,
    version: set.datasetVersion,
    read: async () => {
      const constant = new ConstantBaseline();
      for (const row of await rowsOf('train')) constant.add(row);
      return { examples: await rowsOf(target.split), constant };
    },
  };
}

async function datasetSource(
  target: Target & { kind: 'dataset' },
  channel: Channel,
  objects: ObjectStore,
): Promise<Source> {
  const dataset = await channel
    .client<data.DatasetServiceClient>('DatasetService')
    .call('getDataset', { name: target.dataset });
  expectReady(`dataset ${dataset.name}`, dataset);
  const rowsOf = async (split: Split) =>
    decodeExamples(await objects.get(`${dataset.prefix}/${split}.parquet`), split);
  return {
    dataset: dataset.name,
    version: dataset.version,
    read: async () => {
      const constant = new ConstantBaseline();
      for (const example of await rowsOf('train')) constant.add(example);
      return { examples: await rowsOf(target.split), constant };
    },
  };
}

function userFile({
  upload,
  task,
  scale,
  labels,
  multiLabel,
  labelSeparator,
  columns,
}: Target & { kind: 'file' }): UserFile {
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
    language: 'en',
    split: null,
  };
}

/**
 * Finds what a target names.
 * @param tokenizer The model's, whose shards are read where there are several.
 * @throws NotFound, FailedPrecondition, Unavailable; for a file InvalidArgument with every bad row.
 */
export async function findSource(
  target: Target,
  tokenizer: string,
  { channel, objects }: { readonly channel: Channel; readonly objects: ObjectStore },
): Promise<Source> {
  if (target.kind === 'features') return featureSource(target, tokenizer, channel, objects);
  if (target.kind === 'dataset') return datasetSource(target, channel, objects);
  const content = await openRowFile(objects, target.upload, 'file.upload');
  const examples = await readUserFile(userFile(target), content, 'file.upload');
  return {
    dataset: basename(target.upload.name),
    version: '',
    read: async () => ({ examples, constant: new ConstantBaseline() }),
  };
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
