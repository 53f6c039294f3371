/** The fixed rows of an ablation: the corpora of `npm start`, cleaned and divided as a dataset is. */
import { readFile } from 'node:fs/promises';
import { type SourceExample, type Split, splits, tasks } from '@emotune/affect';
import { Rng, sha256 } from '@emotune/base';
import { assemble, corpora, type LocateOptions, locate } from '@emotune/data';
import type { ObjectStore } from '@emotune/objects';
import { encodeExamples } from '@emotune/records';
import { textKey } from '@emotune/text';
import { started } from '../pretraining-text.js';

/** As a dataset with default settings is divided: base models were pre-trained without the rows that this sets aside. */
const shares = { validation: 0.1, test: 0.1 };
const seed = 0;
const nearDuplicates = 0.85;
/** Trains on intensities of emotions, which no open corpus has, and is never tested on. */
const trainOnly = 'emotune-demo';

export type AblationRows = Readonly<Record<Split, readonly SourceExample[]>>;

/** At most so many rows of each subtask, the same ones of the same rows. */
function fixed(rows: readonly SourceExample[], perTask: number, split: Split): SourceExample[] {
  return tasks.flatMap((task) =>
    Rng.of('ablation', split, task)
      .shuffle(rows.filter((row) => row.task === task))
      .slice(0, perTask),
  );
}

/**
 * All train rows; of validation and test at most `perTask` of each subtask, whose texts base models have not seen: those that
 * are set aside with near-duplicates taken for one text, and also without that.
 * @throws as `locate`
 */
export async function ablationRows(options: LocateOptions, perTask: number): Promise<AblationRows> {
  const rows: SourceExample[] = [];
  for (const name of [...started, trainOnly]) {
    const corpus = corpora.find((known) => known.name === name)!;
    const texts = await Promise.all((await locate(corpus, options)).map((path) => readFile(path, 'utf8')));
    const own = corpus.examples(texts, () => {});
    rows.push(...(name === trainOnly ? own.map((row) => ({ ...row, split: 'train' as const })) : own));
  }
  const { splits: plain } = assemble(rows, shares, seed);
  const aside = new Set([...plain.validation, ...plain.test].map(({ text }) => textKey(text)));
  const { splits: divided } = assemble(rows, shares, seed, nearDuplicates);
  const unseen = (split: Split) =>
    fixed(
      divided[split].filter(({ text }) => aside.has(textKey(text))),
      perTask,
      split,
    );
  return { train: divided.train, validation: unseen('validation'), test: unseen('test') };
}

/** The same rows have the same. */
export function hashOfRows(rows: AblationRows): string {
  return sha256(JSON.stringify(splits.map((split) => rows[split].map(({ id, task }) => [task, id])))).slice(
    0,
    12,
  );
}

/** Where the rows lie as a dataset. */
export async function storeRows(rows: AblationRows, objects: ObjectStore) {
  const dataset = { version: hashOfRows(rows), prefix: `datasets/ablation/${hashOfRows(rows)}` };
  for (const split of splits)
    await objects.put(`${dataset.prefix}/${split}.parquet`, await encodeExamples(rows[split]));
  return dataset;
}
