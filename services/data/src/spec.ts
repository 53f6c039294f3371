/** What a dataset spec asks for, checked whole: every violation is named before anything is built. */
import {
  defaultLabelSeparator,
  isRegression,
  labelSeparatorViolations,
  labelViolations,
  languageViolations,
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
import { type Importer, importers } from './importers.js';
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

/** Files in the format of a data set, as the user has them. */
export interface PlannedImport {
  readonly importer: Importer;
  readonly uploads: readonly UploadedFile[];
  readonly name: string;
  readonly licence: string;
}

export interface PlannedSource {
  readonly source: { readonly corpus: Corpus } | PlannedFile | PlannedHub | PlannedImport;
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
  /** Jaccard similarity from which on texts are near-duplicates; 1: none is. */
  readonly nearDuplicates: number;
  readonly leaks: (typeof leakRules)[number];
}

const leakRules = ['remove', 'fail'] as const;
const defaultNearDuplicates = 0.85;
/** Below, texts are told apart that have little in common, and bands are many. */
const leastNearDuplicates = 0.7;

const defaultShares = { validation: 0.1, test: 0.1 };
const mostSources = 100;
/** Of one import. */
const mostFiles = 1_000;
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

function corpusSource(
  name: string,
  path: readonly PropertyKey[],
  check: Checker,
): { readonly corpus: Corpus } | undefined {
  const corpus = corpusOf(name, path, check);
  return corpus && { corpus };
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
  check.addAll(languageViolations(file.language, fieldPath([...path, 'language'])));
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

function plannedImport(
  source: data.ImportSource,
  path: readonly PropertyKey[],
  check: Checker,
): PlannedImport | undefined {
  const name = source.name || source.format;
  check.expect(namePattern.test(name), [...path, 'name'], nameRule(name));
  check.expect(
    source.uploads.length >= 1 && source.uploads.length <= mostFiles,
    [...path, 'uploads'],
    `expected 1 to ${mostFiles} files, got ${source.uploads.length}`,
  );
  for (const [i, upload] of source.uploads.entries())
    check.addAll(uploadViolations(upload, fieldPath([...path, 'uploads', i])));
  check.expect(
    source.licence.length <= longestWord,
    [...path, 'licence'],
    `expected at most ${longestWord} characters, got ${source.licence.length}`,
  );
  const importer = importers.find(({ format }) => format === source.format);
  if (importer !== undefined)
    return { importer, uploads: source.uploads, name, licence: source.licence || importer.licence };
  const formats = importers.map(({ format }) => format);
  const near = nearest(source.format, formats);
  check.expect(
    false,
    [...path, 'format'],
    `expected one of ${formats.join(', ')}, got ${show(source.format)}${near ? `; did you mean "${near}"?` : ''}`,
  );
  return undefined;
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
    const { file, corpus, import: imported } = source;
    if (
      !check.expect(
        Boolean(file || corpus || imported),
        path,
        'expected "corpus", "file" or "import", got none of them',
      )
    )
      return [];
    const found = file
      ? plannedFile(file, [...path, 'file'], check)
      : imported
        ? plannedImport(imported, [...path, 'import'], check)
        : corpusSource(corpus!, [...path, 'corpus'], check);
    if (imported && split === null) check.split(imported.split, [...path, 'import', 'split']);
    const name = file?.name ?? (imported ? imported.name || imported.format : corpus!);
    const first = names.get(name);
    check.expect(
      first === undefined,
      path,
      `expected each source once, got ${show(name)} as in sources[${first}]`,
    );
    names.set(name, i);
    if (found === undefined) return [];
    const all = split ?? ((imported?.split || null) as Split | null);
    return [{ source: found, limit: source.limit, split: all, field: fieldPath(path) }];
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
  const nearDuplicates = spec.clean?.nearDuplicates || defaultNearDuplicates;
  check.expect(
    nearDuplicates >= leastNearDuplicates && nearDuplicates <= 1,
    ['spec', 'clean', 'nearDuplicates'],
    `expected a similarity of ${leastNearDuplicates} to 1, got ${nearDuplicates}`,
  );
  const leaks = (spec.clean?.leaks || 'remove') as DatasetPlan['leaks'];
  check.expect(
    leakRules.includes(leaks),
    ['spec', 'clean', 'leaks'],
    `expected one of ${leakRules.join(', ')}, got ${show(leaks)}`,
  );
  check.throwIfAny();
  return {
    nearDuplicates,
    leaks,
    name: spec.name,
    sources,
    shares,
    seed,
    tasks: asked.length > 0 ? asked : [...tasks],
  };
}
