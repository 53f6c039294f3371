/**
 * Tokens that are found in the text itself, before any model sees it: the leftmost first, of these the longest. Those that
 * are not `normalized` are looked for in the text as it came, the others in what the normalizer makes of what is left.
 */
import { show } from '@emotune/base';
import { type Json, wrong } from './token-model.js';

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

/** @throws InvalidArgument */
export function addedTokensOf(
  added: unknown,
  idOf: (content: string) => number | null,
): readonly AddedToken[] {
  return ((added ?? []) as Json[]).flatMap((token, i) => {
    const { content } = token;
    if (content === '') return [];
    const id = typeof content === 'string' ? idOf(content) : null;
    if (id === null)
      throw wrong(`added_tokens[${i}]`, `expected a token with its content, got ${show(token)}`);
    const flag = (name: string, absent = false) => (token[name] ?? absent) === true;
    const special = flag('special');
    return [
      {
        content: content as string,
        id,
        single_word: flag('single_word'),
        lstrip: flag('lstrip'),
        rstrip: flag('rstrip'),
        normalized: flag('normalized', !special),
        special,
      },
    ];
  });
}

interface Node {
  readonly next: Map<string, Node>;
  token?: AddedToken;
}

/** Splits text at the tokens, which are looked for as `spelt` has them. */
export function splitter(
  tokens: readonly AddedToken[],
  spelt: (content: string) => string = (content) => content,
): (text: string) => Segment[] {
  const root: Node = { next: new Map() };
  const special = tokens.filter((token) => token.special);
  for (const token of [...special, ...tokens.filter((one) => !one.special)]) {
    let node = root;
    const text = spelt(token.content);
    if (text === '')
      throw wrong(
        'added_tokens',
        `expected text, got ${show(token.content)}, of which the normalizer leaves nothing`,
      );
    for (const unit of text.split('')) {
      let child = node.next.get(unit);
      if (!child) {
        child = { next: new Map() };
        node.next.set(unit, child);
      }
      node = child;
    }
    node.token ??= token;
  }
  /** The longest token at a place, and its end. */
  const longest = (text: string, at: number): { token: AddedToken; end: number } | undefined => {
    let found: { token: AddedToken; end: number } | undefined;
    let node: Node | undefined = root.next.get(text[at]);
    for (let end = at + 1; node; end++) {
      if (node.token) found = { token: node.token, end };
      node = end < text.length ? node.next.get(text[end]) : undefined;
    }
    return found;
  };
  return (text) => {
    if (root.next.size === 0) return text === '' ? [] : [{ text }];
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
