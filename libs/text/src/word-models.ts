/** Vocabularies of words: WordPiece (the longest beginning that is known, again and again) and WordLevel (all or nothing). */
import { show } from '@emotune/base';
import { type Json, type TokenModel, vocabularyOf, wrong } from './token-model.js';

function unknownOf(json: Json, vocabulary: ReadonlyMap<string, number>): () => number {
  const token = (json['unk_token'] ?? '') as string;
  return () => {
    const id = vocabulary.get(token);
    if (id === undefined)
      throw wrong('model.unk_token', `expected a token of the vocabulary, got ${show(token)}`);
    return id;
  };
}

/** @throws InvalidArgument */
export function wordPieceModel(json: Json): TokenModel {
  const vocabulary = vocabularyOf(json);
  const unknown = unknownOf(json, vocabulary);
  const prefix = (json['continuing_subword_prefix'] ?? '##') as string;
  const longest = (json['max_input_chars_per_word'] ?? 100) as number;
  return (word) => {
    const characters = Array.from(word);
    if (characters.length > longest) return [unknown()];
    const ids: number[] = [];
    for (let start = 0; start < characters.length; ) {
      let end = characters.length;
      let id: number | undefined;
      for (; end > start; end--) {
        id = vocabulary.get((start > 0 ? prefix : '') + characters.slice(start, end).join(''));
        if (id !== undefined) break;
      }
      if (id === undefined) return [unknown()];
      ids.push(id);
      start = end;
    }
    return ids;
  };
}

/** @throws InvalidArgument */
export function wordLevelModel(json: Json): TokenModel {
  const vocabulary = vocabularyOf(json);
  const unknown = unknownOf(json, vocabulary);
  return (word) => [vocabulary.get(word) ?? unknown()];
}
