/**
 * Trains a byte-level BPE vocabulary (Sennrich et al. 2016; bytes as in Radford et al. 2019) and writes it as a Hugging
 * Face `tokenizer.json`. Digits stand alone, so that numbers are spelt digit by digit. Deterministic: the same texts in
 * any order give the same file.
 */
import { InvalidArgument } from '@emotune/base';
import { addedToken, bpeModel } from './tokenizer-json.js';

export interface BpeOptions {
  /** Entries in all: special tokens, 256 bytes, merges. */
  readonly vocabSize: number;
  /** Get the first ids, in this order. */
  readonly specialTokens: readonly string[];
}

/** GPT-2's table: every byte as a printable character. */
function byteCharacters(): string[] {
  const printable = (byte: number) =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
}

/** The pieces within which merges happen: digits alone, then GPT-2's pattern. */
const pieces = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

function* words(text: string): Generator<string> {
  for (const segment of text.split(/(\p{N})/u)) {
    for (const [piece] of segment.matchAll(pieces)) yield piece;
  }
}

interface Word {
  symbols: number[];
  readonly count: number;
}

/** A pair of symbols with how often it occurs; stale entries are skipped when they come up. */
interface Candidate {
  readonly left: number;
  readonly right: number;
  readonly count: number;
}

/** Most frequent first; ties by the older symbols, so that the result does not depend on the order of texts. */
function before(p: Candidate, q: Candidate): boolean {
  if (p.count !== q.count) return p.count > q.count;
  return p.left !== q.left ? p.left < q.left : p.right < q.right;
}

class Heap {
  private readonly items: Candidate[] = [];

  push(item: Candidate): void {
    const { items } = this;
    let i = items.push(item) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(items[i], items[parent])) break;
      [items[i], items[parent]] = [items[parent], items[i]];
      i = parent;
    }
  }

  pop(): Candidate | undefined {
    const { items } = this;
    const top = items[0];
    const last = items.pop();
    if (items.length === 0 || last === undefined) return top;
    items[0] = last;
    for (let i = 0; ; ) {
      let best = i;
      for (const child of [2 * i + 1, 2 * i + 2])
        if (child < items.length && before(items[child], items[best])) best = child;
      if (best === i) return top;
      [items[i], items[best]] = [items[best], items[i]];
      i = best;
    }
  }
}

/**
 * The `tokenizer.json` of a vocabulary trained on the texts.
 * @throws InvalidArgument when the size leaves no room for the bytes.
 */
export function trainBpe(
  texts: Iterable<string>,
  { vocabSize, specialTokens }: BpeOptions,
): Record<string, unknown> {
  const base = specialTokens.length + 256;
  if (vocabSize < base)
    throw InvalidArgument.at(
      'vocabSize',
      `expected at least ${base} (bytes and special tokens), got ${vocabSize}`,
    );
  const characters = byteCharacters();
  // Bytes by their character, so that ids do not depend on what occurred.
  const alphabet = [...characters].sort();
  const idOfByte = characters.map((character) => specialTokens.length + alphabet.indexOf(character));
  const vocabulary = [...specialTokens, ...alphabet];

  const counts = new Map<string, number>();
  for (const text of texts) for (const word of words(text)) counts.set(word, (counts.get(word) ?? 0) + 1);
  const encoder = new TextEncoder();
  const list: Word[] = [...counts].map(([word, count]) => ({
    symbols: Array.from(encoder.encode(word), (byte) => idOfByte[byte]),
    count,
  }));

  const key = (left: number, right: number) => left * vocabSize + right;
  const pairs = new Map<number, { count: number; words: Set<number> }>();
  const heap = new Heap();
  const touched = new Set<number>();
  const change = (left: number, right: number, by: number, word: number) => {
    const k = key(left, right);
    let pair = pairs.get(k);
    if (!pair) {
      pair = { count: 0, words: new Set() };
      pairs.set(k, pair);
    }
    pair.count += by;
    if (by > 0) pair.words.add(word);
    touched.add(k);
  };
  const announce = () => {
    for (const k of touched) {
      const { count } = pairs.get(k)!;
      if (count > 1) heap.push({ left: Math.floor(k / vocabSize), right: k % vocabSize, count });
    }
    touched.clear();
  };
  list.forEach(({ symbols, count }, w) => {
    for (let i = 1; i < symbols.length; i++) change(symbols[i - 1], symbols[i], count, w);
  });
  announce();

  const merges: [string, string][] = [];
  while (vocabulary.length < vocabSize) {
    const best = heap.pop();
    if (best === undefined) break;
    const pair = pairs.get(key(best.left, best.right))!;
    if (pair.count !== best.count) continue;
    const merged = vocabulary.push(vocabulary[best.left] + vocabulary[best.right]) - 1;
    merges.push([vocabulary[best.left], vocabulary[best.right]]);
    for (const w of pair.words) {
      const { symbols, count } = list[w];
      const out: number[] = [];
      for (let i = 0; i < symbols.length; i++) {
        if (symbols[i] === best.left && symbols[i + 1] === best.right) {
          out.push(merged);
          i++;
        } else out.push(symbols[i]);
      }
      if (out.length === symbols.length) continue;
      for (let i = 1; i < symbols.length; i++) change(symbols[i - 1], symbols[i], -count, w);
      for (let i = 1; i < out.length; i++) change(out[i - 1], out[i], count, w);
      list[w].symbols = out;
    }
    announce();
  }

  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content, id) => addedToken(id, content, true)),
    normalizer: null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevel],
    },
    post_processor: null,
    decoder: byteLevel,
    model: bpeModel({
      vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
      merges,
    }),
  };
}
