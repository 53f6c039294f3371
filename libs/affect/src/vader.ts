/**
 * VADER (Hutto and Gilbert 2014), rule for rule as vaderSentiment 3.3.2 computes it, its quirks included, since its
 * compound is what others compare with:
 * - an emoji is read as its name, and a word right behind it as part of the name's last word;
 * - only ASCII punctuation is stripped, so a word in typographic quotes is not known;
 * - terms that the lexicon writes with capitals (":D") are never found, since words are looked up in lower case;
 * - "so" or "this" right before a term strengthens it as "never so" does, wherever "never" is, when three words stand before;
 * - "but" weighs the first word of the same valence, not the word itself.
 */
import { ascii, type Knowledge, layOut, named, type Term, take, termIn } from './known-words.js';
import { english, readEmojiNames, readLexicon } from './vader-words.js';
import { emphasisOf, softened, valenceAt } from './word-rules.js';

let known: Knowledge | undefined;

/** What VADER knows. */
export function vaderKnowledge(): Knowledge {
  known ??= layOut(readLexicon(), english);
  return known;
}

const punctuation = new Uint8Array(ascii);
for (const mark of '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~') punctuation[mark.charCodeAt(0)] = 1;

function isPunctuation(unit: number): boolean {
  return unit < ascii && punctuation[unit] === 1;
}

/** White space as Python has it. */
function isSpace(unit: number): boolean {
  if (unit < ascii) return unit === 32 || (unit >= 9 && unit <= 13) || (unit >= 28 && unit <= 31);
  return (
    unit === 0x85 ||
    unit === 0xa0 ||
    unit === 0x1680 ||
    (unit >= 0x2000 && unit <= 0x200a) ||
    unit === 0x2028 ||
    unit === 0x2029 ||
    unit === 0x202f ||
    unit === 0x205f ||
    unit === 0x3000
  );
}

/** Words of one or two characters may be emoticons and keep their punctuation. */
function isShort(taken: Uint16Array, start: number, end: number): boolean {
  let length = end - start;
  if (length > 4) return false;
  for (let at = start; at < end; at++) if (taken[at] >= 0xdc00 && taken[at] <= 0xdfff) length--;
  return length <= 2;
}

/** A text whose emoji are spelt out. */
interface Spelt {
  readonly text: string;
  /** Where names stand in it, and where their emoji stand in the text; rising. */
  readonly names: readonly {
    readonly start: number;
    readonly end: number;
    readonly from: number;
    readonly to: number;
  }[];
}

let emoji: { readonly names: ReadonlyMap<string, string>; readonly some: RegExp } | undefined;

/** Names of emoji, and what matches where one may be. */
function emojiNames() {
  if (emoji !== undefined) return emoji;
  const names = readEmojiNames();
  emoji = { names, some: new RegExp(`[${[...names.keys()].join('')}]`, 'u') };
  return emoji;
}

const noNames: Spelt['names'] = [];

function isBeyondAscii(taken: Uint16Array, length: number): boolean {
  for (let at = 0; at < length; at++) if (taken[at] >= ascii) return true;
  return false;
}

function spell(text: string): Spelt {
  const { names: known, some } = emojiNames();
  if (!some.test(text)) return { text, names: noNames };
  const names: Spelt['names'][number][] = [];
  let spelt = '';
  let afterBlank = true;
  let from = 0;
  for (const character of text) {
    const to = from + character.length;
    const name = known.get(character);
    if (name === undefined) spelt += character;
    else {
      if (!afterBlank) spelt += ' ';
      names.push({ start: spelt.length, end: spelt.length + name.length, from, to });
      spelt += name;
    }
    afterBlank = character === ' ';
    from = to;
  }
  return { text: spelt, names };
}

/**
 * The words of a text, and where each begins and ends in UTF-16 units; a word of an emoji's name stands where the emoji does. The
 * arrays are those of the next text, too, and longer than they are filled; behind the last term stand zeros.
 */
interface Words {
  terms: Int32Array;
  starts: Int32Array;
  ends: Int32Array;
  valences: Float64Array;
  count: number;
  /** Some words are in capitals, and others are not. */
  capitalsDiffer: boolean;
}

const words: Words = {
  terms: new Int32Array(256),
  starts: new Int32Array(256),
  ends: new Int32Array(256),
  valences: new Float64Array(256),
  count: 0,
  capitalsDiffer: false,
};
/** Words behind a term that rules look at. */
const ahead = 4;

/** Room for the words of a text of so many units: every other one may be white space. */
function makeRoom(units: number): void {
  const needed = units / 2 + 1 + ahead;
  if (words.terms.length >= needed) return;
  const size = Math.ceil(2 * needed);
  words.terms = new Int32Array(size);
  words.starts = new Int32Array(size);
  words.ends = new Int32Array(size);
  words.valences = new Float64Array(size);
}

/** Words without the punctuation around, but emoticons whole. */
function readWords({ text, names }: Spelt, taken: Uint16Array, knows: Knowledge): void {
  makeRoom(text.length);
  const { terms, starts, ends } = words;
  let count = 0;
  let inCapitals = 0;
  let name = 0;
  // What names have added to the length so far.
  let added = 0;
  const place = (spelt: number, last: boolean): number => {
    while (name < names.length && names[name].end < spelt + Number(!last)) {
      added = names[name].end - names[name].to;
      name++;
    }
    const { start: begun, from, to } = names[name] ?? { start: Number.POSITIVE_INFINITY, from: 0, to: 0 };
    if (last ? begun < spelt : begun <= spelt) return last ? to : from;
    return spelt - added;
  };
  const length = text.length;
  for (let at = 0; at < length; ) {
    if (isSpace(taken[at])) {
      at++;
      continue;
    }
    const from = at;
    while (at < length && !isSpace(taken[at])) at++;
    let start = from;
    let end = at;
    while (start < end && isPunctuation(taken[start])) start++;
    while (end > start && isPunctuation(taken[end - 1])) end--;
    if (isShort(taken, start, end)) {
      start = from;
      end = at;
    }
    const term = termIn(text, taken, start, end, knows);
    inCapitals += term & 1;
    terms[count] = term;
    starts[count] = names.length === 0 ? start : place(start, false);
    ends[count++] = names.length === 0 ? end : place(end, true);
  }
  terms.fill(0, count, count + ahead);
  words.count = count;
  words.capitalsDiffer = inCapitals > 0 && inCapitals < count;
}

/**
 * What comes before "but" counts half, what comes after it half more: of each valence, the first word that has it.
 * @returns the sum
 */
function sumOf(terms: Int32Array, valences: Float64Array, count: number): number {
  let place = 0;
  while (place < count && terms[place] >> 1 !== named.but) place++;
  let sum = 0;
  if (place === count) {
    for (let i = 0; i < count; i++) sum += valences[i];
    return sum;
  }
  const weighed = valences.slice(0, count);
  for (let i = 0; i < count; i++) {
    if (weighed[i] === 0) continue;
    const first = weighed.indexOf(weighed[i]);
    weighed[first] *= first < place ? 0.5 : 1.5;
  }
  for (const valence of weighed) sum += valence;
  return sum;
}

/** Reads a text into `words`. */
function read(text: string): number {
  const knows = vaderKnowledge();
  let taken = take(text);
  let spelt: Spelt = { text, names: noNames };
  if (isBeyondAscii(taken, text.length)) {
    spelt = spell(text);
    if (spelt.text !== text) taken = take(spelt.text);
  }
  readWords(spelt, taken, knows);
  const { terms, valences, count, capitalsDiffer } = words;
  for (let i = 0; i < count; i++) valences[i] = terms[i] > 1 ? valenceAt(knows, terms, i, capitalsDiffer) : 0;
  const sum = sumOf(terms, valences, count);
  if (sum === 0) return 0;
  return Math.round(softened(sum + Math.sign(sum) * emphasisOf(spelt.text)) * 1e4) / 1e4;
}

export interface Reading {
  readonly terms: Term[];
  /** UTF-16 offset of the first character of each word, and one past its last. */
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  /** Some words are in capitals, and others are not. */
  readonly capitalsDiffer: boolean;
  /** The valence of each word, after negation and intensifiers. */
  readonly valences: readonly number[];
  /** −1..1, to four digits. */
  readonly compound: number;
}

/** Spreading would take longer than reading. */
function copied(from: ArrayLike<number>, count: number): number[] {
  const copy = new Array<number>(count);
  for (let i = 0; i < count; i++) copy[i] = from[i];
  return copy;
}

export function readVader(text: string): Reading {
  const compound = read(text);
  const { terms, starts, ends, valences, count, capitalsDiffer } = words;
  return {
    terms: copied(terms, count),
    starts: copied(starts, count),
    ends: copied(ends, count),
    valences: copied(valences, count),
    capitalsDiffer,
    compound,
  };
}

/** The compound alone, −1..1. */
export function vaderCompound(text: string): number {
  return read(text);
}
