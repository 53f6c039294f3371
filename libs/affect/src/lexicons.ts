/**
 * Lexicon cues: the words of a text that VADER (Hutto and Gilbert 2014) or AFINN (Nielsen 2011) know, with where they
 * stand and what negates or strengthens them. Both lexicons are read from their npm packages at run time.
 */
import { createRequire } from 'node:module';

/** A lexicon term found in a text. */
export interface Cue {
  /** As it stands in the text. */
  readonly text: string;
  readonly lexicon: 'vader' | 'afinn';
  /** On the lexicon's own scale (VADER −4..4, AFINN −5..5), after negation and intensifiers. */
  readonly score: number;
  /** UTF-16 offset of the first character, and one past the last. */
  readonly start: number;
  readonly end: number;
  /** The word that changed the score most, empty when none did. */
  readonly modifier: string;
}

export interface Explanation {
  /** In the order of the text. */
  readonly cues: readonly Cue[];
  /** What a prompt carries: the three strongest terms and VADER's verdict. */
  readonly cueText: string;
  /** VADER's compound score, −1..1. */
  readonly vader: number;
  /** Sum of the AFINN cues' scores. */
  readonly afinn: number;
}

interface Words {
  readonly is_cap_diff: boolean;
  readonly words_and_emoticons: readonly string[];
}

const require = createRequire(import.meta.url);
const { SentimentIntensityAnalyzer: vader } = require('vader-sentiment') as {
  SentimentIntensityAnalyzer: {
    polarity_scores(text: string): { compound: number };
    sentiment_valence(valence: 0, words: Words, word: string, index: number, sentiments: []): [number];
    but_check(words: readonly string[], valences: number[]): number[];
    score_valence(valences: number[], text: string): { compound: number };
  };
};
const afinn = new Map(
  Object.entries({
    ...(require('sentiment/build/emoji.json') as Record<string, number>),
    ...(require('sentiment/languages/en/labels.json') as Record<string, number>),
  }),
);

/** No term is longer, and the package's rules for capitals take cubic time in the length of a word. */
const longestWord = 40;
const marksBefore = /^[!-/:-@[-`{-~“”‘’«»…]*/;
const marksAfter = /[!-/:-@[-`{-~“”‘’«»…]+$/;
/** Words before a term that may change its score. */
const reach = 3;
/** Words of the longest AFINN phrase. */
const longestPhrase = 3;
/** A word that no lexicon and no rule knows. */
const blank = '_';

/** VADER's valence of the word at `index` in the company of the words before it; 0 for a word it does not know. */
function valenceOf(words: Words, index: number): number {
  return vader.sentiment_valence(0, words, words.words_and_emoticons[index], index, [])[0];
}

const probe = 'good';
const probeValence = valenceOf({ is_cap_diff: false, words_and_emoticons: [probe] }, 0);

/** The package knows negations in lower case only; capitals of other words are emphasis and stay. */
function readable(word: string): string {
  const lower = word.toLowerCase();
  if (lower === word) return word;
  const negates = valenceOf({ is_cap_diff: false, words_and_emoticons: [lower, probe] }, 1) < 0;
  return negates || lower === 'but' ? lower : word;
}

interface Token {
  readonly word: string;
  readonly start: number;
}

/** Words as the reference implementation has them: without marks around, but emoticons whole. */
function vaderTokens(text: string): Token[] {
  return [...text.matchAll(/\S+/g)].map(({ 0: whole, index }) => {
    const short = whole.slice(0, longestWord);
    const before = short.match(marksBefore)![0].length;
    const bare = short.slice(before).replace(marksAfter, '');
    return bare.length > 2 ? { word: bare, start: index + before } : { word: short, start: index };
  });
}

interface Reading {
  readonly tokens: readonly Token[];
  readonly words: Words;
  /** The valence of each word, after negation and intensifiers. */
  readonly valences: readonly number[];
}

function read(text: string): Reading {
  const tokens = vaderTokens(text);
  const capitals = tokens.filter(({ word }) => /[A-Z]/.test(word) && !/[a-z]/.test(word)).length;
  const all = tokens.map(({ word }) => readable(word));
  const words = { is_cap_diff: capitals > 0 && capitals < tokens.length, words_and_emoticons: all };
  const valences = all.map((word, i) => {
    const kindOf = word.toLowerCase() === 'kind' && all[i + 1]?.toLowerCase() === 'of';
    const valence = kindOf ? 0 : valenceOf(words, i);
    // Intensifiers have no valence of their own, even where the lexicon lists them.
    return valence !== 0 && vader.polarity_scores(word).compound === 0 ? 0 : valence;
  });
  return { tokens, words, valences };
}

function compoundOf(text: string, { words, valences }: Reading): number {
  return vader.score_valence(vader.but_check(words.words_and_emoticons, [...valences]), text).compound;
}

/** VADER's compound score, −1..1: its sum over the text, squashed. */
export function vaderCompound(text: string): number {
  return compoundOf(text, read(text));
}

/** The word before `index` without which the valence would differ most. */
function modifierOf(words: Words, index: number, valence: number): string {
  const from = Math.max(0, index - reach);
  const near = words.words_and_emoticons.slice(from, index + reach);
  let modifier = '';
  let largest = 1e-9;
  for (let at = 0; at < index - from; at++) {
    const without = { ...words, words_and_emoticons: near.with(at, blank) };
    const change = Math.abs(valence - valenceOf(without, index - from));
    if (change > largest) [modifier, largest] = [near[at], change];
  }
  return modifier;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

function vaderCues({ tokens, words, valences }: Reading): Cue[] {
  return tokens.flatMap(({ word, start }, i): Cue[] => {
    if (valences[i] === 0) return [];
    const modifier = modifierOf(words, i, valences[i]);
    const end = start + word.length;
    return [{ text: word, lexicon: 'vader', score: round(valences[i]), start, end, modifier }];
  });
}

const afinnTokens = /[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*|\p{Extended_Pictographic}/gu;
function afinnCues(text: string): Cue[] {
  const tokens = [...text.matchAll(afinnTokens)].map(({ 0: word, index }) => ({ word, start: index }));
  const lower = tokens.map(({ word }) => word.toLowerCase().replaceAll('’', "'"));
  const sameSentence = (i: number) =>
    !/[.!?;]/.test(text.slice(tokens[i - 1].start + tokens[i - 1].word.length, tokens[i].start));
  const cues: Cue[] = [];
  for (let i = 0; i < tokens.length; ) {
    let length = Math.min(longestPhrase, tokens.length - i);
    while (length > 0 && !afinn.has(lower.slice(i, i + length).join(' '))) length--;
    const score = afinn.get(lower.slice(i, i + length).join(' '));
    if (score === undefined) {
      i++;
      continue;
    }
    // AFINN has no rules of its own: what VADER's make of a known word in the same place is applied in proportion.
    let from = i;
    while (from > Math.max(0, i - reach) && sameSentence(from)) from--;
    const before = lower.slice(from, i).map((word) => word.slice(0, longestWord));
    const words: Words = { is_cap_diff: false, words_and_emoticons: [...before, probe] };
    const valence = valenceOf(words, before.length);
    const last = tokens[i + length - 1];
    const [start, end] = [tokens[i].start, last.start + last.word.length];
    cues.push({
      text: text.slice(start, end),
      lexicon: 'afinn',
      score: round((score * valence) / probeValence),
      start,
      end,
      modifier: valence === probeValence ? '' : modifierOf(words, before.length, valence),
    });
    i += length;
  }
  return cues;
}

function signed(value: number, decimals: number): string {
  const text = Math.abs(value).toFixed(decimals);
  return `${value < 0 && Number(text) !== 0 ? '-' : '+'}${text}`;
}

/** "not good -1, great +3; positive +0.4": always of this form, so that a small model can learn to read it. */
function cueLine(cues: readonly Cue[], compound: number): string {
  const strength = ({ score, lexicon }: Cue) => Math.abs(score) / (lexicon === 'vader' ? 4 : 5);
  const shown: Cue[] = [];
  for (const cue of [...cues].sort((p, q) => strength(q) - strength(p) || p.start - q.start)) {
    const same = (other: Cue) =>
      (cue.start < other.end && other.start < cue.end) || cue.text.toLowerCase() === other.text.toLowerCase();
    if (Math.round(cue.score) === 0 || cue.text.length > 20 || shown.some(same)) continue;
    if (shown.push(cue) === 3) break;
  }
  const terms = shown.map(({ text, modifier, score }) => {
    const term = modifier === '' ? text : `${modifier} ${text}`;
    return `${term.toLowerCase()} ${signed(score, 0)}`;
  });
  // VADER's usual thresholds.
  const polarity = compound >= 0.05 ? 'positive' : compound <= -0.05 ? 'negative' : 'neutral';
  return `${terms.join(', ') || 'none'}; ${polarity} ${signed(compound, 1)}`;
}

/** What the lexicons find in a text. */
export function explain(text: string): Explanation {
  const reading = read(text);
  const cues = [...vaderCues(reading), ...afinnCues(text)].sort((p, q) => p.start - q.start || p.end - q.end);
  const compound = compoundOf(text, reading);
  return {
    cues,
    cueText: cueLine(cues, compound),
    vader: compound,
    afinn: round(cues.reduce((sum, { lexicon, score }) => (lexicon === 'afinn' ? sum + score : sum), 0)),
  };
}
