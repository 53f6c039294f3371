/**
 * Lexicon cues: the words of a text that VADER (Hutto and Gilbert 2014) or AFINN (Nielsen 2011) know, with where they
 * stand and what negates or strengthens them. AFINN is read from its npm package at run time.
 */
import { createRequire } from 'node:module';
import { type Reading, readVader, type Term, termOf, valenceAt, valenceOf } from './vader.js';

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

const require = createRequire(import.meta.url);
const afinn = new Map(
  Object.entries({
    ...(require('sentiment/build/emoji.json') as Record<string, number>),
    ...(require('sentiment/languages/en/labels.json') as Record<string, number>),
  }),
);

/** Words before a term that may change its score. */
const reach = 3;
/** Words of the longest AFINN phrase, and how phrases begin. */
const longestPhrase = 3;
const phraseStarts = new Set(
  [...afinn.keys()].filter((term) => term.includes(' ')).map((term) => term.split(' ')[0]),
);
/** A word that no lexicon and no rule knows. */
const blank: Term = 0;

/** The place of the word before `index` without which the valence would differ most; undefined where none matters. */
function modifierOf(
  words: readonly Term[],
  index: number,
  valence: number,
  capitalsDiffer: boolean,
): number | undefined {
  if (valence === valenceOf(words[index])) return undefined;
  const from = Math.max(0, index - reach);
  const near = words.slice(from, index + reach);
  let modifier: number | undefined;
  let largest = 1e-9;
  for (let at = 0; at < index - from; at++) {
    const change = Math.abs(valence - valenceAt(near.with(at, blank), index - from, capitalsDiffer));
    if (change > largest) [modifier, largest] = [from + at, change];
  }
  return modifier;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

function vaderCues(text: string, { terms, starts, ends, capitalsDiffer, valences }: Reading): Cue[] {
  const cues: Cue[] = [];
  valences.forEach((valence, i) => {
    if (valence === 0) return;
    const [start, end] = [starts[i], ends[i]];
    const before = cues.at(-1);
    // Words of one emoji's name are one cue.
    if (before?.start === start && before.end === end) {
      cues[cues.length - 1] = { ...before, score: round(before.score + valence) };
      return;
    }
    const by = modifierOf(terms, i, valence, capitalsDiffer);
    const modifier = by === undefined || starts[by] === start ? '' : text.slice(starts[by], ends[by]);
    cues.push({
      text: text.slice(start, end),
      lexicon: 'vader',
      score: round(valence),
      start,
      end,
      modifier,
    });
  });
  return cues;
}

/** A word of the lexicon, to see what the words before make of it. */
const probe = 'good';

const afinnTokens = /[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*|\p{Extended_Pictographic}/gu;

/** The words of a text, as AFINN spells them. */
function afinnWords(text: string) {
  const [words, starts, ends]: [string[], number[], number[]] = [[], [], []];
  for (const { 0: word, index } of text.matchAll(afinnTokens)) {
    words.push(word.toLowerCase().replaceAll('’', "'"));
    starts.push(index);
    ends.push(index + word.length);
  }
  return { words, starts, ends };
}

/** How many words from `at` on are the longest term of AFINN that begins there; 0 where none does. */
function afinnLength(words: readonly string[], at: number): number {
  const longest = phraseStarts.has(words[at]) ? Math.min(longestPhrase, words.length - at) : 1;
  for (let length = longest; length > 1; length--)
    if (afinn.has(words.slice(at, at + length).join(' '))) return length;
  return afinn.has(words[at]) ? 1 : 0;
}

function afinnCues(text: string): Cue[] {
  const { words, starts, ends } = afinnWords(text);
  const probeTerm = termOf(probe);
  const probeValence = valenceOf(probeTerm);
  const sameSentence = (i: number) => !/[.!?;]/.test(text.slice(ends[i - 1], starts[i]));
  const cues: Cue[] = [];
  for (let i = 0; i < words.length; ) {
    const length = afinnLength(words, i);
    if (length === 0) {
      i++;
      continue;
    }
    // AFINN has no rules of its own: what VADER's make of a known word in the same place is applied in proportion.
    let from = i;
    while (from > Math.max(0, i - reach) && sameSentence(from)) from--;
    const terms = [...words.slice(from, i).map(termOf), probeTerm];
    const valence = valenceAt(terms, i - from, false);
    const by = modifierOf(terms, i - from, valence, false);
    const [start, end] = [starts[i], ends[i + length - 1]];
    cues.push({
      text: text.slice(start, end),
      lexicon: 'afinn',
      score: round((afinn.get(words.slice(i, i + length).join(' '))! * valence) / probeValence),
      start,
      end,
      modifier: by === undefined ? '' : words[from + by],
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
  const reading = readVader(text);
  const cues = [...vaderCues(text, reading), ...afinnCues(text)].sort(
    (p, q) => p.start - q.start || p.end - q.end,
  );
  return {
    cues,
    cueText: cueLine(cues, reading.compound),
    vader: reading.compound,
    afinn: round(cues.reduce((sum, { lexicon, score }) => (lexicon === 'afinn' ? sum + score : sum), 0)),
  };
}
