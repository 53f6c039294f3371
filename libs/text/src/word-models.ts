/** Vocabularies of words: WordPiece (the longest beginning that is known, again and again) and WordLevel (all or nothing). */
import { show } from '@emotune/base';
import { checkToken, type Json, type TokenModel, textField, type Vocabulary, wrong } from './token-model.js';

function unknownOf(json: Json, vocabulary: Vocabulary): () => number {
  const token = textField(json, 'unk_token') ?? '';
  return () => {
    const id = vocabulary.get(token);
    if (id === undefined)
      throw wrong('model.unk_token', `expected a token of the vocabulary, got ${show(token)}`);
    return id;
  };
}

const longestWord = 1000;

/** @throws InvalidArgument */
export function wordPieceModel(json: Json, vocabulary: Vocabulary): TokenModel {
  const unknown = unknownOf(json, vocabulary);
  const prefix = textField(json, 'continuing_subword_prefix') ?? '##';
  checkToken('model.continuing_subword_prefix', prefix);
  const longest = (json['max_input_chars_per_word'] ?? 100) as number;
  // Each word costs its square at most.
  if (!(Number.isInteger(longest) && longest >= 0 && longest <= longestWord))
    throw wrong(
      'model.max_input_chars_per_word',
      `expected a number from 0 to ${longestWord}, got ${show(longest)}`,
    );
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
export function wordLevelModel(json: Json, vocabulary: Vocabulary): TokenModel {
  const unknown = unknownOf(json, vocabulary);
  return (word) => [vocabulary.get(word) ?? unknown()];
}
