/** Unigram (Kudo 2018): the pieces whose log-probabilities add up to most. */
import { show } from '@emotune/base';
import { byteTokens, type Json, type TokenModel, type Vocabulary, wrong } from './token-model.js';

interface Node {
  readonly next: Map<string, Node>;
  /** Of the piece that ends here. */
  id?: number;
}

/** What an unknown character costs beside the least likely piece. */
const unknownPenalty = 10;

/** @throws InvalidArgument */
export function unigramModel(json: Json, vocabulary: Vocabulary): TokenModel {
  const { vocab } = json;
  if (!Array.isArray(vocab)) throw wrong('model.vocab', `expected a list of pieces, got ${show(vocab)}`);
  const scores = vocab.map((piece, i) => {
    const score = Array.isArray(piece) ? piece[1] : undefined;
    if (typeof score !== 'number') throw wrong(`model.vocab[${i}]`, `expected a score, got ${show(score)}`);
    return score;
  });
  const unknown = (json['unk_id'] ?? undefined) as number | undefined;
  if (unknown !== undefined && !(Number.isInteger(unknown) && unknown in scores))
    throw wrong('model.unk_id', `expected the place of a piece, got ${show(unknown)}`);
  const fallback = json['byte_fallback'] === true;
  const unknownScore = scores.reduce((least, score) => Math.min(least, score), Infinity) - unknownPenalty;
  const root: Node = { next: new Map() };
  for (const [piece, id] of vocabulary) {
    let node = root;
    for (const character of piece) {
      let child = node.next.get(character);
      if (!child) {
        child = { next: new Map() };
        node.next.set(character, child);
      }
      node = child;
    }
    node.id = id;
  }
  const idOf = (text: string): readonly number[] => {
    const id = vocabulary.get(text);
    if (id !== undefined) return [id];
    const bytes = fallback ? byteTokens(text, vocabulary) : undefined;
    if (bytes) return bytes;
    if (unknown === undefined)
      throw wrong('model.unk_id', `expected the token for ${show(text)}, got nothing`);
    return [unknown];
  };
  return (piece) => {
    const characters = Array.from(piece);
    const n = characters.length;
    // Of the best way to each place: its score, where its last piece begins (−1: none yet) and which that is.
    const best = new Float64Array(n + 1);
    const from = new Int32Array(n + 1).fill(-1);
    const ids = new Int32Array(n + 1);
    const offer = (start: number, end: number, id: number, score: number) => {
      if (from[end] >= 0 && !(score > best[end])) return;
      best[end] = score;
      from[end] = start;
      ids[end] = id;
    };
    for (let start = 0; start < n; start++) {
      let alone = false;
      let node: Node | undefined = root;
      for (let end = start + 1; end <= n; end++) {
        node = node.next.get(characters[end - 1]);
        if (!node) break;
        if (node.id === undefined) continue;
        offer(start, end, node.id, scores[node.id] + best[start]);
        alone ||= end === start + 1;
      }
      if (alone) continue;
      if (unknown === undefined)
        throw wrong('model.unk_id', `expected the token for ${show(characters[start])}, got nothing`);
      offer(start, start + 1, unknown, unknownScore + best[start]);
    }
    // Unknown neighbours are one.
    const parts: string[] = [];
    let open = false;
    for (let end = n; end > 0; end = from[end]) {
      const text = characters.slice(from[end], end).join('');
      const isUnknown = ids[end] === unknown;
      if (isUnknown && open) parts[parts.length - 1] = text + parts[parts.length - 1];
      else parts.push(text);
      open = isUnknown;
    }
    return parts.reverse().flatMap(idOf);
  };
}
