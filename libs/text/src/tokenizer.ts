/** Tokenizers as Hugging Face publishes them (`tokenizer.json`). */
import { readFile } from 'node:fs/promises';
import { canonicalJson, InvalidArgument, NotFound, sha256, show } from '@emotune/base';
import { Tokenizer as Backend } from '@huggingface/tokenizers';

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
      model?: { vocab?: Record<string, number> };
      added_tokens?: { id: number }[];
    };
    if (model?.vocab === undefined || typeof model.vocab !== 'object') {
      throw InvalidArgument.at(
        'tokenizer.json: model.vocab',
        `expected a vocabulary, got ${show(model?.vocab)}`,
      );
    }
    const ids = [...Object.values(model.vocab), ...(added ?? []).map(({ id }) => id)];
    try {
      const vocabSize = ids.reduce((top, id) => Math.max(top, id + 1), 0);
      return new Tokenizer(new Backend(json as object, {}), sha256(canonicalJson(json)), vocabSize);
    } catch (cause) {
      throw InvalidArgument.at(
        'tokenizer.json',
        `expected a supported tokenizer: ${(cause as Error).message}`,
        { cause },
      );
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

  /** Ids of the text's tokens; none are added before or after. */
  encode(text: string): Int32Array {
    return Int32Array.from(this.backend.encode(text, { add_special_tokens: false }).ids);
  }

  decode(ids: ArrayLike<number>): string {
    // The library refuses an empty list.
    if (ids.length === 0) return '';
    return this.backend.decode(Array.from(ids), {
      skip_special_tokens: true,
      clean_up_tokenization_spaces: false,
    });
  }

  /** The id of a token, or undefined. */
  idOf(token: string): number | undefined {
    return this.backend.token_to_id(token);
  }
}
