/**
 * Lexicons of one language read together: each word of a text is looked up once for all of them, and what stands around it changes
 * what all of them say by the same rules (`word-rules.ts`).
 */
import { type Knowledge, layOut, named, type Term } from './known-words.js';
import { anyLanguage, type Lexicon, valence } from './lexicon.js';
import { type LexiconWords, lexiconWords } from './lexicon-words.js';
import { modifiersOf } from './modifiers.js';
import { readLexicon } from './vader-words.js';
import { emphasisOf, factorAt, laterReach, reach, softened } from './word-rules.js';

/** A lexicon term found in a text. */
export interface Cue {
  /** As it stands in the text. */
  readonly text: string;
  readonly lexicon: string;
  /** `valence` or the emotion, or what else it is rated by. */
  readonly dimension: string;
  /** On the lexicon's own scale (VADER −4..4, AFINN −5..5), after negation and intensifiers. */
  readonly score: number;
  /** UTF-16 offset of the first character, and one past the last. */
  readonly start: number;
  readonly end: number;
  /** The word that changed the score most, empty when none did. */
  readonly modifier: string;
}

/** What a lexicon says of a whole text along one dimension. */
export interface Verdict {
  readonly lexicon: string;
  readonly dimension: string;
  /** −1..1: the sum of its cues, weighed by "but" and marks as VADER's compound is. */
  readonly value: number;
}

export interface SetReading {
  /** In the order of the text. */
  readonly cues: readonly Cue[];
  /** Of lexicons that have found something. */
  readonly verdicts: readonly Verdict[];
}

/** VADER's scale, on which marks and the softening of sums are defined. */
const vaderScale = 4;
const beforeContrast = 0.5;
const afterContrast = 1.5;
const mostPhraseWords = 6;
/** Share of a lexicon's scale. */
const faintest = 0.15;
/** A word that no lexicon and no rule knows. */
const blank: Term = 0;

function isEmoticon(term: string): boolean {
  return term.length <= 5 && /^[!-/:-@[-`{-~]/.test(term) && !/\s/.test(term);
}

export class LexiconSet {
  private readonly knows: Knowledge;
  private readonly emoticons: { readonly all: ReadonlySet<string>; readonly starts: Uint8Array };
  /** By the index of a word, then of a phrase, where what lexicons say of it begins. */
  private readonly begins: Int32Array;
  /** What is said, one after another: the lexicon's place, its dimension's among `columns`, the value on its own scale. */
  private readonly of: Uint16Array;
  private readonly columnOf: Uint16Array;
  private readonly values: Float64Array;
  /** Index by the words of a phrase. */
  private readonly phrases = new Map<string, number>();
  /** 1: a phrase begins with the word. */
  private readonly opens: Uint8Array;
  /** Each lexicon's dimensions, one after another. */
  private readonly columns: readonly {
    readonly lexicon: number;
    readonly dimension: string;
    readonly scale: number;
  }[];

  /** @param language BCP 47, the language alone */
  constructor(
    private readonly lexicons: readonly Lexicon[],
    readonly language: string,
  ) {
    const modifiers = modifiersOf(language);
    const single = new Set<string>();
    const phrased: string[][] = [];
    // A word that tells a valence modifies no other, as in VADER.
    const modifies = (term: string) =>
      !modifiers.english &&
      (modifiers.boosters.has(term) || modifiers.negators.has(term) || modifiers.laterNegators.has(term));
    const tells = new Map(modifiers.english ? readLexicon() : []);
    for (const { dimensions, terms } of lexicons) {
      const at = dimensions.indexOf(valence);
      for (const [term, values] of terms) {
        const words = term.split(' ');
        if (words.length > 1) phrased.push(words);
        else single.add(term);
        if (modifiers.english || words.length > 1 || modifies(term)) continue;
        if (at >= 0 && values[at] !== 0) tells.set(term, values[at]);
      }
    }
    this.knows = layOut(tells, modifiers, [...single, ...phrased.flat()]);
    const { words, indexOf } = this.knows;
    this.opens = new Uint8Array(words.length);
    for (const phrase of phrased) {
      if (phrase.length > mostPhraseWords) continue;
      const key = phrase.join(' ');
      if (this.phrases.has(key)) continue;
      this.phrases.set(key, words.length + this.phrases.size);
      this.opens[indexOf.get(phrase[0])!] = 1;
    }
    const said: { lexicon: number; column: number; value: number }[][] = [];
    const columns: { lexicon: number; dimension: string; scale: number }[] = [];
    lexicons.forEach(({ dimensions, scale, terms }, lexicon) => {
      const first = columns.length;
      for (const dimension of dimensions) columns.push({ lexicon, dimension, scale });
      for (const [term, values] of terms) {
        const index = this.phrases.get(term) ?? indexOf.get(term);
        // Lists of other languages rate their negations, too, which would count twice.
        if (index === undefined || modifies(term)) continue;
        said[index] ??= [];
        values.forEach((value, i) => {
          if (value !== 0) said[index].push({ lexicon, column: first + i, value });
        });
      }
    });
    this.columns = columns;
    const size = words.length + this.phrases.size;
    this.begins = new Int32Array(size + 1);
    for (let i = 0; i < size; i++) this.begins[i + 1] = this.begins[i] + (said[i]?.length ?? 0);
    const flat = said.flat();
    this.of = Uint16Array.from(flat, ({ lexicon }) => lexicon);
    this.columnOf = Uint16Array.from(flat, ({ column }) => column);
    this.values = Float64Array.from(flat, ({ value }) => value);
    const emoticons = [...single].filter(isEmoticon);
    this.emoticons = { all: new Set(emoticons), starts: new Uint8Array(128) };
    for (const emoticon of emoticons) this.emoticons.starts[emoticon.charCodeAt(0)] = 1;
  }

  /** How many words the longest phrase from `at` on has, and its index. */
  private phraseAt(
    { terms, count }: LexiconWords,
    at: number,
  ): { readonly length: number; readonly index: number } | undefined {
    const { words } = this.knows;
    let key = words[terms[at] >> 1];
    let found: { length: number; index: number } | undefined;
    for (let length = 2; length <= mostPhraseWords && at + length <= count; length++) {
      const next = terms[at + length - 1] >> 1;
      if (next === 0) break;
      key += ` ${words[next]}`;
      const index = this.phrases.get(key);
      if (index !== undefined) found = { length, index };
    }
    return found;
  }

  read(text: string): SetReading {
    const words = lexiconWords(text, this.knows, this.emoticons);
    const { terms, starts, ends, count } = words;
    let contrast = 0;
    while (contrast < count && terms[contrast] >> 1 !== named.but) contrast++;
    const sums = new Float64Array(this.columns.length);
    const found = new Uint8Array(this.columns.length);
    const cues: Cue[] = [];
    // By lexicon, the first word that is not part of a phrase of it.
    let free: Int32Array | undefined;
    for (let i = 0; i < count; i++) {
      const index = terms[i] >> 1;
      if (index === 0) continue;
      const phrase = this.opens[index] === 1 ? this.phraseAt(words, i) : undefined;
      if (phrase === undefined && this.begins[index] === this.begins[index + 1]) continue;
      const last = i + (phrase?.length ?? 1) - 1;
      const factor = this.factor(words, i, last);
      const weight = contrast === count || i === contrast ? 1 : i < contrast ? beforeContrast : afterContrast;
      let modifier: string | undefined;
      const take = (at: number, length: number) => {
        const lexicon = this.of[at];
        if (free !== undefined && free[lexicon] > i) return;
        const column = this.columnOf[at];
        const { dimension, scale } = this.columns[column];
        const score = this.values[at] * factor;
        sums[column] += (score / scale) * vaderScale * weight;
        found[column] = 1;
        // What is faint counts in the verdict and is no cue.
        if (Math.abs(score) < faintest * scale) return;
        modifier ??= factor === 1 ? '' : this.modifier(text, words, i, last, factor);
        const end = ends[i + length - 1];
        cues.push({
          text: text.slice(starts[i], end),
          lexicon: this.lexicons[lexicon].name,
          dimension,
          score: Math.round(score * 100) / 100,
          start: starts[i],
          end,
          modifier,
        });
      };
      if (phrase !== undefined) {
        for (let at = this.begins[phrase.index]; at < this.begins[phrase.index + 1]; at++)
          take(at, phrase.length);
        free ??= new Int32Array(this.lexicons.length);
        for (let at = this.begins[phrase.index]; at < this.begins[phrase.index + 1]; at++)
          free[this.of[at]] = i + phrase.length;
      }
      for (let at = this.begins[index]; at < this.begins[index + 1]; at++) take(at, 1);
    }
    if (!found.includes(1)) return { cues, verdicts: [] };
    const emphasis = emphasisOf(text);
    const verdicts: Verdict[] = [];
    this.columns.forEach(({ lexicon, dimension }, column) => {
      if (found[column] === 0) return;
      const sum = sums[column] + Math.sign(sums[column]) * emphasis;
      verdicts.push({ lexicon: this.lexicons[lexicon].name, dimension, value: softened(sum) });
    });
    return { cues, verdicts };
  }

  private factor({ terms, sentences, count, capitalsDiffer }: LexiconWords, at: number, end: number): number {
    const first = sentences[at];
    let last = end;
    while (last < end + laterReach && last + 1 < count && sentences[last + 1] === first) last++;
    return factorAt(this.knows, terms, at, end, { capitalsDiffer, first, last });
  }

  /** The word near a term without which the factor would differ most. */
  private modifier(text: string, words: LexiconWords, at: number, end: number, factor: number): string {
    let by = -1;
    let largest = 1e-9;
    const { terms } = words;
    const last = Math.min(words.count - 1, end + laterReach);
    for (let near = Math.max(words.sentences[at], at - reach); near <= last; near++) {
      if (near >= at && near <= end) continue;
      const term = terms[near];
      if (term < 2) continue;
      terms[near] = blank;
      const change = Math.abs(factor - this.factor(words, at, end));
      terms[near] = term;
      if (change > largest) [by, largest] = [near, change];
    }
    return by < 0 ? '' : text.slice(words.starts[by], words.ends[by]).toLowerCase();
  }

  /** Whether any lexicon is of the language, not only of emoji. */
  get speaks(): boolean {
    return this.lexicons.some(({ language }) => language !== anyLanguage);
  }
}
