/** Builds one feature set version: a dataset's Parquet in, Arrow shards for each tokenizer and a manifest out. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as breathe } from 'node:timers/promises';
import { answerTokens, questionTokens, type Split, splits, tasks } from '@emotune/affect';
import { canonicalJson, FailedPrecondition, InvalidArgument, NotFound, sha256 } from '@emotune/base';
import type { ObjectStore } from '@emotune/objects';
import type { common, featurization } from '@emotune/proto';
import { decodeExamples, encodeShard, type FeatureRow } from '@emotune/records';
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
  readonly signal: AbortSignal;
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
/** The process serves calls, too: it gets a turn after this time. */
const turnMs = 20;

/** Goes through `items` without keeping the process from other work. */
async function forEachInTurns<T>(
  items: readonly T[],
  signal: AbortSignal,
  work: (item: T) => void,
  after: (done: number) => void,
): Promise<void> {
  let turn = performance.now();
  for (const [i, item] of items.entries()) {
    work(item);
    if (performance.now() - turn < turnMs) continue;
    after(i + 1);
    await breathe();
    signal.throwIfAborted();
    turn = performance.now();
  }
}

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

function countsOf(
  split: Split,
  rows: readonly (FeatureRow & { cut: boolean })[],
  files: readonly string[],
): featurization.SplitFeatures {
  const sum = (of: (row: FeatureRow & { cut: boolean }) => number) =>
    rows.reduce((total, row) => total + of(row), 0);
  return {
    split,
    rows: rows.length,
    tokens: sum((row) => row.tokens.length),
    answerTokens: sum((row) => row.tokens.length - row.answerStart),
    longest: rows.reduce((longest, row) => Math.max(longest, row.tokens.length), 0),
    cut: sum((row) => Number(row.cut)),
    files: [...files],
    rowsByTask: Object.fromEntries(
      tasks
        .map((task) => [task, rows.filter((row) => row.task === task).length] as const)
        .filter(([, count]) => count > 0),
    ),
  };
}

async function askSplit(split: Split, plan: FeaturePlan, options: BuildOptions): Promise<Asked[]> {
  const { objects, dataset, signal, onProgress } = options;
  const bytes = await objects.get(`${dataset.prefix}/${split}.parquet`).catch((cause) => {
    if (!(cause instanceof NotFound)) throw cause;
    throw new NotFound(
      `the files of dataset ${plan.dataset}, version ${dataset.version}, are gone from the object store; create it again`,
      { cause },
    );
  });
  const examples = selectRows(await decodeExamples(bytes, split), plan.limits[split], plan.seed);
  const asked: Asked[] = [];
  await forEachInTurns(
    examples,
    signal,
    (example) => asked.push(...ask(example, split, plan)),
    (done) => onProgress({ phase: `asking ${split}`, done, total: examples.length, unit: 'rows' }),
  );
  if (split === 'train' && asked.length === 0)
    throw new FailedPrecondition(
      `dataset ${plan.dataset} has no train rows; add sources or lower its shares`,
    );
  return asked;
}

/** Writes one split's shards for one tokenizer below `folder`. */
async function writeSplit(
  split: Split,
  asked: readonly Asked[],
  tokenizer: Tokenizer,
  folder: string,
  plan: FeaturePlan,
  options: BuildOptions,
): Promise<{ counts: featurization.SplitFeatures; files: ShardFile[] }> {
  const { signal, onProgress } = options;
  const rows: (FeatureRow & { cut: boolean })[] = [];
  await forEachInTurns(
    asked,
    signal,
    (one) => rows.push(featureRow(one, tokenizer, plan.maxTokens)),
    (done) => onProgress({ phase: `tokenising ${split}`, done, total: asked.length, unit: 'rows' }),
  );
  const files: ShardFile[] = [];
  for (let start = 0; start < rows.length; start += shardRows) {
    const bytes = encodeShard(rows.slice(start, start + shardRows));
    const path = `${split}-${String(start / shardRows).padStart(5, '0')}.arrow`;
    await writeFile(join(folder, path), bytes);
    files.push({ path, sha256: sha256(bytes), bytes: bytes.length });
  }
  const names = files.map(({ path }) => path);
  return { counts: countsOf(split, rows, names), files };
}

function folderOf(tokenizer: Tokenizer): string {
  return tokenizer.hash.slice(0, 12);
}

/**
 * Reads, asks, tokenises and stores; the version is visible once its manifest is. The same plan, data and tokenizers
 * give the same bytes and version.
 * @throws InvalidArgument, NotFound, FailedPrecondition when it will never work; the signal's reason.
 */
export async function buildFeatures(plan: FeaturePlan, options: BuildOptions): Promise<BuiltFeatures> {
  const scratch = await mkdtemp(join(tmpdir(), 'emotune-features-'));
  try {
    const files: ShardFile[] = [];
    const counts = new Map<PlannedTokenizer, featurization.SplitFeatures[]>(
      options.tokenizers.map((planned) => [planned, []]),
    );
    for (const split of splits) {
      const asked = await askSplit(split, plan, options);
      for (const [planned, of] of counts) {
        const name = folderOf(planned.tokenizer);
        await mkdir(join(scratch, name), { recursive: true });
        const written = await writeSplit(split, asked, planned.tokenizer, join(scratch, name), plan, options);
        of.push(written.counts);
        files.push(...written.files.map((file) => ({ ...file, path: `${name}/${file.path}` })));
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
