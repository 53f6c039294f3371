/** Questions and answers as tokens. Prompt and answer are tokenised apart, so that training and scoring agree. */
import { charactersOf, InvalidArgument } from '@emotune/base';
import { endOfSequence, type Tokenizer } from '@emotune/text';
import { type Question, renderPrompt } from './questions.js';

/** The answer and the end of sequence. */
export function answerTokens(tokenizer: Tokenizer, answer: string): Int32Array {
  return Int32Array.from([...tokenizer.encode(answer), endOfSequence(tokenizer)]);
}

function begins(beginning: Int32Array, whole: Int32Array): boolean {
  return beginning.length < whole.length && beginning.every((token, i) => token === whole[i]);
}

/**
 * Tokens by which these answers are told apart: the end of sequence counts where one begins another; elsewhere asking for it
 * costs a row each.
 */
export function candidateTokens(tokenizer: Tokenizer, answers: readonly string[]): Int32Array[] {
  const ended = answers.map((answer) => answerTokens(tokenizer, answer));
  const open = ended.map((tokens) => tokens.subarray(0, -1));
  return open.some((tokens) => open.some((other) => begins(tokens, other))) ? ended : open;
}

/** Digits that a token may be at most. */
const longestDigits = 3;

/**
 * By count of digits, from 1 to 3: the tokens that are so many digits, alone, after a digit or after a point, and their value
 * with a point after the first. Empty where the tokenizer has none.
 */
export function digitTokens(tokenizer: Tokenizer): ReadonlyMap<number, number>[] {
  return Array.from({ length: longestDigits }, (_, i) => {
    const tokens = new Map<number, number>();
    for (let n = 0; n < 10 ** (i + 1); n++) {
      const digits = String(n).padStart(i + 1, '0');
      for (const text of [digits, `1${digits}`, `0.${digits}`]) {
        const last = tokenizer.encode(text).at(-1);
        if (last !== undefined && tokenizer.decode([last]).trim() === digits) tokens.set(last, n / 10 ** i);
      }
    }
    return tokens;
  });
}

/**
 * The prompt's tokens, at most `maxTokens`, behind what the tokenizer begins every text with: the text loses its last characters where it must, the rest stays whole.
 * @throws InvalidArgument when the prompt without its text is too long.
 */
export function questionTokens(
  tokenizer: Tokenizer,
  q: Question,
  maxTokens: number,
): { tokens: Int32Array; cut: boolean } {
  const withText = (text: string) =>
    Int32Array.from([...tokenizer.beginning, ...tokenizer.encode(renderPrompt({ ...q, text }))]);
  // Most texts have fewer characters a token, and so are tokenised once.
  let beyond = Math.min(q.text.length, 6 * maxTokens);
  let tokens = withText(q.text.slice(0, beyond));
  while (tokens.length <= maxTokens) {
    if (beyond === q.text.length) return { tokens, cut: false };
    beyond = Math.min(q.text.length, 2 * beyond);
    tokens = withText(q.text.slice(0, beyond));
  }
  const excess = tokens.length;
  tokens = withText('');
  if (tokens.length > maxTokens) {
    throw InvalidArgument.at(
      'question',
      `expected at most ${maxTokens} tokens without the text, got ${tokens.length}; ask with fewer labels`,
    );
  }
  const starts: number[] = [];
  for (const { index } of charactersOf(q.text)) {
    if (index >= beyond) break;
    starts.push(index);
  }
  // The most characters known to fit, and the fewest known not to, with their tokens.
  let fits = { characters: 0, tokens: tokens.length };
  let tooMany = { characters: starts.length, tokens: excess };
  // Tokens grow nearly evenly; where they do not, every other step halves what is left.
  for (let even = true; tooMany.characters - fits.characters > 1; even = !even) {
    const left = tooMany.characters - fits.characters;
    const share = even ? (maxTokens + 0.5 - fits.tokens) / (tooMany.tokens - fits.tokens) : 0.5;
    const characters = fits.characters + Math.min(left - 1, Math.max(1, Math.round(share * left)));
    const shorter = withText(q.text.slice(0, starts[characters]));
    const found = { characters, tokens: shorter.length };
    if (shorter.length <= maxTokens) [fits, tokens] = [found, shorter];
    else tooMany = found;
  }
  return { tokens, cut: true };
}
