/**
 * The words that lexicons and rules know, laid out so that a word of a text becomes a number while it is read: what is known of it
 * lies in arrays, and is found by a hash.
 */

/**
 * A word, wherever it stands: twice its index in what is known, and one more where it is in capitals. A word that no rule
 * knows has the index 0.
 */
export type Term = number;

/**
 * Words that rules ask for by name, by their index. `contracted` stands for all that has "n't" within and is not listed, `probe`
 * for a word of a lexicon that has no rules of its own.
 */
export const named = {
  contracted: 1,
  no: 2,
  or: 3,
  nor: 4,
  never: 5,
  so: 6,
  this: 7,
  without: 8,
  doubt: 9,
  least: 10,
  at: 11,
  very: 12,
  but: 13,
  kind: 14,
  of: 15,
  probe: 16,
} as const;
/** The valence of "good". */
const probeValence = 1.9;

/** What a language says to change what other words are worth. */
export interface Modifiers {
  /** What an intensifier adds to the strength of a term. */
  readonly boosters: ReadonlyMap<string, number>;
  /** They turn what follows within three words. */
  readonly negators: ReadonlySet<string>;
  /** They turn what stands before within two words. */
  readonly laterNegators: ReadonlySet<string>;
  /** Begins what counts more than what was said before. */
  readonly contrast: string;
  /** Valences of phrases with a word of the lexicon in them, whatever that word's own. */
  readonly phraseValences: ReadonlyMap<string, number>;
  /** Intensifiers of two words. */
  readonly phraseBoosters: ReadonlyMap<string, number>;
  /** Rules that name words of English hold. */
  readonly english: boolean;
}

export interface Knowledge {
  readonly phraseValences: ReadonlyMap<string, number>;
  readonly phraseBoosters: ReadonlyMap<string, number>;
  /** In lower case, by index; what follows is by index, too. */
  readonly words: readonly string[];
  readonly indexOf: ReadonlyMap<string, number>;
  /** 1: the lexicon lists the word. */
  readonly listed: Uint8Array;
  readonly valences: Float64Array;
  /** 0 for a word that is no intensifier. */
  readonly boosts: Float64Array;
  readonly negates: Uint8Array;
  readonly negatesBefore: Uint8Array;
  /** 1: may be part of a phrase that a rule knows. */
  readonly inPhrase: Uint8Array;
  /** The units of all words, one after another, and where each begins. */
  readonly spelling: Uint16Array;
  readonly begins: Int32Array;
  /** Index by place: the hash, or the next one that is free. 0 is free. */
  readonly places: Uint32Array;
  /** One less than there are places. */
  readonly mask: number;
}

const fewestPlaces = 2 ** 16;

function hashed(hash: number, unit: number): number {
  return Math.imul(hash, 31) + unit;
}

function placeOf(hash: number, mask: number): number {
  return (hash ^ (hash >>> 15)) & mask;
}

/**
 * Lays out what is known.
 * @param lexicon valences by word: such a word is no modifier of others
 * @param others words that are to have an index, too
 */
export function layOut(
  lexicon: ReadonlyMap<string, number>,
  modifiers: Modifiers,
  others: Iterable<string> = [],
): Knowledge {
  const { boosters, negators, laterNegators, phraseValences, phraseBoosters, english } = modifiers;
  const inPhrases = new Set(
    [...phraseValences.keys(), ...phraseBoosters.keys()].flatMap((p) => p.split(' ')),
  );
  // What begins with a blank is no word of any text.
  const names = Object.keys(named).map((name) => (english && name !== 'probe' ? name : ` ${name}`));
  names[named.contracted - 1] = "n't";
  names[named.but - 1] = modifiers.contrast;
  const valences = new Map(lexicon).set(names[named.probe - 1], probeValence);
  const words = [
    ...new Set([
      '',
      ...names,
      ...valences.keys(),
      ...boosters.keys(),
      ...negators,
      ...laterNegators,
      ...inPhrases,
      ...others,
    ]),
  ];
  const begins = new Int32Array(words.length + 1);
  let size = fewestPlaces;
  while (size < 4 * words.length) size *= 2;
  const places = new Uint32Array(size);
  const mask = size - 1;
  words.forEach((word, i) => {
    begins[i + 1] = begins[i] + word.length;
    if (i === 0) return;
    let hash = 0;
    for (let at = 0; at < word.length; at++) hash = hashed(hash, word.charCodeAt(at));
    let place = placeOf(hash, mask);
    while (places[place] !== 0) place = (place + 1) & mask;
    places[place] = i;
  });
  return {
    phraseValences,
    phraseBoosters,
    words,
    indexOf: new Map(words.map((word, i) => [word, i])),
    listed: Uint8Array.from(words, (word) => Number(valences.has(word))),
    valences: Float64Array.from(words, (word) => valences.get(word) ?? 0),
    boosts: Float64Array.from(words, (word) => boosters.get(word) ?? 0),
    negates: Uint8Array.from(words, (word) =>
      Number(negators.has(word) || (english && word.includes("n't"))),
    ),
    negatesBefore: Uint8Array.from(words, (word) => Number(laterNegators.has(word))),
    inPhrase: Uint8Array.from(words, (word) => Number(inPhrases.has(word))),
    spelling: Uint16Array.from(words.join('').split(''), (unit) => unit.charCodeAt(0)),
    begins,
    places,
    mask,
  };
}

export const ascii = 128;
const apostrophe = 39;

function isUpper(unit: number): boolean {
  return unit >= 65 && unit <= 90;
}

/** The units of the text that is being read: numbers in an array are read faster than a string. */
let units = new Uint16Array(1024);

export function take(text: string): Uint16Array {
  if (units.length < text.length) units = new Uint16Array(2 * text.length);
  const taken = units;
  for (let at = 0; at < text.length; at++) taken[at] = text.charCodeAt(at);
  return taken;
}

/** The term of any word. */
export function lookUp(word: string, { indexOf }: Knowledge): Term {
  const lower = word.toLowerCase();
  const capitals = /\p{Uppercase}/u.test(word) && !/[\p{Lowercase}\p{Lt}]/u.test(word);
  return 2 * (indexOf.get(lower) ?? (lower.includes("n't") ? named.contracted : 0)) + Number(capitals);
}

/** The term of the word from `start` to `end` of a text that was taken. */
export function termIn(text: string, taken: Uint16Array, start: number, end: number, knows: Knowledge): Term {
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
  const { places, spelling, begins, mask } = knows;
  const capitals = upper && !lower ? 1 : 0;
  for (let place = placeOf(hash, mask); places[place] !== 0; place = (place + 1) & mask) {
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
