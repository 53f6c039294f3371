/**
 * Edits of words: AEDA (Karimi, Rossi and Prati 2021, "AEDA: An Easier Data Augmentation Technique for Text Classification",
 * section 2) and the four of EDA (Wei and Zou 2019, "EDA: Easy Data Augmentation Techniques", section 2), where they touch
 * nothing that the label may hang on.
 */
import { type Edit, type EditOptions, someOf } from './edit.js';
import { gapsOf, type Replacement, replaced, type Word, wordsOf } from './sentence.js';
import { isStopWord } from './stop-words.js';

const marks = ['.', ';', '?', ':', '!', ','];
/** Without those that make a text stronger. */
const calmMarks = ['.', ';', ':', ','];

/** Punctuation before words: 1 to `strength` of the words. */
export const aeda: Edit = (text, { rng, strength, exact }) => {
  const words = wordsOf(text);
  const gaps = gapsOf(words);
  if (gaps.length === 0) return undefined;
  const most = Math.max(1, Math.floor(strength * words.length));
  const allowed = exact ? calmMarks : marks;
  const insertions = someOf(gaps, 1 + rng.int(most), rng).map((gap) => {
    const { start } = words[gap];
    return { start, end: start, by: `${allowed[rng.int(allowed.length)]} ` };
  });
  return replaced(text, insertions);
};

/** How many words are edited: the share of all, one at least. */
function countOf(words: readonly Word[], strength: number): number {
  return Math.max(1, Math.round(strength * words.length));
}

/** A word in the case of another. */
function inCaseOf(word: string, other: string): string {
  const initial = other[0];
  return initial === initial.toUpperCase() && initial !== initial.toLowerCase()
    ? word[0].toUpperCase() + word.slice(1)
    : word;
}

function synonymOf(word: Word, { rng, synonyms }: EditOptions): string | undefined {
  if (!word.free || isStopWord(word.text)) return undefined;
  const known = synonyms(word.text.toLowerCase());
  return known.length === 0 ? undefined : known[rng.int(known.length)];
}

/** Words replaced by synonyms. */
export const synonymReplacement: Edit = (text, options) => {
  const words = wordsOf(text);
  const replacements: Replacement[] = [];
  for (const word of options.rng.shuffle(words)) {
    if (replacements.length === countOf(words, options.strength)) break;
    const synonym = synonymOf(word, options);
    if (synonym !== undefined)
      replacements.push({ start: word.start, end: word.end, by: inCaseOf(synonym, word.text) });
  }
  return replacements.length === 0 ? undefined : replaced(text, replacements);
};

/** Synonyms of words of the text put in somewhere. */
export const randomInsertion: Edit = (text, options) => {
  const words = wordsOf(text);
  const gaps = gapsOf(words);
  const places = someOf(gaps, countOf(words, options.strength), options.rng);
  const sources = options.rng.shuffle(words);
  const insertions: Replacement[] = [];
  for (const place of places) {
    const synonym = nextSynonym(sources, options);
    if (synonym === undefined) break;
    const { start } = words[place];
    insertions.push({ start, end: start, by: `${synonym} ` });
  }
  return insertions.length === 0 ? undefined : replaced(text, insertions);
};

/** Takes words away until one has a synonym. */
function nextSynonym(words: Word[], options: EditOptions): string | undefined {
  for (let word = words.pop(); word !== undefined; word = words.pop()) {
    const synonym = synonymOf(word, options);
    if (synonym !== undefined) return synonym;
  }
  return undefined;
}

/** Two words at most so far apart are swapped. */
const farthest = 3;

/** Words swapped with others near them, with nothing between that stays. */
export const randomSwap: Edit = (text, { rng, strength }) => {
  const words = wordsOf(text);
  const movable = (i: number) => words[i].loose && words[i].text === words[i].text.toLowerCase();
  const pairs = [...words.keys()].flatMap((i) => {
    const others: [number, number][] = [];
    for (let j = i + 1; j <= i + farthest && j < words.length && words[j].loose && words[j - 1].bare; j++)
      if (movable(i) && movable(j) && words[i].text !== words[j].text) others.push([i, j]);
    return others;
  });
  const used = new Set<number>();
  const swaps: Replacement[] = [];
  for (const pair of rng.shuffle(pairs)) {
    if (swaps.length >= 2 * countOf(words, strength)) break;
    if (pair.some((i) => used.has(i))) continue;
    const [a, b] = pair.map((i) => words[i]);
    swaps.push({ start: a.start, end: a.end, by: b.text }, { start: b.start, end: b.end, by: a.text });
    for (const i of pair) used.add(i);
  }
  return swaps.length === 0 ? undefined : replaced(text, swaps);
};

/** Words left out, each with the probability `strength`, one at least and half of them at most. */
export const randomDeletion: Edit = (text, { rng, strength }) => {
  const words = wordsOf(text);
  const removable = words.filter(({ loose, bare }) => loose && bare);
  const most = Math.floor(words.length / 2);
  if (removable.length === 0 || most === 0) return undefined;
  const drawn = removable.filter(() => rng.uniform() < strength);
  const removed = drawn.length > 0 ? drawn.slice(0, most) : [removable[rng.int(removable.length)]];
  const edited = replaced(
    text,
    removed.map(({ start, end }) => ({ start, end: withBlank(text, end), by: '' })),
  );
  return edited.trimEnd();
};

function withBlank(text: string, end: number): number {
  return end + (/^\s+/.exec(text.slice(end))?.[0].length ?? 0);
}
