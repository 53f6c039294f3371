/** What the edits of texts have in common. */
import type { Rng } from '@emotune/base';

export interface EditOptions {
  readonly rng: Rng;
  /** Share of the words that is edited, about; 0 to 1. */
  readonly strength: number;
  /** The label is an intensity: nothing that makes a text stronger or weaker is put in. */
  readonly exact: boolean;
  /** Synonyms of a lower-case word, none where it has none or no dictionary is there. */
  readonly synonyms: (word: string) => readonly string[];
}

/** Another text with the same label; undefined where none can be made. English, unless it says otherwise. */
export type Edit = (text: string, options: EditOptions) => string | undefined;

/** At most `count` of the items, at random. */
export function someOf<T>(items: readonly T[], count: number, rng: Rng): T[] {
  return rng.shuffle(items).slice(0, count);
}
