/** Builds one dataset version: sources in, Parquet and manifest out. */
import { createHash } from 'node:crypto';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type SourceExample, type Split, splits, type Task, tasks } from '@emotune/affect';
import { canonicalJson, readRegularFile, sha256, sha256OfFile, temporaryPrefix } from '@emotune/base';
import { type ObjectStore, openRowFile } from '@emotune/objects';
import type { common, data } from '@emotune/proto';
import { checkUserFile, ExampleWriter, mostRows, tooManyRows, userExamples } from '@emotune/records';
import { taskMessage } from '@emotune/service/words';
import { type Division, Rows } from './division.js';
import type { Fetched } from './fetch.js';
import { loadHub } from './hub-source.js';
import { chosenRows } from './limit.js';
import type { LoadedSource } from './loaded-source.js';
import type { DatasetPlan, PlannedSource } from './spec.js';

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
  let all = 0;
  for (const { source, field, limit } of sources) {
    // Those of the Hub are checked when they are there.
    if (!('upload' in source)) continue;
    const at = `${field}.file`;
    const { rows } = await checkUserFile(source.file, await openRowFile(objects, source.upload, at), at);
    all += limit > 0 ? Math.min(rows, limit) : rows;
    if (all > mostRows) throw tooManyRows(at, all);
  }
}

/** Files of corpora are held whole. */
const largestCorpusFile = 2 ** 28;

async function load(
  planned: PlannedSource,
  { hub, paths }: Fetched,
  objects: ObjectStore,
): Promise<LoadedSource> {
  if ('hub' in planned.source) return loadHub(planned.source, planned.field, hub!);
  if ('file' in planned.source) {
    const { file, upload } = planned.source;
    const at = `${planned.field}.file`;
    const content = await openRowFile(objects, upload, at);
    const found = await checkUserFile(file, content, at);
    const { name, licence } = file;
    const { sha256 } = upload;
    return {
      name,
      licence,
      url: '',
      sha256,
      skipped: {},
      examples: () => userExamples(file, content, at, found),
    };
  }
  const { corpus } = planned.source;
  const read = async (path: string) =>
    (await readRegularFile(path, { mostBytes: largestCorpusFile })).toString('utf8');
  const skipped: Record<string, number> = {};
  const skip = (reason: string) => {
    skipped[reason] = (skipped[reason] ?? 0) + 1;
  };
  const examples = corpus.examples(await Promise.all(paths!.map(read)), skip);
  const hashes = corpus.files.map((file) => file.sha256);
  const whole = hashes.length > 1 ? sha256(hashes.join('')) : hashes[0];
  return {
    name: corpus.name,
    licence: corpus.licence,
    url: corpus.url,
    // What is bundled has no file of its own: its rows are its content.
    sha256: whole ?? hashOfRows(examples),
    skipped,
    async *examples() {
      yield* examples;
    },
  };
}

function hashOfRows(examples: readonly SourceExample[]): string {
  const hash = createHash('sha256');
  for (const example of examples) hash.update(canonicalJson(example)).update('\n');
  return hash.digest('hex');
}

const none = (): data.SplitCounts => ({ train: 0, validation: 0, test: 0 });
const totalOf = ({ train, validation, test }: data.SplitCounts) => train + validation + test;

/** What a manifest tells of the rows, counted as they pass. */
class Counts {
  readonly rows = none();
  private readonly sources = new Map<string, number>();
  private readonly asked = new Map<
    Task,
    { readonly rows: data.SplitCounts; readonly labels: Map<string, data.SplitCounts> }
  >();

  add({ source, task, gold }: SourceExample, split: Split): void {
    this.rows[split]++;
    this.sources.set(source, this.ofSource(source) + 1);
    let asked = this.asked.get(task);
    if (!asked) {
      asked = { rows: none(), labels: new Map() };
      this.asked.set(task, asked);
    }
    asked.rows[split]++;
    for (const label of gold.labels) {
      const of = asked.labels.get(label) ?? none();
      of[split]++;
      asked.labels.set(label, of);
    }
  }

  ofSource(name: string): number {
    return this.sources.get(name) ?? 0;
  }

  get tasks(): data.Manifest['tasks'] {
    return tasks.flatMap((task) => {
      const asked = this.asked.get(task);
      if (!asked) return [];
      // Most frequent first, then by name.
      const labels = [...asked.labels]
        .map(([label, rows]) => ({ label, rows }))
        .sort((a, b) => totalOf(b.rows) - totalOf(a.rows) || (a.label < b.label ? -1 : 1));
      return [{ task: taskMessage(task), rows: asked.rows, labels }];
    });
  }
}

/** Conflicts that a manifest shows; the rest are counted. */
const shownConflicts = 10;

function conflictsOf({ counts, conflicts }: Division): data.Conflicts {
  return {
    texts: counts.conflictTexts,
    rows: counts.conflictRows,
    examples: conflicts.map(({ text, task, emotion, answers }) => ({
      text,
      task: taskMessage(task),
      emotion: emotion ?? '',
      answers: { ...answers },
    })),
  };
}

function noticesOf(counts: Counts, { shares }: DatasetPlan): string[] {
  const total = totalOf(counts.rows);
  const asked = splits.filter((split) => split === 'train' || shares[split] > 0);
  return [
    ...asked
      .filter((split) => counts.rows[split] === 0)
      .map(
        (split) =>
          `the ${split} split is empty, with ${total} rows in all: rows with a split of their own stay in it, and the others are too few to divide`,
      ),
    ...(counts.ofSource('emotune-demo') > 0
      ? ['emotune-demo is demonstration data: scores on it say nothing about quality on real text']
      : []),
  ];
}

/** The examples that a plan takes of a source: of its tasks, at most its limit, in its split. */
async function chosenExamples(
  source: LoadedSource,
  { split, limit }: PlannedSource,
  plan: DatasetPlan,
): Promise<LoadedSource['examples']> {
  async function* asked(): AsyncGenerator<SourceExample> {
    for await (const example of source.examples()) if (plan.tasks.includes(example.task)) yield example;
  }
  const chosen = await chosenRows(asked, limit, plan.seed);
  return async function* () {
    let row = 0;
    for await (const example of asked())
      if (chosen?.[row++] !== 0) yield split === null ? example : { ...example, split };
  };
}

/** The same plan over the same sources gives the same version. Rows pass several times; none of them is held. */
export async function buildDataset(plan: DatasetPlan, options: BuildOptions): Promise<BuiltDataset> {
  const { objects, fetched, onProgress } = options;
  const sources: LoadedSource[] = [];
  const rows = new Rows(plan.seed);
  const all: LoadedSource['examples'][] = [];
  let done = 0;
  for (const [i, planned] of plan.sources.entries()) {
    onProgress({ phase: 'reading sources', done: i, total: plan.sources.length, unit: 'sources' });
    const source = await load(planned, fetched[i], objects);
    sources.push(source);
    const examples = await chosenExamples(source, planned, plan);
    all.push(examples);
    for await (const example of examples()) {
      rows.add(example);
      if (++done > mostRows) throw tooManyRows(planned.field, done);
    }
  }
  onProgress({ phase: 'splitting', done: 0, total: done, unit: 'rows' });
  const division = rows.divide(plan.shares, shownConflicts);
  const folder = await mkdtemp(temporaryPrefix('dataset'));
  try {
    const path = (split: Split) => join(folder, `${split}.parquet`);
    const writers = {
      train: new ExampleWriter(path('train')),
      validation: new ExampleWriter(path('validation')),
      test: new ExampleWriter(path('test')),
    };
    const counts = new Counts();
    const total = done;
    done = 0;
    for (const examples of all)
      for await (const example of examples()) {
        onProgress({ phase: 'writing', done: done++, total, unit: 'rows' });
        const split = division.next(example);
        if (!split) continue;
        counts.add(example, split);
        writers[split].add({ ...example, split });
      }
    const files: data.Manifest['files'] = [];
    for (const split of splits) {
      writers[split].finish();
      const { size: bytes } = await stat(path(split));
      files.push({ path: `${split}.parquet`, sha256: await sha256OfFile(path(split)), bytes });
    }
    const { duplicatesRemoved, leaksRemoved } = division.counts;
    const manifest: data.Manifest = {
      rows: counts.rows,
      sources: sources.map(({ examples: _, ...source }) => ({
        ...source,
        rows: counts.ofSource(source.name),
      })),
      tasks: counts.tasks,
      duplicatesRemoved,
      leaksRemoved,
      files,
      conflicts: conflictsOf(division),
      notices: noticesOf(counts, plan),
    };
    const text = canonicalJson(manifest);
    const version = sha256(text).slice(0, 12);
    const prefix = `datasets/${plan.name}/${version}`;
    await writeFile(join(folder, 'manifest.json'), text);
    onProgress({ phase: 'storing', done: 0, total: files.length, unit: 'files' });
    await objects.putFolder(prefix, folder, 'manifest.json');
    return { version, prefix, manifest };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
