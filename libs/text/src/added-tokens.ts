/**
 * Tokens that are found in the text itself, before any model sees it: the leftmost first, of these the longest. Those that
 * are not `normalized` are looked for in the text as it came, the others in what the normalizer makes of what is left.
 */
import { show } from '@emotune/base';
import { checkToken, type Json, type Vocabulary, wrong } from './token-model.js';

export interface AddedToken {
  readonly content: string;
  readonly id: number;
  readonly single_word: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  readonly normalized: boolean;
  readonly special: boolean;
}

/** A piece of text: an added token, or what is still to be split. */
export interface Segment {
  readonly text: string;
  readonly id?: number;
}

/** `\w` and `\s` of Rust's regular expressions (UTS 18). */
const word = '[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]';
const startsWithWord = new RegExp(`^${word}`, 'u');
const endsWithWord = new RegExp(`${word}$`, 'u');
const space = /^\p{White_Space}$/u;

const insideWord = (text: string, start: number, end: number): boolean =>
  endsWithWord.test(text.slice(Math.max(0, start - 2), start)) ||
  startsWithWord.test(text.slice(end, end + 2));

/** The ids of added tokens as Hugging Face's library gives them: the model's own, else those behind it. */
function numbering({ vocabulary, size }: Known): (content: string) => number {
  const given = new Map<string, number>();
  let largest = -1;
  return (content) => {
    const next = largest >= size || (size === 0 && given.size > 0) ? largest + 1 : size;
    const id = given.get(content) ?? vocabulary.get(content) ?? next;
    given.set(content, id);
    largest = Math.max(largest, id);
    return id;
  };
}

export interface Known {
  readonly vocabulary: Vocabulary;
  /** Entries in the model's own list. */
  readonly size: number;
}

const flags = ['single_word', 'lstrip', 'rstrip', 'normalized', 'special'] as const;

/** @throws InvalidArgument */
export function addedTokensOf(added: unknown, known: Known): readonly AddedToken[] {
  if (!Array.isArray(added ?? [])) throw wrong('added_tokens', `expected a list, got ${show(added)}`);
  const idOf = numbering(known);
  return ((added ?? []) as unknown[]).flatMap((given, i) => {
    const token = (given ?? {}) as Json;
    const { content } = token;
    const whole = typeof content === 'string' && flags.every((name) => typeof token[name] === 'boolean');
    if (!whole)
      throw wrong(
        `added_tokens[${i}]`,
        `expected a token with content, ${flags.join(', ')}, got ${show(given)}`,
      );
    checkToken(`added_tokens[${i}]`, content);
    if (content === '') return [];
    const { single_word, lstrip, rstrip, normalized, special } = token as unknown as AddedToken;
    return [{ content, id: idOf(content), single_word, lstrip, rstrip, normalized, special }];
  });
}

interface Node {
  /** Most nodes have none. */
  next: Map<string, Node> | undefined;
  token: AddedToken | undefined;
}

const emptyNode = (): Node => ({ next: undefined, token: undefined });

/** Splits text at the tokens, which are looked for as `spelt` has them. */
export function splitter(
  tokens: readonly AddedToken[],
  spelt: (content: string) => string = (content) => content,
): (text: string) => Segment[] {
  const root = emptyNode();
  const special = tokens.filter((token) => token.special);
  for (const token of [...special, ...tokens.filter((one) => !one.special)]) {
    let node = root;
    const text = spelt(token.content);
    if (text === '')
      throw wrong(
        'added_tokens',
        `expected text, got ${show(token.content)}, of which the normalizer leaves nothing`,
      );
    for (let i = 0; i < text.length; i++) {
      node.next ??= new Map();
      let child = node.next.get(text[i]);
      if (!child) {
        child = emptyNode();
        node.next.set(text[i], child);
      }
      node = child;
    }
    node.token ??= token;
  }
  /** The longest token at a place, and its end. */
  const longest = (text: string, at: number): { token: AddedToken; end: number } | undefined => {
    let found: { token: AddedToken; end: number } | undefined;
    let node = root.next?.get(text[at]);
    for (let end = at + 1; node; end++) {
      if (node.token) found = { token: node.token, end };
      node = end < text.length ? node.next?.get(text[end]) : undefined;
    }
    return found;
  };
  return (text) => {
    if (!root.next) return text === '' ? [] : [{ text }];
    const segments: Segment[] = [];
    let done = 0;
    for (let at = 0; at < text.length; ) {
      const found = longest(text, at);
      if (!found) {
        at++;
        continue;
      }
      let [start, end] = [at, found.end];
      at = end;
      const { token } = found;
      if (token.single_word && insideWord(text, start, end)) continue;
      while (token.lstrip && start > done && space.test(text[start - 1])) start--;
      while (token.rstrip && end < text.length && space.test(text[end])) end++;
      if (done < start) segments.push({ text: text.slice(done, start) });
      segments.push({ text: text.slice(start, end), id: token.id });
      done = end;
    }
    if (done < text.length) segments.push({ text: text.slice(done) });
    return segments;
  };
}
