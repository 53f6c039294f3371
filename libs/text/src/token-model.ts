/** The `model` of a `tokenizer.json`: from a piece of text to ids, as Hugging Face's tokenizers (Rust) has it. */
import { InvalidArgument, show } from '@emotune/base';

export type Json = Readonly<Record<string, unknown>>;

/** Ids of one piece of text, which is never empty. @throws InvalidArgument where the vocabulary has no id for it. */
export type TokenModel = (piece: string) => readonly number[];

export function wrong(field: string, description: string): InvalidArgument {
  return InvalidArgument.at(`tokenizer.json: ${field}`, description);
}

/** More than any published vocabulary. */
const largestVocabulary = 2 ** 24;
/** Looking for a token costs its length at every place of a text. */
const longestToken = 1024;

export type Vocabulary = ReadonlyMap<string, number>;

/** Tokens by name, or, as Unigram lists them, by place. @throws InvalidArgument */
export function vocabularyOf({ vocab }: Json): Vocabulary {
  if (typeof vocab !== 'object' || vocab === null)
    throw wrong('model.vocab', `expected a vocabulary, got ${show(vocab)}`);
  const vocabulary = new Map<string, number>();
  const add = (token: unknown, id: unknown) => {
    if (
      typeof token !== 'string' ||
      !Number.isInteger(id) ||
      (id as number) < 0 ||
      (id as number) >= largestVocabulary
    )
      throw wrong(
        'model.vocab',
        `expected ids of tokens from 0 to ${largestVocabulary - 1}, got ${show(id)} for ${show(token)}`,
      );
    checkToken('model.vocab', token);
    vocabulary.set(token, id as number);
  };
  if (Array.isArray(vocab))
    for (const [id, piece] of vocab.entries()) add(Array.isArray(piece) ? piece[0] : piece, id);
  else for (const token of Object.keys(vocab)) add(token, (vocab as Json)[token]);
  return vocabulary;
}

/** @throws InvalidArgument for one that is too long. */
export function checkToken(field: string, token: string): void {
  if (token.length > longestToken)
    throw wrong(
      field,
      `expected tokens of at most ${longestToken} characters, got one of ${token.length}: ${show(token)}`,
    );
}

/** A field of a `model` that holds a text; undefined where it holds none. @throws InvalidArgument */
export function textField(json: Json, name: string): string | undefined {
  const value = json[name] ?? undefined;
  if (value !== undefined && typeof value !== 'string')
    throw wrong(`model.${name}`, `expected text, got ${show(value)}`);
  return value;
}

/** `<0x0A>` and the like, where the vocabulary has one for each byte of the text. */
export function byteTokens(text: string, vocabulary: Vocabulary): number[] | undefined {
  const ids: number[] = [];
  for (const byte of Buffer.from(text)) {
    const id = vocabulary.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
    if (id === undefined) return undefined;
    ids.push(id);
  }
  return ids;
}
