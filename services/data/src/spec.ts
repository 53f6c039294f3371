/** What a dataset spec asks for, checked whole: every violation is named before anything is built. */
import {
  defaultLabelSeparator,
  isRegression,
  labelSeparatorViolations,
  labelViolations,
  type Split,
  scaleViolations,
  splits,
  type Task,
  tasks,
} from '@emotune/affect';
import { fieldPath, InvalidArgument, nearest, show, Violations } from '@emotune/base';
import { type HubId, isHubId, parseHubId } from '@emotune/hub';
import { type UploadedFile, uploadViolations } from '@emotune/objects';
import { common, type data } from '@emotune/proto';
import { columnsOf, columnViolations, type UserFile } from '@emotune/records';
import { namePattern, taskOf } from '@emotune/service/words';
import { type Corpus, corpora } from './corpora.js';
import type { Shares } from './stratify.js';

interface PlannedFile {
  readonly file: UserFile;
  readonly upload: UploadedFile;
}

/** Files of a data set of the Hub, read as those of the user's own. */
export interface PlannedHub {
  readonly file: UserFile;
  readonly hub: HubId;
}

export interface PlannedSource {
  readonly source: { readonly corpus: Corpus } | PlannedFile | PlannedHub;
  /** Keep at most this many rows; 0 keeps all. */
  readonly limit: number;
  /** All rows to this split; null leaves them where they belong. */
  readonly split: Split | null;
  /** Where errors of the source are reported. */
  readonly field: string;
}

export interface DatasetPlan {
  readonly name: string;
  readonly sources: readonly PlannedSource[];
  readonly shares: Shares;
  readonly seed: number;
  readonly tasks: readonly Task[];
}

const defaultShares = { validation: 0.1, test: 0.1 };
const mostSources = 100;
const longestWord = 200;

class Checker extends Violations {
  split(value: string, path: readonly PropertyKey[]): Split | null {
    if (value === '') return null;
    this.expect(
      splits.includes(value as Split),
      path,
      `expected one of ${splits.join(', ')}, got ${show(value)}`,
    );
    return value as Split;
  }
}

function corpusOf(name: string, path: readonly PropertyKey[], check: Checker): Corpus | undefined {
  const corpus = corpora.find((c) => c.name === name);
  if (!corpus) {
    const names = corpora.map((c) => c.name);
    const near = nearest(name, names);
    check.expect(
      false,
      path,
      `expected a known corpus, got ${show(name)}${near ? `; did you mean "${near}"?` : `; known are ${names.join(', ')}`}`,
    );
  }
  return corpus;
}

function fileOf(file: data.FileSource, path: readonly PropertyKey[], check: Checker): UserFile {
  const task = taskOf(file.task);
  const { upload } = file;
  if (!(upload && isHubId(upload.name)))
    check.addAll(uploadViolations(upload, fieldPath([...path, 'upload'])));
  check.expect(namePattern.test(file.name), [...path, 'name'], nameRule(file.name));
  check.expect(task !== undefined, [...path, 'task'], `expected one of ${tasks.join(', ')}, got nothing`);
  const regression = task !== undefined && isRegression(task);
  const scale = file.scale ?? null;
  if (
    regression &&
    check.expect(scale !== null, [...path, 'scale'], 'expected the range of the labels, got nothing')
  )
    check.addAll(scaleViolations(scale!, fieldPath([...path, 'scale'])));
  if (task !== undefined && !regression)
    check.addAll(labelViolations(file.labels, fieldPath([...path, 'labels'])));
  check.addAll(columnViolations(file, fieldPath(path)));
  for (const word of ['licence', 'language'] as const)
    check.expect(
      file[word].length <= longestWord,
      [...path, word],
      `expected at most ${longestWord} characters, got ${file[word].length}`,
    );
  check.addAll(
    labelSeparatorViolations(file.labelSeparator, file.labels, fieldPath([...path, 'labelSeparator'])),
  );
  check.expect(
    file.labelSeparator === '' || file.multiLabel,
    [...path, 'labelSeparator'],
    `expected nothing where rows have one label, got ${show(file.labelSeparator)}: say multiLabel: true where they have several`,
  );
  return {
    path: upload?.name ?? '',
    name: file.name,
    task: task ?? 'sentiment-regression',
    scale: regression ? scale : null,
    labels: file.labels,
    multiLabel: file.multiLabel,
    labelSeparator: file.labelSeparator || defaultLabelSeparator,
    columns: columnsOf(file),
    licence: file.licence || 'unknown',
    language: file.language || 'en',
    split: check.split(file.split, [...path, 'split']),
  };
}

function plannedFile(
  source: data.FileSource,
  path: readonly PropertyKey[],
  check: Checker,
): PlannedFile | PlannedHub {
  const file = fileOf(source, path, check);
  const { upload } = source;
  if (!upload || !isHubId(upload.name)) return { file, upload: upload! };
  const field = fieldPath([...path, 'upload', 'name']);
  const hub = check.collect(() => parseHubId(upload.name, field));
  if (hub?.kind === 'model') check.add(field, `expected hf:datasets/…, got the model ${show(upload.name)}`);
  return { file, hub: hub! };
}

function nameRule(name: string): string {
  return `expected 1 to 40 lower-case letters, digits and dashes, got ${show(name)}`;
}

/** @throws InvalidArgument with every violation. */
export function planOf(spec: data.DatasetSpec | undefined): DatasetPlan {
  if (!spec) throw InvalidArgument.at('spec', 'expected a dataset spec, got nothing');
  const check = new Checker();
  check.expect(namePattern.test(spec.name), ['spec', 'name'], nameRule(spec.name));
  check.expect(
    spec.sources.length >= 1 && spec.sources.length <= mostSources,
    ['spec', 'sources'],
    `expected 1 to ${mostSources} sources, got ${spec.sources.length}`,
  );
  const names = new Map<string, number>();
  const sources = spec.sources.flatMap((source, i): PlannedSource[] => {
    const path = ['spec', 'sources', i];
    check.expect(source.limit >= 0, [...path, 'limit'], `expected 0 or more rows, got ${source.limit}`);
    const split = check.split(source.split, [...path, 'split']);
    const found = source.file
      ? plannedFile(source.file, [...path, 'file'], check)
      : source.corpus
        ? { corpus: corpusOf(source.corpus, [...path, 'corpus'], check) }
        : undefined;
    if (!check.expect(found !== undefined, path, 'expected "corpus" or "file", got neither')) return [];
    const name = source.file?.name ?? source.corpus ?? '';
    const first = names.get(name);
    check.expect(
      first === undefined,
      path,
      `expected each source once, got ${show(name)} as in sources[${first}]`,
    );
    names.set(name, i);
    if ('corpus' in found! && found.corpus === undefined) return [];
    return [{ source: found as PlannedSource['source'], limit: source.limit, split, field: fieldPath(path) }];
  });
  const { validation, test, seed } = spec.split ?? { validation: 0, test: 0, seed: 0 };
  const shares = validation === 0 && test === 0 ? defaultShares : { validation, test };
  for (const key of ['validation', 'test'] as const) {
    check.expect(
      shares[key] >= 0 && shares[key] < 1,
      ['spec', 'split', key],
      `expected a share of at least 0 and below 1, got ${shares[key]}`,
    );
  }
  check.expect(
    !(shares.validation + shares.test >= 1),
    ['spec', 'split'],
    `expected validation + test below 1, got ${shares.validation + shares.test}`,
  );
  const asked = spec.tasks.map((message, i) => {
    const task = taskOf(message);
    check.expect(
      task !== undefined,
      ['spec', 'tasks', i],
      `expected one of ${tasks.join(', ')}, got ${common.Task[message]}`,
    );
    return task!;
  });
  check.throwIfAny();
  return {
    name: spec.name,
    sources,
    shares,
    seed,
    tasks: asked.length > 0 ? asked : [...tasks],
  };
}
