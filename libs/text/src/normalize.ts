/** One form for texts that people would call the same: the key for duplicates, leaks and grouped splits. */

/**
 * NFKC, lower case, everything but letters, marks, digits and symbols (emoji among them) as one space, trimmed.
 * "Great!!" and "great" are one text; "great 🙂" is another.
 */
export function normalizeText(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}\p{S}]+/gu, ' ')
    .trim();
}
