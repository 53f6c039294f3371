/**
 * The Stanford Sentiment Treebank (Socher et al. 2013): sentences with a score on 0..1 where its own tables are given
 * (datasetSentences.txt and three more), and of five classes from these, from its trees or from lines that begin with __label__.
 */
import type { Split } from '@emotune/affect';
import { InvalidArgument, show } from '@emotune/base';
import { baseName, type Import, type ImportedFile, type Importer, splitIn } from './importer.js';

const scale = { low: 0, high: 1 };
const classes = ['very negative', 'negative', 'neutral', 'positive', 'very positive'];
const classSet = [...classes].sort();
const splitNumbers: Readonly<Record<string, Split>> = { '1': 'train', '2': 'test', '3': 'validation' };

const tables = ['datasetSentences.txt', 'datasetSplit.txt', 'dictionary.txt', 'sentiment_labels.txt'];

/** As the treebank writes brackets among words, and as its dictionary does. */
const bracketed = (text: string) => text.replaceAll('-LRB-', '(').replaceAll('-RRB-', ')');

function rowsOf({ text }: ImportedFile, separator: string): (readonly [string, string])[] {
  return text.split(/\r?\n/).flatMap((line) => {
    const at = separator === '\t' ? line.indexOf(separator) : line.lastIndexOf(separator);
    return at < 0 ? [] : [[line.slice(0, at), line.slice(at + 1)] as const];
  });
}

/** The five classes are fifths of the scale, each with its upper end. */
export function classOfScore(score: number): string {
  return classes[Math.min(4, Math.max(0, Math.ceil(score * 5 - 1e-9) - 1))];
}

function readTables(files: readonly ImportedFile[], into: Import): void {
  const [sentences, splits, dictionary, labels] = files;
  const make = into.maker('en');
  const idOf = new Map(rowsOf(dictionary, '|'));
  const scoreOf = new Map(rowsOf(labels, '|'));
  const splitOf = new Map(rowsOf(splits, ','));
  for (const [number, written] of rowsOf(sentences, '\t')) {
    if (number === 'sentence_index') continue;
    const text = bracketed(written);
    const score = Number(scoreOf.get(idOf.get(text) ?? '') ?? Number.NaN);
    if (!(score >= 0 && score <= 1)) {
      into.skip('sentences that the dictionary spells in another way');
      continue;
    }
    const draft = { originalId: number, text, split: splitNumbers[splitOf.get(number) ?? ''] ?? null };
    into.add(
      make.regression('sentiment-regression', draft, scale, score, { suffix: '/score' }),
      make.classification('sentiment-classification', draft, [classOfScore(score)], classSet, false, {
        suffix: '/class',
      }),
    );
  }
}

/** The class of a tree's root and its words. */
function treeIn(line: string): { readonly label: string; readonly text: string } | undefined {
  const label = /^\((\d) /.exec(line)?.[1];
  const words = [...line.matchAll(/ ([^()\s]+)\)/g)].map(([, word]) => word);
  return label === undefined || words.length === 0 ? undefined : { label, text: words.join(' ') };
}

function labelledIn(line: string): { readonly label: string; readonly text: string } | undefined {
  const found = /^__label__(\d)\s+(.+)$/.exec(line);
  return found ? { label: found[1], text: found[2] } : undefined;
}

function readLines(file: ImportedFile, into: Import): void {
  const make = into.maker('en');
  const split = splitIn(baseName(file.path)) ?? null;
  // Those of prrao87 and others count from 1.
  const lines = file.text.split(/\r?\n/);
  const fromOne = lines[0].startsWith('__label__') && !lines.some((line) => line.startsWith('__label__0'));
  lines.forEach((line, i) => {
    if (line.trim() === '') return;
    const found = treeIn(line) ?? labelledIn(line);
    const label = found && classes[Number(found.label) - Number(fromOne)];
    if (found === undefined || label === undefined) {
      into.fault(
        file,
        i + 1,
        `expected a tree such as "(3 (2 Fine) (2 .))" or "__label__3 Fine .", got ${show(line)}`,
      );
      return;
    }
    const draft = { originalId: `${split ?? 'row'}-${i + 1}`, text: bracketed(found.text), split };
    into.add(
      make.classification('sentiment-classification', draft, [label], classSet, false, { suffix: '/class' }),
    );
  });
}

export const sst: Importer = {
  format: 'sst',
  title: 'Stanford Sentiment Treebank',
  licence: 'LicenseRef-SST',
  url: 'https://nlp.stanford.edu/sentiment/',
  files: `${tables.join(', ')} together; or train.txt, dev.txt, test.txt`,
  read(files, into) {
    const byName = new Map(files.map((file) => [baseName(file.path), file]));
    const found = tables.map((name) => byName.get(name));
    if (found.every((file) => file !== undefined)) {
      into.take();
      readTables(found, into);
      return;
    }
    const missing = tables.filter((name) => !byName.has(name));
    if (missing.length < tables.length)
      throw InvalidArgument.at(
        into.field,
        `expected ${tables.join(', ')} together, got none of ${missing.join(', ')}`,
      );
    for (const file of files) {
      if (!/^(sst_)?(train|dev|test)\.txt$/.test(baseName(file.path))) continue;
      into.take();
      readLines(file, into);
    }
  },
};
