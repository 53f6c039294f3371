/**
 * A lexicon induced from rated texts: how much each word goes with a valence or an emotion, shrunk towards what all texts have by
 * empirical Bayes (the credibility of Bühlmann and Straub 1970: a word's mean counts n / (n + k), k the variance of ratings within
 * words over the variance between them).
 */
import { type Lexicon, termKey, valence } from './lexicon.js';
import type { Example } from './tasks.js';

/** How its name begins; the language follows. */
export const inducedName = 'induced';

/** A word in fewer texts says nothing. */
const fewestTexts = 5;
/** Size of a log-odds ratio at which a word says all it can. */
const largestLogOdds = 3;
/** A value below this is left out. */
const smallest = 0.02;
const wordPattern = /[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*|\p{Extended_Pictographic}/gu;
const polarities: Readonly<Record<string, number>> = { positive: 1, neutral: 0.5, negative: 0 };

/** What the texts of a word were rated, along one dimension. */
interface Moments {
  count: number;
  sum: number;
  squares: number;
}

interface Counted {
  readonly all: Moments;
  readonly words: Map<string, Moments>;
}

/** The ratings that an example gives its text, by dimension, 0..1. */
function ratingsOf({ task, gold, emotion, labelSet }: Example): [dimension: string, rating: number][] {
  if (gold.value !== null) return [[task === 'sentiment-regression' ? valence : (emotion ?? ''), gold.value]];
  if (task === 'sentiment-classification')
    return gold.labels.flatMap((label): [string, number][] =>
      Object.hasOwn(polarities, label) ? [[valence, polarities[label]]] : [],
    );
  return labelSet.map((label) => [label, Number(gold.labels.includes(label))]);
}

/** Distinct words of a text, as they are looked up. */
function wordsOf(text: string): Set<string> {
  return new Set(text.match(wordPattern)?.map(termKey));
}

function add(moments: Moments, rating: number): void {
  moments.count++;
  moments.sum += rating;
  moments.squares += rating * rating;
}

/** What stands under a key, made where nothing does. */
function entryOf<Value>(map: Map<string, Value>, key: string, make: () => Value): Value {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

const nothing = (): Moments => ({ count: 0, sum: 0, squares: 0 });

function languageOf({ language }: Example): string {
  return language.toLowerCase().split('-')[0];
}

/** Which words texts have often enough: most words of a corpus are rare, and nothing need be kept of those. */
export class WordCounts {
  private readonly languages = new Map<string, Map<string, number>>();

  add(example: Example): void {
    const counts = entryOf(this.languages, languageOf(example), () => new Map<string, number>());
    for (const word of wordsOf(example.text)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }

  /** Words of enough rows, by language. */
  usual(): Map<string, Set<string>> {
    return new Map(
      [...this.languages].map(([language, counts]): [string, Set<string>] => [
        language,
        new Set([...counts].flatMap(([word, count]) => (count >= fewestTexts ? [word] : []))),
      ]),
    );
  }
}

/** Ratings of words, gathered a row at a time, in folds that can be left out. */
export class InducedCounts {
  /** By language, then by dimension, of each fold. */
  private readonly folds: Map<string, Map<string, Counted>>[];

  /** @param words of which ratings are kept, by language: `WordCounts` of the same rows */
  constructor(
    private readonly words: ReadonlyMap<string, ReadonlySet<string>>,
    foldCount = 1,
  ) {
    this.folds = Array.from({ length: foldCount }, () => new Map());
  }

  /** @param fold all rows of one text have one */
  add(example: Example, fold = 0): void {
    const of = this.folds[fold];
    const language = languageOf(example);
    const dimensions = entryOf(of, language, () => new Map<string, Counted>());
    const usual = this.words.get(language);
    const words = [...wordsOf(example.text)].filter((word) => usual?.has(word));
    for (const [dimension, rating] of ratingsOf(example)) {
      const counted = entryOf(dimensions, dimension, () => ({ all: nothing(), words: new Map() }));
      add(counted.all, rating);
      for (const word of words) add(entryOf(counted.words, word, nothing), rating);
    }
  }

  /** The lexicon of each language, without the rows of one fold. */
  lexicons(without?: number): Lexicon[] {
    const languages = new Map<string, Map<string, Counted[]>>();
    this.folds.forEach((fold, i) => {
      if (i === without) return;
      for (const [language, dimensions] of fold) {
        const all = entryOf(languages, language, () => new Map<string, Counted[]>());
        for (const [dimension, counted] of dimensions) entryOf(all, dimension, () => []).push(counted);
      }
    });
    return [...languages]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([language, dimensions]) => lexiconOf(language, dimensions));
  }
}

function merged(parts: readonly Counted[]): Counted {
  const all = nothing();
  const words = new Map<string, Moments>();
  const join = (to: Moments, from: Moments) => {
    to.count += from.count;
    to.sum += from.sum;
    to.squares += from.squares;
  };
  for (const part of parts) {
    join(all, part.all);
    for (const [word, moments] of part.words) join(entryOf(words, word, nothing), moments);
  }
  return { all, words };
}

/**
 * How many texts of a word count as much as what is known beforehand: the variance of ratings within words over that between
 * them, by the method of moments; infinite where words do not differ.
 */
export function priorStrength(words: Iterable<Moments>, prior: number): number {
  let [count, sizes, within, between, kinds] = [0, 0, 0, 0, 0];
  for (const { count: n, sum, squares } of words) {
    const mean = sum / n;
    count += n;
    sizes += n * n;
    within += squares - n * mean * mean;
    between += n * (mean - prior) ** 2;
    kinds++;
  }
  if (count <= kinds) return Number.POSITIVE_INFINITY;
  const variance = within / (count - kinds);
  const spread = (between - kinds * variance) / (count - sizes / count);
  return spread > 0 ? variance / spread : Number.POSITIVE_INFINITY;
}

function logOdds(p: number): number {
  const safe = Math.min(1 - 1e-3, Math.max(1e-3, p));
  return Math.log(safe / (1 - safe));
}

function lexiconOf(language: string, dimensions: ReadonlyMap<string, readonly Counted[]>): Lexicon {
  const names = [...dimensions.keys()].sort();
  const terms = new Map<string, number[]>();
  names.forEach((dimension, column) => {
    const { all, words } = merged(dimensions.get(dimension)!);
    const prior = all.sum / all.count;
    const known = [...words].filter(([, { count }]) => count >= fewestTexts);
    const strength = priorStrength(
      known.map(([, moments]) => moments),
      prior,
    );
    for (const [word, { count, sum }] of known) {
      const confidence = count / (count + strength);
      const shrunk = prior + confidence * (sum / count - prior);
      // Valence is symmetric; an emotion that few texts have is told by its odds.
      const value =
        dimension === valence
          ? 2 * (shrunk - prior)
          : Math.max(-1, Math.min(1, (logOdds(shrunk) - logOdds(prior)) / largestLogOdds));
      if (!(Math.abs(value) >= smallest)) continue;
      const values = terms.get(word) ?? names.map(() => 0);
      values[column] = Math.round(value * 1000) / 1000;
      terms.set(word, values);
    }
  });
  return { name: `${inducedName}-${language}`, language, dimensions: names, scale: 1, terms };
}
