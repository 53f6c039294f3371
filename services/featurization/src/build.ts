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
import type { Tokenizer } from '@emotune/text';
import { type Asked, ask } from './ask.js';
import { type FeatureLexicons, givenLexicons, inducedLexicons } from './lexicons.js';
import { selectRows } from './select.js';
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
    gold: example.gold,
    labelSet: question.labelSet,
    multiLabel: example.multiLabel,
    scale: question.scale,
    decimals: question.decimals,
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

/** Those that go in of a split's examples, in their order. */
async function* chosenExamples(
  examples: () => AsyncIterable<Example>,
  limit: number,
  seed: number,
): AsyncGenerator<Example> {
  if (limit === 0) {
    yield* examples();
    return;
  }
  const known: Example[] = [];
  // The choice reads no texts, which are most of the memory.
  for await (const example of examples()) known.push({ ...example, text: '' });
  const chosen = new Set(selectRows(known, limit, seed));
  let i = 0;
  for await (const example of examples()) if (chosen.has(known[i++])) yield example;
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
  return inducedLexicons(counted(), options.lexicons, {
    licence: 'as its dataset',
    source: `train rows of dataset ${plan.dataset}, version ${version}`,
  });
}

/** Reads, asks and tokenises one split, row by row. */
async function writeSplit(
  split: Split,
  writers: readonly SplitWriter[],
  plan: FeaturePlan,
  lexicons: FeatureLexicons,
  options: BuildOptions,
): Promise<void> {
  const file = await fileOf(split, plan, options);
  const cues = (example: Example) => lexicons.cuesOf(example, split);
  const total = Math.min(await countExamples(file), plan.limits[split] || Number.POSITIVE_INFINITY);
  let done = 0;
  for await (const example of chosenExamples(
    () => readExamples(file, split),
    plan.limits[split],
    plan.seed,
  )) {
    options.onProgress({ phase: `tokenising ${split}`, done: done++, total, unit: 'rows' });
    for (const asked of ask(example, split, plan, cues))
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
    const lexicons = await lexiconsOf(plan, options);
    for (const { tokenizer } of options.tokenizers) {
      const folder = folderOf(tokenizer);
      await mkdir(join(scratch, folder));
      if (lexicons.kept.length === 0) continue;
      // Beside the rows, so that whoever trains on them has it.
      const text = lexiconsJson(lexicons.kept);
      await writeFile(join(scratch, folder, lexiconsFile), text);
      files.push({ path: `${folder}/${lexiconsFile}`, sha256: sha256(text), bytes: Buffer.byteLength(text) });
    }
    for (const split of splits) {
      const writers = options.tokenizers.map(
        ({ tokenizer }) => new SplitWriter(split, tokenizer, scratch, folderOf(tokenizer)),
      );
      await writeSplit(split, writers, plan, lexicons, options);
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
