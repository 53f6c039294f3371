/**
 * VADER (Hutto and Gilbert 2014), rule for rule as vaderSentiment 3.3.2 computes it, its quirks included, since its
 * compound is what others compare with:
 * - an emoji is read as its name, and a word right behind it as part of the name's last word;
 * - only ASCII punctuation is stripped, so a word in typographic quotes is not known;
 * - terms that the lexicon writes with capitals (":D") are never found, since words are looked up in lower case;
 * - "so" or "this" right before a term strengthens it as "never so" does, wherever "never" is, when three words stand before;
 * - "but" weighs the first word of the same valence, not the word itself.
 *
 * A word is a number: what is known of it lies in arrays that are laid out once, and is found by a hash that is taken while
 * the text is read.
 */
import {
  boosters,
  negators,
  phraseBoosters,
  phraseValences,
  readEmojiNames,
  readLexicon,
} from './vader-words.js';

/** Added to a term in capitals among others that are not. */
const capitalsBoost = 0.733;
const negation = -0.74;
/** A modifier counts less the farther it stands before the term. */
const nearness = [1, 0.95, 0.9];
/** The sum of valences at which the compound is about .7. */
const softening = 15;

/**
 * A word, wherever it stands: twice its index in what is known, and one more where it is in capitals. A word that no rule
 * knows has the index 0.
 */
export type Term = number;

/** Words that rules ask for by name, by their index. "n't" stands for all that has it within and is not listed. */
const named = ['', "n't", ...'no or nor never so this without doubt least at very but kind of'.split(' ')];
const [, contracted, no, or, nor, never, so, this_, without, doubt, least, at_, very, but, kind, of] =
  named.keys();

interface Knowledge {
  readonly emojiNames: ReadonlyMap<string, string>;
  /** Matches where some emoji may be. */
  readonly someEmoji: RegExp;
  /** In lower case, by index; what follows is by index, too. */
  readonly words: readonly string[];
  readonly indexOf: ReadonlyMap<string, number>;
  /** 1: the lexicon lists the word. */
  readonly listed: Uint8Array;
  readonly valences: Float64Array;
  /** 0 for a word that is no intensifier. */
  readonly boosts: Float64Array;
  readonly negates: Uint8Array;
  /** 1: may be part of a phrase that a rule knows. */
  readonly inPhrase: Uint8Array;
  /** The units of all words, one after another, and where each begins. */
  readonly spelling: Uint16Array;
  readonly begins: Int32Array;
  /** Index by place: the hash, or the next one that is free. 0 is free. */
  readonly places: Uint16Array;
}

const mask = 2 ** 16 - 1;

function hashed(hash: number, unit: number): number {
  return Math.imul(hash, 31) + unit;
}

function placeOf(hash: number): number {
  return (hash ^ (hash >>> 15)) & mask;
}

function layOut(): Knowledge {
  const lexicon = readLexicon();
  const emojiNames = readEmojiNames();
  const inPhrases = new Set(
    [...phraseValences.keys(), ...phraseBoosters.keys()].flatMap((p) => p.split(' ')),
  );
  const words = [...new Set([...named, ...lexicon.keys(), ...boosters.keys(), ...negators, ...inPhrases])];
  const begins = new Int32Array(words.length + 1);
  const places = new Uint16Array(mask + 1);
  words.forEach((word, i) => {
    begins[i + 1] = begins[i] + word.length;
    if (i === 0) return;
    let hash = 0;
    for (let at = 0; at < word.length; at++) hash = hashed(hash, word.charCodeAt(at));
    let place = placeOf(hash);
    while (places[place] !== 0) place = (place + 1) & mask;
    places[place] = i;
  });
  return {
    emojiNames,
    someEmoji: new RegExp(`[${[...emojiNames.keys()].join('')}]`, 'u'),
    words,
    indexOf: new Map(words.map((word, i) => [word, i])),
    listed: Uint8Array.from(words, (word) => Number(lexicon.has(word))),
    valences: Float64Array.from(words, (word) => lexicon.get(word) ?? 0),
    boosts: Float64Array.from(words, (word) => boosters.get(word) ?? 0),
    negates: Uint8Array.from(words, (word) => Number(negators.has(word) || word.includes("n't"))),
    inPhrase: Uint8Array.from(words, (word) => Number(inPhrases.has(word))),
    spelling: Uint16Array.from(words.join('').split(''), (unit) => unit.charCodeAt(0)),
    begins,
    places,
  };
}

let known: Knowledge | undefined;

function knowledge(): Knowledge {
  known ??= layOut();
  return known;
}

const ascii = 128;
const apostrophe = 39;

function isUpper(unit: number): boolean {
  return unit >= 65 && unit <= 90;
}

/** The units of the text that is being read: numbers in an array are read faster than a string. */
let units = new Uint16Array(1024);

function take(text: string): Uint16Array {
  if (units.length < text.length) units = new Uint16Array(2 * text.length);
  const taken = units;
  for (let at = 0; at < text.length; at++) taken[at] = text.charCodeAt(at);
  return taken;
}

/** The term of any word. */
function lookUp(word: string, { indexOf }: Knowledge): Term {
  const lower = word.toLowerCase();
  const capitals = /\p{Uppercase}/u.test(word) && !/[\p{Lowercase}\p{Lt}]/u.test(word);
  return 2 * (indexOf.get(lower) ?? (lower.includes("n't") ? contracted : 0)) + Number(capitals);
}

/** The term of the word from `start` to `end` of a text that was taken. */
function termIn(text: string, taken: Uint16Array, start: number, end: number, knows: Knowledge): Term {
  let hash = 0;
  let [upper, lower] = [false, false];
  for (let at = start; at < end; at++) {
    let unit = taken[at];
    if (isUpper(unit)) {
      upper = true;
      unit += 32;
    } else if (unit >= 97 && unit <= 122) lower = true;
    else if (unit >= ascii || unit === apostrophe) return lookUp(text.slice(start, end), knows);
    hash = hashed(hash, unit);
  }
  const { places, spelling, begins } = knows;
  const capitals = upper && !lower ? 1 : 0;
  for (let place = placeOf(hash); places[place] !== 0; place = (place + 1) & mask) {
    const i = places[place];
    const begin = begins[i];
    if (begins[i + 1] - begin !== end - start) continue;
    let at = start;
    while (at < end && (isUpper(taken[at]) ? taken[at] + 32 : taken[at]) === spelling[begin + at - start])
      at++;
    if (at === end) return 2 * i + capitals;
  }
  return capitals;
}

export function termOf(word: string): Term {
  return lookUp(word, knowledge());
}

/** The lexicon's own valence, 0 for a word that it does not list. */
export function valenceOf(term: Term): number {
  return knowledge().valences[term >> 1];
}

/** What a table says of the words from `from` to `to`, both included. */
function phrase(
  table: ReadonlyMap<string, number>,
  terms: readonly Term[],
  from: number,
  to: number,
  { words, inPhrase }: Knowledge,
): number | undefined {
  if (to >= terms.length) return undefined;
  let text = '';
  for (let at = from; at <= to; at++) {
    const i = terms[at] >> 1;
    if (inPhrase[i] === 0) return undefined;
    text += at === from ? words[i] : ` ${words[i]}`;
  }
  return table.get(text);
}

/** The valence of the word at `at`, where it stands at least fourth, when it ends, begins or follows a known phrase. */
function inPhrases(valence: number, terms: readonly Term[], at: number, knows: Knowledge): number {
  const says = (from: number, to: number) => phrase(phraseValences, terms, at + from, at + to, knows);
  const boosts = (from: number, to: number) => phrase(phraseBoosters, terms, at + from, at + to, knows) ?? 0;
  const after = says(0, 2) ?? says(0, 1);
  const own = after ?? says(-1, 0) ?? says(-2, 0) ?? says(-2, -1) ?? says(-3, -1) ?? says(-3, -2) ?? valence;
  return own + boosts(-3, -2) + boosts(-2, -1);
}

function isSoOrThis(word: number): boolean {
  return word === so || word === this_;
}

/** What a negator `distance` words before the term makes of its valence. */
function negated(
  valence: number,
  terms: readonly Term[],
  at: number,
  distance: number,
  { negates }: Knowledge,
): number {
  const word = terms[at - distance] >> 1;
  if (distance > 1) {
    const one = terms[at - 1] >> 1;
    const two = terms[at - 2] >> 1;
    const strengthens =
      distance === 2
        ? word === never && isSoOrThis(one)
        : (word === never && isSoOrThis(two)) || isSoOrThis(one);
    if (strengthens) return valence * 1.25;
    if (word === without && (one === doubt || (distance === 3 && two === doubt))) return valence;
  }
  return negates[word] === 1 ? valence * negation : valence;
}

/** What an intensifier `distance` words before the term adds. */
function boosted(
  term: Term,
  valence: number,
  capitalsDiffer: boolean,
  distance: number,
  boost: number,
): number {
  let added = valence < 0 ? -boost : boost;
  if ((term & 1) === 1 && capitalsDiffer) added += valence > 0 ? capitalsBoost : -capitalsBoost;
  return added * nearness[distance - 1];
}

/**
 * The valence of the word at `at` in the company of the others; 0 for a word that the lexicon does not list.
 * @param capitalsDiffer some words are in capitals, and others are not
 */
export function valenceAt(terms: readonly Term[], at: number, capitalsDiffer: boolean): number {
  const knows = knowledge();
  const { listed, valences, boosts } = knows;
  const word = terms[at] >> 1;
  if (listed[word] === 0 || boosts[word] !== 0) return 0;
  const next = at + 1 < terms.length ? terms[at + 1] >> 1 : 0;
  if (word === kind && next === of) return 0;
  const [one, two, three] = [
    at > 0 ? terms[at - 1] >> 1 : 0,
    at > 1 ? terms[at - 2] >> 1 : 0,
    at > 2 ? terms[at - 3] >> 1 : 0,
  ];
  let valence = valences[word];
  if (one === no || two === no || (three === no && (one === or || one === nor))) valence *= negation;
  // "no" before a known word negates that word and has no valence of its own.
  else if (word === no && listed[next] === 1) valence = 0;
  if ((terms[at] & 1) === 1 && capitalsDiffer) valence += valence > 0 ? capitalsBoost : -capitalsBoost;
  for (let distance = 1; distance <= 3 && distance <= at; distance++) {
    const term = terms[at - distance];
    if (listed[term >> 1] === 1) continue;
    const boost = boosts[term >> 1];
    if (boost !== 0) valence += boosted(term, valence, capitalsDiffer, distance, boost);
    valence = negated(valence, terms, at, distance, knows);
    if (distance === 3) valence = inPhrases(valence, terms, at, knows);
  }
  return one === least && two !== at_ && two !== very ? valence * negation : valence;
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
function isShort(text: string, start: number, end: number): boolean {
  const length = end - start;
  return length <= 2 || (length <= 4 && [...text.slice(start, end)].length <= 2);
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

function spell(text: string, { emojiNames, someEmoji }: Knowledge): Spelt {
  if (!someEmoji.test(text)) return { text, names: [] };
  const names: Spelt['names'][number][] = [];
  let spelt = '';
  let afterBlank = true;
  let from = 0;
  for (const character of text) {
    const to = from + character.length;
    const name = emojiNames.get(character);
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

/** The words of a text, and where each begins and ends in UTF-16 units; a word of an emoji's name stands where the emoji does. */
interface Words {
  readonly terms: Term[];
  readonly starts: number[];
  readonly ends: number[];
}

/** Words without the punctuation around, but emoticons whole. */
function wordsOf({ text, names }: Spelt, knows: Knowledge): Words {
  const [terms, starts, ends]: [Term[], number[], number[]] = [[], [], []];
  let name = 0;
  // What names have added to the length so far.
  let added = 0;
  const taken = take(text);
  for (let at = 0; at < text.length; ) {
    if (isSpace(taken[at])) {
      at++;
      continue;
    }
    const from = at;
    while (at < text.length && !isSpace(taken[at])) at++;
    let [start, end] = [from, at];
    while (start < end && isPunctuation(taken[start])) start++;
    while (end > start && isPunctuation(taken[end - 1])) end--;
    if (isShort(text, start, end)) [start, end] = [from, at];
    terms.push(termIn(text, taken, start, end, knows));
    if (names.length === 0) {
      starts.push(start);
      ends.push(end);
      continue;
    }
    const place = (spelt: number, last: boolean): number => {
      while (name < names.length && names[name].end < spelt + Number(!last)) {
        added = names[name].end - names[name].to;
        name++;
      }
      const { start: begun, from, to } = names[name] ?? { start: Number.POSITIVE_INFINITY, from: 0, to: 0 };
      if (last ? begun < spelt : begun <= spelt) return last ? to : from;
      return spelt - added;
    };
    starts.push(place(start, false));
    ends.push(place(end, true));
  }
  return { terms, starts, ends };
}

export interface Reading extends Readonly<Words> {
  /** Some words are in capitals, and others are not. */
  readonly capitalsDiffer: boolean;
  /** The valence of each word, after negation and intensifiers. */
  readonly valences: readonly number[];
  /** −1..1, to four digits. */
  readonly compound: number;
}

/** What comes before "but" counts half, what comes after it half more: of each valence, the first word that has it. */
function weighedByBut(terms: readonly Term[], valences: readonly number[]): readonly number[] {
  let place = 0;
  while (place < terms.length && terms[place] >> 1 !== but) place++;
  if (place === terms.length) return valences;
  const weighed = [...valences];
  for (let i = 0; i < weighed.length; i++) {
    if (weighed[i] === 0) continue;
    const first = weighed.indexOf(weighed[i]);
    weighed[first] *= first < place ? 0.5 : 1.5;
  }
  return weighed;
}

/** What exclamation and question marks add. */
function emphasisOf(text: string): number {
  let exclamations = 0;
  let questions = 0;
  for (let at = text.indexOf('!'); at >= 0 && exclamations < 4; at = text.indexOf('!', at + 1))
    exclamations++;
  for (let at = text.indexOf('?'); at >= 0 && questions < 4; at = text.indexOf('?', at + 1)) questions++;
  return exclamations * 0.292 + (questions < 2 ? 0 : questions > 3 ? 0.96 : questions * 0.18);
}

function compoundOf(terms: readonly Term[], valences: readonly number[], text: string): number {
  let sum = 0;
  for (const valence of weighedByBut(terms, valences)) sum += valence;
  if (sum === 0) return 0;
  sum += Math.sign(sum) * emphasisOf(text);
  return Number((sum / Math.sqrt(sum * sum + softening)).toFixed(4));
}

export function readVader(text: string): Reading {
  const knows = knowledge();
  const spelt = spell(text, knows);
  const words = wordsOf(spelt, knows);
  const { terms } = words;
  let inCapitals = 0;
  for (const term of terms) inCapitals += term & 1;
  const capitalsDiffer = inCapitals > 0 && inCapitals < terms.length;
  const valences: number[] = [];
  for (let i = 0; i < terms.length; i++)
    valences.push(terms[i] > 1 ? valenceAt(terms, i, capitalsDiffer) : 0);
  return { ...words, capitalsDiffer, valences, compound: compoundOf(terms, valences, spelt.text) };
}

/** The compound alone, −1..1. */
export function vaderCompound(text: string): number {
  return readVader(text).compound;
}
