/** Byte-pair encoding (Sennrich et al. 2016): pairs are joined by rank, the leftmost of equals first. */
import { show } from '@emotune/base';
import { byteTokens, type Json, type TokenModel, textField, type Vocabulary, wrong } from './token-model.js';

/** Merges by their pair: open addressing, since a vocabulary has up to half a million of them. */
class MergeTable {
  private readonly mask: number;
  private readonly lefts: Int32Array;
  private readonly rights: Int32Array;
  readonly ranks: Int32Array;
  readonly joined: Int32Array;

  constructor(count: number) {
    const size = 2 ** Math.ceil(Math.log2(2 * count + 2));
    this.mask = size - 1;
    this.lefts = new Int32Array(size).fill(-1);
    this.rights = new Int32Array(size);
    this.ranks = new Int32Array(size);
    this.joined = new Int32Array(size);
  }

  /** Where the pair stands or would. */
  private place(left: number, right: number): number {
    let at = (Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b)) >>> 0;
    at = (at ^ (at >>> 15)) & this.mask;
    while (this.lefts[at] !== -1 && (this.lefts[at] !== left || this.rights[at] !== right))
      at = (at + 1) & this.mask;
    return at;
  }

  set(left: number, right: number, rank: number, joined: number): void {
    const at = this.place(left, right);
    this.lefts[at] = left;
    this.rights[at] = right;
    this.ranks[at] = rank;
    this.joined[at] = joined;
  }

  /** −1 for a pair that is never joined. */
  find(left: number, right: number): number {
    const at = this.place(left, right);
    return this.lefts[at] === -1 ? -1 : at;
  }
}

function pairOf(merge: unknown, i: number): readonly [string, string] {
  const parts = typeof merge === 'string' ? merge.split(' ') : merge;
  if (!Array.isArray(parts) || parts.length !== 2 || !parts.every((part) => typeof part === 'string'))
    throw wrong(`model.merges[${i}]`, `expected two tokens, got ${show(merge)}`);
  return parts as [string, string];
}

function tableOf(merges: unknown, vocabulary: Vocabulary, prefix: string): MergeTable {
  if (!Array.isArray(merges)) throw wrong('model.merges', `expected a list, got ${show(merges)}`);
  const listed = merges.filter((merge) => typeof merge !== 'string' || !merge.startsWith('#version'));
  const table = new MergeTable(listed.length);
  for (const [rank, merge] of listed.entries()) {
    const [first, second] = pairOf(merge, rank);
    if (!second.startsWith(prefix))
      throw wrong(
        `model.merges[${rank}]`,
        `expected a second token that begins with continuing_subword_prefix (${show(prefix)}), got ${show(second)}`,
      );
    const [left, right] = [vocabulary.get(first), vocabulary.get(second)];
    const joined = vocabulary.get(first + second.slice(prefix.length));
    if (left === undefined || right === undefined || joined === undefined)
      throw wrong(`model.merges[${rank}]`, `expected two tokens that make a third, got ${show(merge)}`);
    table.set(left, right, rank, joined);
  }
  return table;
}

/** A pair that may be joined: by rank, then by place. */
class Queue {
  private readonly items: { rank: number; at: number; joined: number }[] = [];

  private before(i: number, j: number): boolean {
    const [p, q] = [this.items[i], this.items[j]];
    return p.rank !== q.rank ? p.rank < q.rank : p.at < q.at;
  }

  private swap(i: number, j: number): void {
    const { items } = this;
    [items[i], items[j]] = [items[j], items[i]];
  }

  push(item: { rank: number; at: number; joined: number }): void {
    let i = this.items.push(item) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!this.before(i, parent)) break;
      this.swap(i, parent);
      i = parent;
    }
  }

  pop(): { rank: number; at: number; joined: number } | undefined {
    const { items } = this;
    if (items.length === 0) return undefined;
    this.swap(0, items.length - 1);
    const top = items.pop();
    for (let i = 0; ; ) {
      let best = i;
      for (const child of [2 * i + 1, 2 * i + 2])
        if (child < items.length && this.before(child, best)) best = child;
      if (best === i) return top;
      this.swap(i, best);
      i = best;
    }
  }
}

/** Joins the symbols of one piece. */
function joinAll(symbols: readonly number[], table: MergeTable): number[] {
  const n = symbols.length;
  // −1: joined into the one before it.
  const ids = Int32Array.from(symbols);
  const next = Int32Array.from({ length: n }, (_, i) => (i + 1 < n ? i + 1 : -1));
  const previous = Int32Array.from({ length: n }, (_, i) => i - 1);
  const queue = new Queue();
  const offer = (at: number) => {
    const found = table.find(ids[at], ids[next[at]]);
    if (found >= 0) queue.push({ rank: table.ranks[found], at, joined: table.joined[found] });
  };
  for (let at = 0; at + 1 < n; at++) offer(at);
  for (let top = queue.pop(); top !== undefined; top = queue.pop()) {
    const { at, joined } = top;
    const right = next[at];
    if (ids[at] < 0 || right < 0) continue;
    // What stood here may have changed since; where it gives the same token it is joined now, whatever its rank.
    const found = table.find(ids[at], ids[right]);
    if (found < 0 || table.joined[found] !== joined) continue;
    ids[at] = joined;
    ids[right] = -1;
    next[at] = next[right];
    if (next[right] >= 0) previous[next[right]] = at;
    if (previous[at] >= 0) offer(previous[at]);
    if (next[at] >= 0) offer(at);
  }
  return [...ids.filter((id) => id >= 0)];
}

/** @throws InvalidArgument */
export function bpeModel(json: Json, vocabulary: Vocabulary): TokenModel {
  const dropout = json['dropout'] ?? 0;
  if (dropout !== 0)
    throw wrong(
      'model.dropout',
      `expected null (ids that are drawn cannot be learnt from), got ${show(dropout)}`,
    );
  const prefix = textField(json, 'continuing_subword_prefix') ?? '';
  const suffix = textField(json, 'end_of_word_suffix') ?? '';
  const unknown = textField(json, 'unk_token');
  const { fuse_unk: fuse = false, byte_fallback: fallback = false } = json;
  const unknownId = unknown === undefined ? undefined : vocabulary.get(unknown);
  if (unknown !== undefined && unknownId === undefined)
    throw wrong('model.unk_token', `expected a token of the vocabulary, got ${show(unknown)}`);
  const table = tableOf(json['merges'], vocabulary, prefix);
  const whole = json['ignore_merges'] === true;
  return (piece) => {
    const known = whole ? vocabulary.get(piece) : undefined;
    if (known !== undefined) return [known];
    const symbols: number[] = [];
    const characters = Array.from(piece);
    let waiting = false;
    for (const [i, character] of characters.entries()) {
      const text = `${i > 0 ? prefix : ''}${character}${i === characters.length - 1 ? suffix : ''}`;
      const id = vocabulary.get(text);
      if (id !== undefined) {
        if (waiting) symbols.push(unknownId!);
        waiting = false;
        symbols.push(id);
        continue;
      }
      const bytes = fallback === true ? byteTokens(text, vocabulary) : undefined;
      if (bytes) symbols.push(...bytes);
      else if (unknownId !== undefined) {
        if (waiting && fuse !== true) symbols.push(unknownId);
        waiting = true;
      }
    }
    // Unknown characters come when the next known one does: bytes that follow them stand before, as in the reference.
    if (waiting) symbols.push(unknownId!);
    return symbols.length < 2 ? symbols : joinAll(symbols, table);
  };
}
