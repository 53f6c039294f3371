/**
 * A text as edits see it: its words, and which of them may be changed or moved without a change of what it feels. Words that a
 * lexicon knows, negations, intensifiers and contrasts are not free, nor are emoticons, emoji, hashtags, names of users, links,
 * numbers, capitals and drawn-out words; what a negation or an intensifier may reach stays where it is. English.
 */
import { explain, intensifies, isAffective, negates } from '@emotune/affect';

export interface Word {
  /** Without the punctuation around it. */
  readonly text: string;
  /** UTF-16 offsets of the word in the text. */
  readonly start: number;
  readonly end: number;
  /** May be written otherwise. */
  readonly free: boolean;
  /** May be moved or left out, and something may stand beside it. */
  readonly loose: boolean;
  /** No punctuation touches it. */
  readonly bare: boolean;
}

/** Words after a negation or an intensifier that it may reach, as VADER has it. */
const reach = 3;

const chunks = /\S+/g;
const plainWord = /^(["'“‘([]*)(\p{L}[\p{L}\p{M}'’-]*)([.,;:!?…"'”’)\]]*)$/u;

function wordAt(chunk: string, start: number): Omit<Word, 'loose'> {
  const [, before, word] = plainWord.exec(chunk) ?? [];
  if (word === undefined) return { text: chunk, start, end: start + chunk.length, free: false, bare: false };
  const loud = word.length > 1 && word === word.toUpperCase();
  const drawnOut = /(.)\1\1/iu.test(word);
  const from = start + before.length;
  return {
    text: word,
    start: from,
    end: from + word.length,
    free: !loud && !drawnOut && !isAffective(word),
    bare: word === chunk,
  };
}

/** The words of an English text. */
export function wordsOf(text: string): Word[] {
  const { cues } = explain(text);
  let bound = 0;
  return [...text.matchAll(chunks)].map(({ 0: chunk, index }) => {
    const word = wordAt(chunk, index);
    const inCue = cues.some(({ start, end }) => start < word.end && word.start < end);
    const free = word.free && !inCue;
    const loose = free && bound === 0;
    if (negates(word.text) || intensifies(word.text)) bound = reach;
    else if (bound > 0) bound--;
    return { ...word, free, loose };
  });
}

/** Places of words before which something may come: both neighbours are loose. */
export function gapsOf(words: readonly Word[]): number[] {
  return [...words.keys()].filter(
    (i) => i > 0 && words[i].loose && words[i - 1].loose && words[i].bare && words[i - 1].bare,
  );
}

/** A piece of a text and what stands there instead. */
export interface Replacement {
  readonly start: number;
  readonly end: number;
  readonly by: string;
}

/** The text with pieces replaced, which do not overlap. */
export function replaced(text: string, replacements: readonly Replacement[]): string {
  let at = 0;
  let result = '';
  for (const { start, end, by } of [...replacements].sort((a, b) => a.start - b.start || a.end - b.end)) {
    result += text.slice(at, start) + by;
    at = end;
  }
  return result + text.slice(at);
}
