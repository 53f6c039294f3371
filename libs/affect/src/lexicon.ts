/** What lexicons have in common, whatever their publishers' formats. */

/** The emotions of Plutchik (1980), which most lexicons of emotions rate. */
export const plutchikEmotions = [
  'anger',
  'anticipation',
  'disgust',
  'fear',
  'joy',
  'sadness',
  'surprise',
  'trust',
] as const;

/** What polarity is called among the dimensions of a lexicon. */
export const valence = 'valence';

/** The language of what every language writes: emoji and emoticons. */
export const anyLanguage = 'und';

export interface Lexicon {
  /** Lower-case letters, digits and dashes. */
  readonly name: string;
  /** BCP 47. */
  readonly language: string;
  /** `valence`, emotions, or what else a term is rated by. */
  readonly dimensions: readonly string[];
  /** The largest size of a value: 4 for −4..4. */
  readonly scale: number;
  /**
   * A value for each dimension, in their order; 0: nothing to say. By term in lower case, NFC, the words of one parted by a
   * blank.
   */
  readonly terms: ReadonlyMap<string, readonly number[]>;
}

/** As terms are looked up: white space, underscores and typographic apostrophes made one. */
export function termKey(text: string): string {
  return text
    .normalize('NFC')
    .toLowerCase()
    .replaceAll('’', "'")
    .replaceAll(/[\s_]+/g, ' ')
    .trim();
}
