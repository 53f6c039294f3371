/** Builds one feature set version: a dataset's Parquet in, Arrow shards for each tokenizer and a manifest out. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { answerTokens, type Example, questionTokens, type Split, splits } from '@emotune/affect';
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

/** Reads, asks and tokenises one split, row by row. */
async function writeSplit(
  split: Split,
  writers: readonly SplitWriter[],
  plan: FeaturePlan,
  { objects, dataset, onProgress }: BuildOptions,
): Promise<void> {
  const key = `${dataset.prefix}/${split}.parquet`;
  const found = await objects.stat(key);
  if (!found)
    throw new NotFound(
      `the files of dataset ${plan.dataset}, version ${dataset.version}, are gone from the object store; create it again`,
    );
  const file = { bytes: found.bytes, read: (from?: number) => objects.read(key, from) };
  const total = Math.min(await countExamples(file), plan.limits[split] || Number.POSITIVE_INFINITY);
  let done = 0;
  for await (const example of chosenExamples(
    () => readExamples(file, split),
    plan.limits[split],
    plan.seed,
  )) {
    onProgress({ phase: `tokenising ${split}`, done: done++, total, unit: 'rows' });
    for (const asked of ask(example, split, plan))
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
    for (const { tokenizer } of options.tokenizers) await mkdir(join(scratch, folderOf(tokenizer)));
    for (const split of splits) {
      const writers = options.tokenizers.map(
        ({ tokenizer }) => new SplitWriter(split, tokenizer, scratch, folderOf(tokenizer)),
      );
      await writeSplit(split, writers, plan, options);
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
