/** The texts that a student is taught on, with what people said of them, and where they come from. */
import { basename, join } from 'node:path';
import type { Example, SourceExample } from '@emotune/affect';
import { InvalidArgument, nearest, openRegularFile, piecesOf, Rng, sha256, show } from '@emotune/base';
import { corpora, type LocateOptions } from '@emotune/data';
import { type FileContent, readExamples, readTexts } from '@emotune/records';
import { textKey } from '@emotune/text';
import { pretrainingCorpora, trainExamples } from '../pretraining-text.js';
import type { TaughtText } from './asked.js';
import type { DataEntry } from './file.js';

export interface DataSource {
  readonly name: string;
  /** Undefined where it is not known. */
  readonly licence: string | undefined;
  readonly texts: number;
}

async function withFile<T>(path: string, use: (content: FileContent) => Promise<T>): Promise<T> {
  const { handle, bytes } = await openRegularFile(path);
  try {
    return await use({ bytes, read: (from = 0) => piecesOf(handle, path, from) });
  } finally {
    await handle.close();
  }
}

/** Train rows alone: a base model that saw others could not be judged on them. */
async function corpusExamples(
  chosen: NonNullable<DataEntry['corpora']>,
  locate: LocateOptions,
): Promise<SourceExample[]> {
  if (chosen === 'train') return trainExamples(pretrainingCorpora(), locate);
  const names = corpora.map(({ name }) => name);
  const unknown = chosen.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    const near = nearest(unknown, names);
    throw InvalidArgument.at(
      'data.corpora',
      `expected names of corpora (${names.join(', ')}), got ${show(unknown)}${near === undefined ? '' : ` (did you mean "${near}"?)`}`,
    );
  }
  return trainExamples(
    corpora.filter(({ name }) => chosen.includes(name)),
    locate,
  );
}

async function datasetExamples(folder: string): Promise<SourceExample[]> {
  return withFile(join(folder, 'train.parquet'), async (content) => {
    const examples: SourceExample[] = [];
    for await (const example of readExamples(content, 'train')) examples.push(example);
    return examples;
  });
}

interface Mention {
  readonly text: string;
  readonly source: string;
  readonly licence: string | undefined;
  readonly example?: Example;
}

/**
 * Each text once, whatever its typesetting, in a seeded order, and its sources.
 */
export async function taughtTexts(
  { corpora: chosen, dataset, texts: files = [], textColumn, rows }: DataEntry,
  { seed, locate }: { readonly seed: number; readonly locate: LocateOptions },
): Promise<{ texts: TaughtText[]; sources: DataSource[] }> {
  const examples = [
    ...(chosen === undefined ? [] : await corpusExamples(chosen, locate)),
    ...(dataset === undefined ? [] : await datasetExamples(dataset)),
  ];
  const mentions: Mention[] = examples.map((example) => ({
    text: example.text,
    source: example.source,
    licence: example.licence,
    example,
  }));
  for (const [i, file] of files.entries()) {
    const found = await withFile(file, (content) => readTexts(file, content, textColumn, `data.texts[${i}]`));
    mentions.push(...found.map((text) => ({ text, source: basename(file), licence: undefined })));
  }
  const found = Map.groupBy(mentions, ({ text }) => textKey(text));
  const drawn = Rng.of(seed, 'texts')
    .shuffle([...found])
    .slice(0, rows);
  const sources = new Map<string, { licence: string | undefined; texts: number }>();
  for (const [, [{ source, licence }]] of drawn)
    sources.set(source, { licence, texts: (sources.get(source)?.texts ?? 0) + 1 });
  return {
    texts: drawn.map(([key, all]) => ({
      id: sha256(key).slice(0, 16),
      text: all[0].text,
      language: all.find(({ example }) => example)?.example?.language ?? 'en',
      examples: all.flatMap(({ example }) => (example ? [example] : [])),
    })),
    sources: [...sources].map(([name, of]) => ({ name, ...of })),
  };
}
