/**
 * Characters as people see them (extended grapheme clusters, Unicode Standard Annex 29): an emoji with its skin tone and
 * joiners, a letter with its marks. A text is never cut within one.
 */

let shared: Intl.Segmenter | undefined;

function segmenter(): Intl.Segmenter {
  shared ??= new Intl.Segmenter('en', { granularity: 'grapheme' });
  return shared;
}

/** The longest beginning of at most `length` UTF-16 units. */
export function beginningOf(text: string, length: number): string {
  if (text.length <= length) return text;
  const broken = segmenter().segment(text).containing(Math.max(0, length))!;
  return text.slice(0, broken.index);
}

/** The longest end of at most `length` UTF-16 units. */
export function endOf(text: string, length: number): string {
  if (text.length <= length) return text;
  const at = text.length - Math.max(0, length);
  const broken = segmenter().segment(text).containing(at);
  // Where the cut falls before a character, that one is whole.
  if (broken === undefined || broken.index === at) return text.slice(at);
  return text.slice(broken.index + broken.segment.length);
}

/** The characters of a text, and where each begins in UTF-16 units. */
export function* charactersOf(text: string): Generator<{ readonly index: number; readonly segment: string }> {
  yield* segmenter().segment(text);
}
