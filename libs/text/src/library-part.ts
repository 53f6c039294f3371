/** Parts of a `tokenizer.json` that Hugging Face's library computes, each on its own. What ends its process is refused before. */
import { show } from '@emotune/base';
import { Tokenizer as Library } from 'tokenizers';
import { checkCharacterMap } from './character-map.js';
import { type Json, wrong } from './token-model.js';

const parts = ['normalizer', 'pre_tokenizer', 'post_processor', 'decoder'] as const;
export type Part = (typeof parts)[number];

/** More than any published tokenizer has in a row. */
const mostSteps = 32;

/** A step of which the library would end the process. @throws InvalidArgument */
function checkStep(part: Part, step: Json): void {
  const { type, length, stop } = step;
  if (type === 'Precompiled') checkCharacterMap(step['precompiled_charsmap']);
  if (type === 'FixedLength' && !((length as number) > 0))
    throw wrong(`${part}: FixedLength: length`, `expected a number from 1, got ${show(length)}`);
  if (part === 'decoder' && type === 'Strip' && stop !== 0)
    throw wrong(`${part}: Strip: stop`, `expected 0 (anything else is not computed here), got ${show(stop)}`);
}

/** The library runs no regular expression of a file: it ends the process where one takes long. */
const harmless = { String: 'a' };

/** @throws InvalidArgument naming the part that the library does not read. */
export function libraryWith(part: Part, json: unknown): Library {
  const none = Object.fromEntries(parts.map((name) => [name, null]));
  const safe = JSON.parse(JSON.stringify(json ?? null), (key, value) => {
    if (key === 'pattern' && typeof value?.Regex === 'string') return harmless;
    if (typeof value === 'object' && value !== null) checkStep(part, value);
    return value;
  });
  const model = { type: 'BPE', vocab: {}, merges: [] };
  try {
    return Library.fromString(
      JSON.stringify({ version: '1.0', added_tokens: [], ...none, model, [part]: safe }),
    );
  } catch (error) {
    throw wrong(
      part,
      `expected what Hugging Face's tokenizers reads, got ${show(json)}: ${(error as Error).message}`,
    );
  }
}

/** A regular expression in a step; undefined where it has none. */
export function regexOf({ pattern }: Json): string | undefined {
  return (pattern as { Regex?: string } | undefined)?.Regex;
}

/**
 * What a part does, one step after the other; none where there is no such part.
 * @param list The field in which a Sequence holds its steps.
 * @throws InvalidArgument where the library does not read them.
 */
export function stepsOf(part: Part, json: unknown, list: string): readonly Json[] {
  if (json === null || json === undefined) return [];
  libraryWith(part, json);
  const flat = (step: Json): Json[] =>
    step['type'] === 'Sequence' ? (step[list] as Json[]).flatMap(flat) : [step];
  const steps = flat(json as Json);
  if (steps.length > mostSteps)
    throw wrong(part, `expected at most ${mostSteps} steps in a row, got ${steps.length}`);
  return steps;
}
