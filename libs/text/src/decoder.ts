/** The decoder of a `tokenizer.json`: tokens as text. */
import { show } from '@emotune/base';
import { libraryWith, regexOf, stepsOf } from './library-part.js';
import { wrong } from './token-model.js';

const part = 'decoder';
const mostGrowth = 64;

/** @throws InvalidArgument */
export function decoderOf(json: unknown): (tokens: string[]) => string {
  const steps = stepsOf(part, json, 'decoders');
  if (steps.length === 0) return (tokens) => tokens.join(' ');
  let growth = 1;
  for (const step of steps) {
    if (step['type'] !== 'Replace') continue;
    const field = `${part}: Replace: pattern`;
    const { content, pattern } = step as { content: string; pattern: { String: string } };
    if (regexOf(step) !== undefined)
      throw wrong(field, `expected a text (a regular expression is not computed here), got ${show(pattern)}`);
    if (pattern.String === '') throw wrong(field, 'expected text, got none');
    growth *= Math.max(1, content.length / pattern.String.length);
  }
  if (growth > mostGrowth)
    throw wrong(part, `expected a text of at most ${mostGrowth} times its tokens, got up to ${growth} times`);
  const library = libraryWith(part, json).getDecoder()!;
  return (tokens) => library.decode(tokens);
}
