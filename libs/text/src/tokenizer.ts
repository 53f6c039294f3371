/** Tokenizers as Hugging Face publishes them (`tokenizer.json`). */
import { readFile } from 'node:fs/promises';
import { canonicalJson, InvalidArgument, NotFound, sha256, show } from '@emotune/base';
import { Tokenizer as Backend } from '@huggingface/tokenizers';

/** More than any published vocabulary; the library makes a table of this length. */
const largestVocabulary = 2 ** 24;

function unsupported(cause: unknown): InvalidArgument {
  return InvalidArgument.at('tokenizer.json', `expected a supported tokenizer: ${(cause as Error).message}`, {
    cause,
  });
}

export class Tokenizer {
  private constructor(
    private readonly backend: Backend,
    /** SHA-256 of its content: models that share it share their features. */
    readonly hash: string,
    /** One past the largest id. */
    readonly vocabSize: number,
  ) {}

  /** @throws InvalidArgument when the JSON is not a tokenizer's. */
  static parse(json: unknown): Tokenizer {
    const { model, added_tokens: added } = (json ?? {}) as {
      model?: { vocab?: unknown };
      added_tokens?: unknown;
    };
    const vocab = model?.vocab;
    if (typeof vocab !== 'object' || vocab === null)
      throw InvalidArgument.at('tokenizer.json: model.vocab', `expected a vocabulary, got ${show(vocab)}`);
    if (!Array.isArray(added ?? []))
      throw InvalidArgument.at('tokenizer.json: added_tokens', `expected a list, got ${show(added)}`);
    // Unigram lists its pieces, the others name their ids.
    const known = Array.isArray(vocab) ? vocab.map((_, id) => id) : Object.values(vocab);
    const extra = ((added ?? []) as { id?: unknown }[]).map((token) => token?.id);
    let vocabSize = 0;
    for (const id of [...known, ...extra]) {
      if (!Number.isInteger(id) || id < 0 || id >= largestVocabulary)
        throw InvalidArgument.at(
          'tokenizer.json',
          `expected ids of tokens from 0 to ${largestVocabulary - 1}, got ${show(id)}`,
        );
      vocabSize = Math.max(vocabSize, id + 1);
    }
    try {
      const backend = new Backend(json as object, {});
      // Settings that the library has no answer for show only when it works.
      backend.decode(backend.encode('a', { add_special_tokens: false }).ids.concat(0));
      return new Tokenizer(backend, sha256(canonicalJson(json)), vocabSize);
    } catch (cause) {
      throw unsupported(cause);
    }
  }

  /** @throws NotFound, InvalidArgument. */
  static async load(path: string): Promise<Tokenizer> {
    const text = await readFile(path, 'utf8').catch((cause) => {
      throw new NotFound(`expected a tokenizer.json, got ${path} (${cause.code})`, { cause });
    });
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch (cause) {
      throw InvalidArgument.at(path, 'expected JSON', { cause });
    }
    return Tokenizer.parse(json);
  }

  /** Ids of the text's tokens; none are added before or after. @throws InvalidArgument when the tokenizer fails at it. */
  encode(text: string): Int32Array {
    try {
      return Int32Array.from(this.backend.encode(text, { add_special_tokens: false }).ids);
    } catch (cause) {
      throw unsupported(cause);
    }
  }

  /** @throws InvalidArgument when the tokenizer fails at it. */
  decode(ids: ArrayLike<number>): string {
    // The library refuses an empty list.
    if (ids.length === 0) return '';
    try {
      return this.backend.decode(Array.from(ids), {
        skip_special_tokens: true,
        clean_up_tokenization_spaces: false,
      });
    } catch (cause) {
      throw unsupported(cause);
    }
  }

  /** The token of an id as the vocabulary spells it, or undefined. */
  tokenOf(id: number): string | undefined {
    return this.backend.id_to_token(id);
  }

  /** The id of a token, or undefined. */
  idOf(token: string): number | undefined {
    return this.backend.token_to_id(token);
  }
}
