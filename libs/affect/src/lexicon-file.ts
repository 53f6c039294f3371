/** Lexicons as a file: beside the prompts that they went into, and beside the weights of a model that reads their cues. */
import { InvalidArgument, parse } from '@emotune/base';
import { z } from 'zod';
import type { Lexicon } from './lexicon.js';

/** The file's name. */
export const lexiconsFile = 'lexicons.json';

/** A lexicon with what its licence asks to be passed on. */
export interface KeptLexicon extends Lexicon {
  /** SPDX identifier, or in words. */
  readonly licence: string;
  /** Where it is published, or the dataset version that it was induced from. */
  readonly source: string;
  /** false: its terms may not be handed on, so it leaves in no export. */
  readonly redistributable: boolean;
}

const file = z.object({
  version: z.literal(1),
  lexicons: z.array(
    z.object({
      name: z.string().min(1),
      language: z.string().min(1),
      licence: z.string(),
      source: z.string(),
      redistributable: z.boolean(),
      dimensions: z.array(z.string().min(1)).min(1),
      scale: z.number().positive(),
      terms: z.record(z.string(), z.array(z.number())),
    }),
  ),
});

/** The text of `lexicons.json`; the same lexicons give the same text. */
export function lexiconsJson(lexicons: readonly KeptLexicon[]): string {
  const document: z.input<typeof file> = {
    version: 1,
    lexicons: lexicons.map(({ dimensions, terms, ...rest }) => ({
      ...rest,
      dimensions: [...dimensions],
      terms: Object.fromEntries(
        [...terms].sort(([a], [b]) => (a < b ? -1 : 1)).map(([term, values]) => [term, [...values]]),
      ),
    })),
  };
  return `${JSON.stringify(document)}\n`;
}

/** @throws InvalidArgument naming what is wrong in the file. */
export function parseLexicons(text: string): KeptLexicon[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw InvalidArgument.at(lexiconsFile, 'expected JSON', { cause });
  }
  return parse(file, json, [lexiconsFile]).lexicons.map((lexicon, i) => {
    const terms = new Map(Object.entries(lexicon.terms));
    for (const [term, values] of terms)
      if (values.length !== lexicon.dimensions.length)
        throw InvalidArgument.at(
          `${lexiconsFile}.lexicons[${i}].terms.${term}`,
          `expected ${lexicon.dimensions.length} numbers, got ${values.length}`,
        );
    return { ...lexicon, terms };
  });
}
