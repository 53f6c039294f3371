/** The words, emoji and emoticons of a text, as lexicons other than VADER's list them. */
import { ascii, type Knowledge, lookUp, type Term, take, termIn } from './known-words.js';

/** Units of the longest emoticon. */
const longestEmoticon = 5;

const other = 0;
const letter = 1;
const blank = 2;
/** Ends a sentence. */
const stop = 3;
/** Joins two letters into one word. */
const joint = 4;
const pictograph = 5;
/** Part of a letter or an emoji before it. */
const mark = 6;

function classOf(point: number): number {
  const character = String.fromCodePoint(point);
  if (/[\p{L}\p{N}]/u.test(character)) return letter;
  if (/\s/u.test(character)) return blank;
  if ('.!?;…。！？'.includes(character)) return stop;
  if ("'’-".includes(character)) return joint;
  if (point >= ascii && /\p{Extended_Pictographic}/u.test(character)) return pictograph;
  if (/\p{M}|\u200d|\p{Emoji_Modifier}/u.test(character)) return mark;
  return other;
}

const asciiClasses = Uint8Array.from({ length: ascii }, (_, point) => classOf(point));
/** Of the first plane; 255: not asked yet. */
const classes = new Uint8Array(2 ** 16).fill(255);
classes.set(asciiClasses);

function classAt(text: string, unit: number, at: number): number {
  if (unit >= 0xd800 && unit <= 0xdbff) return classOf(text.codePointAt(at)!);
  let found = classes[unit];
  if (found === 255) {
    found = classOf(unit);
    classes[unit] = found;
  }
  return found;
}

/** The arrays are those of the next text, too, and longer than they are filled; behind the last term stand zeros. */
export interface LexiconWords {
  terms: Int32Array;
  /** UTF-16 offset of the first character of each, and one past its last. */
  starts: Int32Array;
  ends: Int32Array;
  /** Of each, the first word of its sentence. */
  sentences: Int32Array;
  count: number;
  /** Some words are in capitals, and others are not. */
  capitalsDiffer: boolean;
}

const words: LexiconWords = {
  terms: new Int32Array(256),
  starts: new Int32Array(256),
  ends: new Int32Array(256),
  sentences: new Int32Array(256),
  count: 0,
  capitalsDiffer: false,
};
/** Words behind a term that rules look at. */
const ahead = 4;

/** Room for the words of a text of so many units: emoji may stand without blanks. */
function makeRoom(units: number): void {
  const needed = units + ahead;
  if (words.terms.length >= needed) return;
  for (const name of ['terms', 'starts', 'ends', 'sentences'] as const)
    words[name] = new Int32Array(2 * needed);
}

/** The end of the emoticon that begins at `at`, which white space or an end of the text stands beside; `at` where none begins. */
function emoticonEnd(text: string, taken: Uint16Array, at: number, emoticons: ReadonlySet<string>): number {
  const opens = at === 0 || classes[taken[at - 1]] === blank;
  for (let end = Math.min(text.length, at + longestEmoticon); end > at + 1; end--) {
    const closes = end === text.length || classes[taken[end]] === blank;
    if ((opens || closes) && emoticons.has(text.slice(at, end).toLowerCase())) return end;
  }
  return at;
}

/** @param emoticons in lower case; `starts` are their first units */
export function lexiconWords(
  text: string,
  knows: Knowledge,
  emoticons: { readonly all: ReadonlySet<string>; readonly starts: Uint8Array },
): LexiconWords {
  makeRoom(text.length);
  const { terms, starts, ends, sentences } = words;
  const taken = take(text);
  let count = 0;
  let first = 0;
  let inCapitals = 0;
  const push = (term: Term, start: number, end: number) => {
    terms[count] = term;
    starts[count] = start;
    ends[count] = end;
    sentences[count++] = first;
    inCapitals += term & 1;
  };
  const { length } = text;
  for (let at = 0; at < length; ) {
    const unit = taken[at];
    const kind = unit < ascii ? asciiClasses[unit] : classAt(text, unit, at);
    if (unit < ascii && emoticons.starts[unit] === 1) {
      const end = emoticonEnd(text, taken, at, emoticons.all);
      if (end > at) {
        push(lookUp(text.slice(at, end), knows), at, end);
        at = end;
        continue;
      }
    }
    if (kind === letter) {
      const start = at;
      let end = at;
      while (at < length) {
        const next = taken[at];
        const is = next < ascii ? asciiClasses[next] : classAt(text, next, at);
        if (is === letter || is === mark) {
          at += next >= 0xd800 && next <= 0xdbff ? 2 : 1;
          end = at;
        } else if (is === joint && at === end) at++;
        else break;
      }
      at = end;
      const term = termIn(text, taken, start, end, knows);
      push(term > 1 ? term : withinJoints(text, start, end, term, knows), start, end);
      continue;
    }
    const width = unit >= 0xd800 && unit <= 0xdbff ? 2 : 1;
    if (kind === pictograph) push(lookUp(text.slice(at, at + width), knows), at, at + width);
    else if (kind === stop) first = count;
    at += width;
  }
  terms.fill(0, count, count + ahead);
  words.count = count;
  words.capitalsDiffer = inCapitals > 0 && inCapitals < count;
  return words;
}

/** A word with an apostrophe that is not known is what stands behind it: "l'amour". */
function withinJoints(text: string, start: number, end: number, term: Term, knows: Knowledge): Term {
  for (let at = end - 2; at > start; at--) {
    const unit = text.charCodeAt(at);
    if (unit === 0x27 || unit === 0x2019) {
      const whole = lookUp(text.slice(start, end).replaceAll('’', "'"), knows);
      return whole > 1 ? whole : lookUp(text.slice(at + 1, end), knows);
    }
  }
  return term;
}
