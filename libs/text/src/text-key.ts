/**
 * When two texts are one: the key by which duplicates, leaks, splits and folds know a text again.
 *
 * The key undoes what copying, encoding and typesetting change between copies of one text, and keeps what a writer says
 * by it: emoticons, emoji with their skin tones, every `!`, words in capitals, negation. Decision 24 has what each rule
 * finds in the corpora.
 */

const named: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
};
const reference = /&(?:(amp|lt|gt|quot|apos|nbsp)|#(\d{1,7})|#x([\da-f]{1,6}));/gi;

function characterOf(whole: string, name?: string, decimal?: string, hexadecimal?: string): string {
  if (name !== undefined) return named[name.toLowerCase()];
  const code = decimal === undefined ? Number.parseInt(hexadecimal!, 16) : Number(decimal);
  return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
}

/** Soft hyphen, zero-width space, marks of direction, word joiner, byte order mark, variation selectors. */
const unseen = /[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]|[\ufe00-\ufe0f]/gu;

const typeset: readonly (readonly [RegExp, string])[] = [
  [/[‘’‚‛′`]/g, "'"],
  [/[“”„‟]|''/g, '"'],
  [/[—―]/g, '--'],
  [/[‐‑‒–−]/g, '-'],
];

/** Words, but no letter that is part of an emoticon as in ":D". */
const word = /[\p{L}\p{M}\p{N}']{2,}|(?<!\S)\p{L}(?!\S)/gu;

/** A capital that begins a word is spelling; a word in capitals is emphasis. */
function spelt(found: string): string {
  const letters = found.match(/\p{L}/gu)?.length ?? 0;
  return letters > 1 && found === found.toUpperCase() ? found : found.toLowerCase();
}

/** A space on either side of anything but letters, marks and digits: "well , yes" is "well, yes". */
const spaceByMarks = / (?![\p{L}\p{M}\p{N}])|(?<![\p{L}\p{M}\p{N}]) /gu;

/** One full stop after a word at the end. */
const lastStop = /(?<=[\p{L}\p{M}\p{N}]) ?\. ?$/u;

/**
 * Character references resolved; compatibility composition (NFKC); quotes, dashes and white space in one form; unseen
 * characters gone; words in lower case unless they are capitals throughout; one full stop at the end dropped.
 */
export function textKey(text: string): string {
  let key = text.replace(reference, characterOf).normalize('NFKC').replace(unseen, '');
  for (const [written, plain] of typeset) key = key.replace(written, plain);
  return key.replace(/\s+/g, ' ').replace(lastStop, '').replace(word, spelt).replace(spaceByMarks, '');
}
