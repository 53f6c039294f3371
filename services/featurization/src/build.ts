/** Builds one feature set version: a dataset's Parquet in, Arrow shards for each tokenizer and a manifest out. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  answerTokens,
  type Example,
  type KeptLexicon,
  lexiconsFile,
  lexiconsJson,
  questionTokens,
  type Split,
  splits,
} from '@emotune/affect';
import {
  canonicalJson,
  FailedPrecondition,
  InvalidArgument,
  NotFound,
  sha256,
  temporaryPrefix,
} from '@emotune/base';
import type { ObjectStore } from '@emotune/objects';
import type { common, featurization } from '@emotune/proto';
import { countExamples, encodeShard, type FeatureRow, readExamples } from '@emotune/records';
import { taskMessage } from '@emotune/service/words';
import type { Tokenizer } from '@emotune/text';
import { type Asked, ask, type CuesOf } from './ask.js';
import { type AugmentationSources, Augmenter } from './augmentation/augment.js';
import { type FeatureLexicons, givenLexicons, inducedLexicons } from './lexicons.js';
import { type Selected, Selection } from './select.js';
import type { FeaturePlan } from './spec.js';

/** A tokenizer and the base models that share it. */
export interface PlannedTokenizer {
  readonly tokenizer: Tokenizer;
  readonly baseModels: readonly string[];
}

export interface BuildOptions {
  readonly objects: ObjectStore;
  readonly dataset: { readonly version: string; readonly prefix: string };
  readonly tokenizers: readonly PlannedTokenizer[];
  /** Those that the plan names. */
  readonly lexicons: readonly KeptLexicon[];
  readonly augmentation: AugmentationSources;
  readonly onProgress: (progress: common.Progress) => void;
}

export interface BuiltFeatures {
  readonly version: string;
  readonly prefix: string;
  readonly tokenized: featurization.TokenizedFeatures[];
}

interface ShardFile {
  readonly path: string;
  readonly sha256: string;
  readonly bytes: number;
}

const shardRows = 4000;

function promptTokens(asked: Asked, tokenizer: Tokenizer, maxTokens: number, answerLength: number) {
  try {
    return questionTokens(tokenizer, asked.question, maxTokens - answerLength);
  } catch (cause) {
    if (!(cause instanceof InvalidArgument)) throw cause;
    const { task, source } = asked.example;
    const [{ description }] = cause.violations;
    throw InvalidArgument.at(
      'spec.maxTokens',
      `expected enough for the ${task} questions of ${source}, got ${maxTokens}: ${description}`,
      { cause },
    );
  }
}

/** In the words of the question. Votes are by the labels of the source. */
function goldOf({ example, gold }: Asked): Example['gold'] {
  return gold === example.gold ? example.gold : { ...example.gold, labels: gold.labels, votes: {} };
}

function featureRow(asked: Asked, tokenizer: Tokenizer, maxTokens: number): FeatureRow & { cut: boolean } {
  const { example, question, answer } = asked;
  const answered = answerTokens(tokenizer, answer);
  const { tokens, cut } = promptTokens(asked, tokenizer, maxTokens, answered.length);
  return {
    id: asked.id,
    task: example.task,
    source: example.source,
    language: example.language,
    text: example.text,
    emotion: example.emotion,
    prompt: asked.prompt,
    answer,
    tokens: Int32Array.from([...tokens, ...answered]),
    answerStart: tokens.length,
    gold: goldOf(asked),
    labelSet: question.labelSet,
    multiLabel: example.multiLabel,
    scale: question.scale,
    decimals: question.decimals,
    derived: asked.derived,
    cut,
  };
}

/** Writes the rows of one split for one tokenizer, a shard at a time. */
class SplitWriter {
  readonly files: ShardFile[] = [];
  readonly counts: featurization.SplitFeatures;
  private rows: FeatureRow[] = [];

  /** @param folder below which the tokenizer's folder is, of the name */
  constructor(
    split: Split,
    readonly tokenizer: Tokenizer,
    private readonly folder: string,
    private readonly name: string,
  ) {
    this.counts = {
      split,
      rows: 0,
      tokens: 0,
      answerTokens: 0,
      longest: 0,
      cut: 0,
      files: [],
      rowsByTask: {},
      rowsByDerivation: {},
      labels: [],
    };
  }

  async add({ cut, ...row }: FeatureRow & { cut: boolean }): Promise<void> {
    const { counts } = this;
    const { length } = row.tokens;
    counts.rows++;
    counts.tokens += length;
    counts.answerTokens += length - row.answerStart;
    counts.longest = Math.max(counts.longest, length);
    counts.cut += Number(cut);
    counts.rowsByTask[row.task] = (counts.rowsByTask[row.task] ?? 0) + 1;
    const by = row.derived?.by;
    if (by) counts.rowsByDerivation[by] = (counts.rowsByDerivation[by] ?? 0) + 1;
    if (this.rows.push(row) === shardRows) await this.flush();
  }

  async flush(): Promise<void> {
    if (this.rows.length === 0) return;
    const bytes = encodeShard(this.rows);
    this.rows = [];
    const path = `${this.counts.split}-${String(this.files.length).padStart(5, '0')}.arrow`;
    await writeFile(join(this.folder, this.name, path), bytes);
    this.files.push({ path: `${this.name}/${path}`, sha256: sha256(bytes), bytes: bytes.length });
    this.counts.files.push(path);
  }
}

/** How often each of a split's examples goes in. */
async function selectedOf(
  split: Split,
  examples: AsyncIterable<Example>,
  { limits, labelBalance, seed }: FeaturePlan,
): Promise<Selected> {
  const balance = split === 'train' ? labelBalance : 0;
  const selection = new Selection({ limit: limits[split], seed, balance });
  for await (const example of examples) selection.add(example);
  return selection.selected();
}

interface Chosen {
  readonly example: Example;
  readonly copies: number;
}

async function* chosen(examples: AsyncIterable<Example>, copies: Uint8Array): AsyncGenerator<Chosen> {
  let row = 0;
  for await (const example of examples) {
    const count = copies[row++];
    if (count > 0) yield { example, copies: count };
  }
}

/** Rows whose edits are under way at a time: a model behind an endpoint answers several at once. */
const editedAtOnce = 8;

/** Rows with what is made of their examples, in their order. */
async function* ahead<T>(
  rows: AsyncIterable<Chosen>,
  make: (example: Example) => T | Promise<T>,
): AsyncGenerator<{ row: Chosen; made: T }> {
  const waiting: { row: Chosen; made: Promise<T> }[] = [];
  const next = async () => {
    const { row, made } = waiting.shift()!;
    return { row, made: await made };
  };
  for await (const row of rows) {
    const made = Promise.resolve(make(row.example));
    // Heard of in its turn.
    made.catch(() => undefined);
    if (waiting.push({ row, made }) === editedAtOnce) yield await next();
  }
  while (waiting.length > 0) yield await next();
}

/** A split's file in the object store. @throws NotFound */
async function fileOf(split: Split, plan: FeaturePlan, { objects, dataset }: BuildOptions) {
  const key = `${dataset.prefix}/${split}.parquet`;
  const found = await objects.stat(key);
  if (!found)
    throw new NotFound(
      `the files of dataset ${plan.dataset}, version ${dataset.version}, are gone from the object store; create it again`,
    );
  return { bytes: found.bytes, read: (from?: number) => objects.read(key, from) };
}

/** The lexicons of a plan: what is induced reads all train rows of the dataset, and no others. */
async function lexiconsOf(plan: FeaturePlan, options: BuildOptions): Promise<FeatureLexicons> {
  if (!plan.induced) return givenLexicons(options.lexicons);
  const { version } = options.dataset;
  const file = await fileOf('train', plan, options);
  const total = await countExamples(file);
  async function* counted() {
    let done = 0;
    for await (const example of readExamples(file, 'train')) {
      options.onProgress({ phase: 'inducing a lexicon', done: done++, total, unit: 'rows' });
      yield example;
    }
  }
  return inducedLexicons(counted, options.lexicons, {
    licence: 'as its dataset',
    source: `train rows of dataset ${plan.dataset}, version ${version}`,
  });
}

/** What rows are made with. */
interface Makers {
  readonly lexicons: FeatureLexicons;
  readonly augmenter: Augmenter;
}

/** Reads, asks and tokenises one split, row by row. */
async function writeSplit(
  split: Split,
  writers: readonly SplitWriter[],
  plan: FeaturePlan,
  { lexicons, augmenter }: Makers,
  options: BuildOptions,
): Promise<void> {
  const file = await fileOf(split, plan, options);
  const cues: CuesOf = (example, origin) => lexicons.cuesOf(example, split, origin);
  const { copies, labels } = await selectedOf(split, readExamples(file, split), plan);
  for (const { counts } of writers)
    counts.labels = labels.map(({ task, ...label }) => ({ task: taskMessage(task), ...label }));
  const total = copies.reduce((rows, count) => rows + Math.min(1, count), 0);
  const edited = (example: Example) => (split === 'train' ? augmenter.variants(example) : []);
  let done = 0;
  for await (const { row, made } of ahead(chosen(readExamples(file, split), copies), edited)) {
    options.onProgress({ phase: `tokenising ${split}`, done: done++, total, unit: 'rows' });
    for (const asked of ask(row.example, split, plan, cues, { copies: row.copies, edited: made }))
      for (const writer of writers) await writer.add(featureRow(asked, writer.tokenizer, plan.maxTokens));
  }
  for (const writer of writers) await writer.flush();
  if (split === 'train' && writers.every(({ counts }) => counts.rows === 0))
    throw new FailedPrecondition(
      `dataset ${plan.dataset} has no train rows; add sources or lower its shares`,
    );
}

function folderOf(tokenizer: Tokenizer): string {
  return tokenizer.hash.slice(0, 12);
}

/**
 * Reads, asks, tokenises and stores; the version is visible once its manifest is. The same plan, data and tokenizers
 * give the same bytes and version.
 * @throws InvalidArgument, NotFound, FailedPrecondition when it will never work.
 */
export async function buildFeatures(plan: FeaturePlan, options: BuildOptions): Promise<BuiltFeatures> {
  const scratch = await mkdtemp(temporaryPrefix('features'));
  try {
    const files: ShardFile[] = [];
    const counts = new Map<PlannedTokenizer, featurization.SplitFeatures[]>(
      options.tokenizers.map((planned) => [planned, []]),
    );
    const makers = {
      lexicons: await lexiconsOf(plan, options),
      augmenter: await Augmenter.open(plan.augmentations, plan.seed, options.augmentation),
    };
    for (const { tokenizer } of options.tokenizers) {
      const folder = folderOf(tokenizer);
      await mkdir(join(scratch, folder));
      if (makers.lexicons.kept.length === 0) continue;
      // Beside the rows, so that whoever trains on them has it.
      const text = lexiconsJson(makers.lexicons.kept);
      await writeFile(join(scratch, folder, lexiconsFile), text);
      files.push({ path: `${folder}/${lexiconsFile}`, sha256: sha256(text), bytes: Buffer.byteLength(text) });
    }
    for (const split of splits) {
      const writers = options.tokenizers.map(
        ({ tokenizer }) => new SplitWriter(split, tokenizer, scratch, folderOf(tokenizer)),
      );
      await writeSplit(split, writers, plan, makers, options);
      for (const [i, writer] of writers.entries()) {
        counts.get(options.tokenizers[i])!.push(writer.counts);
        files.push(...writer.files);
      }
    }
    const { name: _, ...spec } = plan;
    const manifest = canonicalJson({
      spec,
      datasetVersion: options.dataset.version,
      tokenized: [...counts].map(([{ tokenizer, baseModels }, of]) => ({
        tokenizer: tokenizer.hash,
        baseModels,
        splits: of,
      })),
      files,
    });
    await writeFile(join(scratch, 'manifest.json'), manifest);
    const version = sha256(manifest).slice(0, 12);
    const prefix = `features/${plan.name}/${version}`;
    options.onProgress({ phase: 'storing', done: 0, total: files.length, unit: 'files' });
    await options.objects.putFolder(prefix, scratch, 'manifest.json');
    return {
      version,
      prefix,
      tokenized: [...counts].map(([{ tokenizer, baseModels }, of]) => ({
        tokenizer: tokenizer.hash,
        baseModels: [...baseModels],
        prefix: `${prefix}/${folderOf(tokenizer)}`,
        splits: of,
      })),
    };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
