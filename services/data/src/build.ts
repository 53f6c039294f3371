/** Builds one dataset version: sources in, Parquet and manifest out. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type SourceExample, type Split, splits, tasks } from '@emotune/affect';
import { canonicalJson, sha256 } from '@emotune/base';
import { type ObjectStore, openRowFile } from '@emotune/objects';
import type { common, data } from '@emotune/proto';
import { checkUserFile, encodeExamples, expectFits, readUserFile } from '@emotune/records';
import { taskMessage } from '@emotune/service/words';
import { type Assembled, assemble, limitRows } from './assemble.js';
import type { Fetched } from './fetch.js';
import { loadHub } from './hub-source.js';
import type { LoadedSource } from './loaded-source.js';
import type { DatasetPlan, PlannedFile, PlannedSource } from './spec.js';

export interface BuildOptions {
  readonly objects: ObjectStore;
  /** Of the plan's sources, in their order. */
  readonly fetched: readonly Fetched[];
  readonly onProgress: (progress: common.Progress) => void;
}

export interface BuiltDataset {
  readonly version: string;
  readonly prefix: string;
  readonly manifest: data.Manifest;
}

/** @throws FailedPrecondition when the content of a file is gone; InvalidArgument with every bad row of one, or when they are too many. */
export async function checkFiles({ sources }: DatasetPlan, objects: ObjectStore): Promise<void> {
  let [rows, textBytes] = [0, 0];
  for (const { source, field } of sources) {
    // Those of the Hub are checked when they are there.
    if (!('upload' in source)) continue;
    const at = `${field}.file`;
    const held = await checkUserFile(source.file, await openRowFile(objects, source.upload, at), at);
    rows += held.rows;
    textBytes += held.textBytes;
    expectFits({ rows, textBytes }, at);
  }
}

async function readFileSource(
  { file, upload }: PlannedFile,
  field: string,
  objects: ObjectStore,
): Promise<SourceExample[]> {
  return readUserFile(file, await openRowFile(objects, upload, `${field}.file`), `${field}.file`);
}

async function load(
  planned: PlannedSource,
  { hub, paths }: Fetched,
  objects: ObjectStore,
): Promise<LoadedSource> {
  if ('hub' in planned.source) return loadHub(planned.source, planned.field, hub!);
  if ('file' in planned.source) {
    const { name, licence } = planned.source.file;
    const examples = await readFileSource(planned.source, planned.field, objects);
    return { name, licence, url: '', sha256: planned.source.upload.sha256, examples };
  }
  const { corpus } = planned.source;
  const examples = corpus.examples(await Promise.all(paths!.map((path) => readFile(path, 'utf8'))));
  const hashes = corpus.files.map((file) => file.sha256);
  const whole = hashes.length > 1 ? sha256(hashes.join('')) : hashes[0];
  return {
    name: corpus.name,
    licence: corpus.licence,
    url: corpus.url,
    // What is bundled has no file of its own: its rows are its content.
    sha256: whole ?? hashOfRows(examples),
    examples,
  };
}

function hashOfRows(examples: readonly SourceExample[]): string {
  const hash = createHash('sha256');
  for (const example of examples) hash.update(canonicalJson(example)).update('\n');
  return hash.digest('hex');
}

function countsOf(rows: Record<Split, readonly SourceExample[]>): data.SplitCounts {
  return { train: rows.train.length, validation: rows.validation.length, test: rows.test.length };
}

const totalOf = ({ train, validation, test }: data.SplitCounts) => train + validation + test;

/** Most frequent first, then by name. */
function labelCounts(rows: Record<Split, readonly SourceExample[]>): data.LabelCount[] {
  const counts = new Map<string, data.SplitCounts>();
  for (const split of splits)
    for (const { gold } of rows[split])
      for (const label of gold.labels) {
        const of = counts.get(label) ?? { train: 0, validation: 0, test: 0 };
        counts.set(label, { ...of, [split]: of[split] + 1 });
      }
  return [...counts]
    .map(([label, of]) => ({ label, rows: of }))
    .sort((a, b) => totalOf(b.rows) - totalOf(a.rows) || (a.label < b.label ? -1 : 1));
}

/** Conflicts that a manifest shows; the rest are counted. */
const shownConflicts = 10;

function conflictsOf({ conflicts }: Assembled): data.Conflicts {
  const rowsOf = ({ answers }: Assembled['conflicts'][number]) =>
    Object.values(answers).reduce((sum, rows) => sum + rows, 0);
  return {
    texts: new Set(conflicts.map(({ key }) => key)).size,
    rows: conflicts.reduce((sum, conflict) => sum + rowsOf(conflict), 0),
    examples: conflicts.slice(0, shownConflicts).map(({ text, task, emotion, answers }) => ({
      text,
      task: taskMessage(task),
      emotion: emotion ?? '',
      answers: { ...answers },
    })),
  };
}

function noticesOf({ splits: rows }: Assembled, { shares }: DatasetPlan): string[] {
  const total = splits.reduce((sum, split) => sum + rows[split].length, 0);
  const asked = splits.filter((split) => split === 'train' || shares[split] > 0);
  return [
    ...asked
      .filter((split) => rows[split].length === 0)
      .map(
        (split) =>
          `the ${split} split is empty, with ${total} rows in all: rows with a split of their own stay in it, and the others are too few to divide`,
      ),
    ...(splits.some((split) => rows[split].some(({ source }) => source === 'emotune-demo'))
      ? ['emotune-demo is demonstration data: scores on it say nothing about quality on real text']
      : []),
  ];
}

/** The same plan over the same sources gives the same version. */
export async function buildDataset(plan: DatasetPlan, options: BuildOptions): Promise<BuiltDataset> {
  const sources: LoadedSource[] = [];
  for (const [i, planned] of plan.sources.entries()) {
    options.onProgress({ phase: 'reading sources', done: i, total: plan.sources.length, unit: 'sources' });
    const loaded = await load(planned, options.fetched[i], options.objects);
    const asked = limitRows(
      loaded.examples.filter((example) => plan.tasks.includes(example.task)),
      planned.limit,
      plan.seed,
    );
    const { split } = planned;
    sources.push({ ...loaded, examples: split === null ? asked : asked.map((e) => ({ ...e, split })) });
  }
  options.onProgress({ phase: 'splitting', done: 0, total: 0, unit: 'rows' });
  const assembled = assemble(
    sources.flatMap((source) => source.examples),
    plan.shares,
    plan.seed,
  );
  const { splits: rows, duplicatesRemoved, leaksRemoved } = assembled;
  const files = splits.map((split) => ({ path: `${split}.parquet`, bytes: encodeExamples(rows[split]) }));
  const kept = splits.flatMap((split) => rows[split]);
  const manifest: data.Manifest = {
    rows: countsOf(rows),
    sources: sources.map(({ examples: _, ...source }) => ({
      ...source,
      rows: kept.filter((example) => example.source === source.name).length,
      skipped: {},
    })),
    tasks: tasks.flatMap((task) => {
      const of = (split: Split) => rows[split].filter((example) => example.task === task);
      const asked = { train: of('train'), validation: of('validation'), test: of('test') };
      const counts = countsOf(asked);
      return totalOf(counts) > 0
        ? [{ task: taskMessage(task), rows: counts, labels: labelCounts(asked) }]
        : [];
    }),
    duplicatesRemoved,
    leaksRemoved,
    files: files.map(({ path, bytes }) => ({ path, sha256: sha256(bytes), bytes: bytes.length })),
    conflicts: conflictsOf(assembled),
    notices: noticesOf(assembled, plan),
  };
  const text = canonicalJson(manifest);
  const version = sha256(text).slice(0, 12);
  const prefix = `datasets/${plan.name}/${version}`;
  for (const [i, { path, bytes }] of files.entries()) {
    options.onProgress({ phase: 'writing', done: i, total: files.length, unit: 'files' });
    await options.objects.put(`${prefix}/${path}`, bytes);
  }
  await options.objects.put(`${prefix}/manifest.json`, text);
  return { version, prefix, manifest };
}
