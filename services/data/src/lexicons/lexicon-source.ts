/** Where a lexicon is published, under which licence, and how its files are read. */
import type { Lexicon } from '@emotune/affect';
import type { Published } from '../locate.js';

export interface LexiconSource extends Published {
  /** As feature sets name it. */
  readonly name: string;
  readonly title: string;
  /** BCP 47; `und` for emoji and emoticons. */
  readonly language: string;
  /** SPDX identifier. */
  readonly licence: string;
  /** What its licence asks of whoever passes it on, in words for people. */
  readonly obligations: readonly string[];
  /** false: it has to be had from its authors, so it is read from the user's folder alone and leaves in no export. */
  readonly redistributable: boolean;
  readonly url: string;
  /** Terms that are read of it; 0: not known before the user's file is read. */
  readonly entries: number;
  /** Of the content of each file, in their order. @throws InvalidArgument */
  readonly read: (contents: readonly Buffer[]) => Lexicon;
}
