/**
 * WordNet-Affect 1.1 (Strapparava and Valitutti 2004) with the words of WordNet 3.0. It files synsets of nouns under a hierarchy
 * of affective categories; adjectives, verbs and adverbs point at the noun that they go with.
 */
import { InvalidArgument } from '@emotune/base';
import { type Lexicon, plutchikEmotions, termKey, valence } from './lexicon.js';

/** Branches of the hierarchy that are an emotion of Plutchik; the nearest above a category counts. */
const branches: Readonly<Record<string, (typeof plutchikEmotions)[number]>> = {
  anger: 'anger',
  'general-dislike': 'disgust',
  disgust: 'disgust',
  dislike: 'disgust',
  anticipation: 'anticipation',
  expectation: 'anticipation',
  'positive-expectation': 'anticipation',
  'positive-hope': 'anticipation',
  'negative-fear': 'fear',
  anxiety: 'fear',
  joy: 'joy',
  sadness: 'sadness',
  despair: 'sadness',
  surprise: 'surprise',
  astonishment: 'surprise',
  confidence: 'trust',
  trust: 'trust',
};
/** For looking up what may be none of them. */
const emotionNames: readonly string[] = plutchikEmotions;
const poles: Readonly<Record<string, number>> = { 'positive-emotion': 1, 'negative-emotion': -1 };

const attributes = (line: string) =>
  Object.fromEntries([...line.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, name, value]) => [name, value]));

/** What stands above each category. */
function parentsOf(hierarchy: string): ReadonlyMap<string, string> {
  const parents = new Map<string, string>();
  for (const [tag] of hierarchy.matchAll(/<categ [^>]*>/g)) {
    const { name, isa } = attributes(tag);
    if (name !== undefined && isa !== undefined) parents.set(name, isa);
  }
  return parents;
}

function ratingOf(category: string, parents: ReadonlyMap<string, string>): number[] {
  const values = plutchikEmotions.map(() => 0);
  let [emotion, pole]: [string | undefined, number] = [undefined, 0];
  const seen = new Set<string>();
  for (let at: string | undefined = category; at !== undefined && !seen.has(at); at = parents.get(at)) {
    seen.add(at);
    if (Object.hasOwn(branches, at)) emotion ??= branches[at];
    if (Object.hasOwn(poles, at)) pole = poles[at];
  }
  if (emotion !== undefined) values[emotionNames.indexOf(emotion)] = 1;
  return [...values, pole];
}

/** The words of each synset of a `data.*` file of WordNet, by its offset. */
function wordsOf(data: string, wanted: ReadonlySet<string>): Map<string, string[]> {
  const words = new Map<string, string[]>();
  for (const [, offset, count, rest] of data.matchAll(/^(\d{8}) \d\d \w ([0-9a-f]{2}) (.*?) \d{3} /gm)) {
    if (!wanted.has(offset)) continue;
    const cells = rest.split(' ');
    words.set(
      offset,
      // An adjective may carry where it stands: "afraid(p)".
      Array.from({ length: Number.parseInt(count, 16) }, (_, i) =>
        termKey(cells[2 * i].replace(/\(\w+\)$/, '')),
      ),
    );
  }
  return words;
}

const parts = { n: 'data.noun', a: 'data.adj', v: 'data.verb', r: 'data.adv' } as const;
type Part = keyof typeof parts;

/**
 * @param files of WordNet-Affect the hierarchy and the synsets, of WordNet 3.0 `data.noun`, `data.adj`, `data.verb` and `data.adv`
 * @throws InvalidArgument where the synsets are not those of this WordNet
 */
export function readWordNetAffect(
  { name, language }: Pick<Lexicon, 'name' | 'language'>,
  [hierarchy, synsets, noun, adj, verb, adv]: readonly string[],
): Lexicon {
  const parents = parentsOf(hierarchy);
  const categories = new Map<string, string>();
  for (const [tag] of synsets.matchAll(/<noun-syn [^>]*>/g)) {
    const { id, categ } = attributes(tag);
    categories.set(id, categ);
  }
  for (const [tag] of synsets.matchAll(/<(?:adj|verb|adv)-syn [^>]*>/g)) {
    const { id, 'noun-id': of } = attributes(tag);
    const category = categories.get(of);
    if (category !== undefined) categories.set(id, category);
  }
  const data: Record<Part, string> = { n: noun, a: adj, v: verb, r: adv };
  const terms = new Map<string, number[]>();
  let unknown = 0;
  for (const part of Object.keys(parts) as Part[]) {
    const ids = [...categories.keys()].filter((id) => id.startsWith(`${part}#`));
    const words = wordsOf(data[part], new Set(ids.map((id) => id.slice(2))));
    for (const id of ids) {
      const found = words.get(id.slice(2));
      if (found === undefined) unknown++;
      const rating = ratingOf(categories.get(id)!, parents);
      if (rating.every((value) => value === 0)) continue;
      for (const word of found ?? []) {
        const known = terms.get(word);
        // A word of several synsets has what any of them says; of two poles, neither.
        terms.set(
          word,
          known === undefined
            ? rating
            : rating.map((value, i) =>
                i < plutchikEmotions.length ? Math.max(value, known[i]) : Math.sign(value + known[i]),
              ),
        );
      }
    }
  }
  if (unknown > categories.size / 100)
    throw InvalidArgument.at(
      name,
      `expected the data files of WordNet 3.0, got others: ${unknown} of ${categories.size} synsets are not in them`,
    );
  return { name, language, dimensions: [...plutchikEmotions, valence], scale: 1, terms };
}
