/** Builds one dataset version: sources in, Parquet and manifest out. */
import { createHash } from 'node:crypto';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type SourceExample, type Split, splits } from '@emotune/affect';
import {
  canonicalJson,
  FailedPrecondition,
  readRegularFile,
  sha256,
  sha256OfFile,
  show,
  temporaryPrefix,
} from '@emotune/base';
import { type ObjectStore, openRowFile } from '@emotune/objects';
import type { common, data } from '@emotune/proto';
import { checkUserFile, ExampleWriter, mostRows, tooManyRows, userExamples } from '@emotune/records';
import { taskMessage } from '@emotune/service/words';
import { Counts } from './counts.js';
import { Rows } from './division.js';
import type { Division, DroppedFor } from './division-pass.js';
import type { Fetched } from './fetch.js';
import { loadHub } from './hub-source.js';
import { loadImport } from './import-source.js';
import { chosenRows } from './limit.js';
import type { LoadedSource } from './loaded-source.js';
import { noticesOf } from './notices.js';
import { Remarks } from './remarks.js';
import type { DatasetPlan, PlannedSource } from './spec.js';
import { count } from './words.js';

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
    if ('importer' in source) await loadImport(source, field, objects);
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
  if ('importer' in planned.source) return loadImport(planned.source, planned.field, objects);
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

/** Conflicts, leaks and near-duplicates that a manifest shows; the rest are counted. */
const shown = 10;

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

const droppedRow = ({ dropped, kept }: DroppedFor): data.DroppedRow => ({
  id: dropped.id,
  text: dropped.text,
  split: dropped.split,
  keptId: kept.id,
  keptText: kept.text,
  keptSplit: kept.split,
});

function cleaningOf(division: Division, { nearDuplicates }: DatasetPlan): data.Cleaning {
  const { nearDuplicatesRemoved, nearLeaksRemoved } = division.counts;
  return {
    nearDuplicates,
    nearDuplicatesRemoved,
    nearLeaksRemoved,
    leaks: division.dropped('leak').map(droppedRow),
    near: division.dropped('near duplicate').map(droppedRow),
  };
}

/** @throws FailedPrecondition that lists the first leaks, where the plan says that there may be none. */
async function expectNoLeaks(
  division: Division,
  sources: readonly LoadedSource['examples'][],
  { leaks }: DatasetPlan,
): Promise<void> {
  const { leaksRemoved, nearLeaksRemoved } = division.counts;
  const all = leaksRemoved + nearLeaksRemoved;
  if (leaks === 'remove' || all === 0) return;
  for (const examples of sources) for await (const example of examples()) division.next(example);
  const pairs = division
    .dropped('leak')
    .map(
      ({ dropped, kept }) =>
        `${dropped.id} (${dropped.split}) and ${kept.id} (${kept.split}): ${show(kept.text)}`,
    );
  throw new FailedPrecondition(
    `${count(all, 'row')} of train or validation ${all === 1 ? 'has its text' : 'have their texts'} in a later split, ${count(nearLeaksRemoved, 'of them')} nearly: ${pairs.join('; ')}${all > pairs.length ? '; …' : ''}. Leave such rows out of their sources, or say clean: {leaks: remove}`,
  );
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
  const rows = new Rows(plan.seed, plan.nearDuplicates);
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
  if (rows.unreviewed) {
    let looked = 0;
    for (const examples of all)
      for await (const example of examples()) {
        onProgress({ phase: 'comparing', done: looked++, total: done, unit: 'rows' });
        rows.review(example);
      }
  }
  onProgress({ phase: 'splitting', done: 0, total: done, unit: 'rows' });
  const division = rows.divide({ shares: plan.shares, mostShown: shown });
  await expectNoLeaks(division, all, plan);
  const folder = await mkdtemp(temporaryPrefix('dataset'));
  try {
    const path = (split: Split) => join(folder, `${split}.parquet`);
    const writers = {
      train: new ExampleWriter(path('train')),
      validation: new ExampleWriter(path('validation')),
      test: new ExampleWriter(path('test')),
    };
    const counts = new Counts();
    const remarks = new Remarks();
    const total = done;
    done = 0;
    for (const examples of all)
      for await (const example of examples()) {
        onProgress({ phase: 'writing', done: done++, total, unit: 'rows' });
        const split = division.next(example);
        if (!split) continue;
        counts.add(example, split);
        remarks.add(example, split);
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
      sources: sources.map(({ examples: _, notice: __, ...source }) => ({
        ...source,
        rows: counts.ofSource(source.name),
      })),
      tasks: counts.tasks,
      duplicatesRemoved,
      leaksRemoved,
      files,
      conflicts: conflictsOf(division),
      cleaning: cleaningOf(division, plan),
      languages: counts.languages,
      licences: counts.licences,
      licenceConflicts: counts.licenceConflicts,
      notices: noticesOf(counts, remarks, sources, plan),
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
