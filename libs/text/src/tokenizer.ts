/**
 * Tokenizers as Hugging Face publishes them (`tokenizer.json`), to the same ids. Normalizer, pre-tokenizer and decoder are
 * those of Hugging Face's own library, with its Unicode tables, but for what a file may make slow or large without an end; added
 * tokens and the model are ours, since the library answers for whole texts only later (`await`), and its pieces at once.
 */
import { canonicalJson, InvalidArgument, NotFound, sha256, show } from '@emotune/base';
import { type AddedToken, addedTokensOf, type Segment, splitter } from './added-tokens.js';
import { bpeModel } from './bpe-model.js';
import { decoderOf } from './decoder.js';
import { Effort } from './effort.js';
import { libraryWith } from './library-part.js';
import { objectIn, textAt } from './model-file.js';
import { type Normalize, normalizerOf } from './normalizer.js';
import { preTokenizerOf, type Split } from './pre-tokenizer.js';
import { type Json, type TokenModel, type Vocabulary, vocabularyOf, wrong } from './token-model.js';
import { unigramModel } from './unigram-model.js';
import { wordLevelModel, wordPieceModel } from './word-models.js';

const models: Readonly<Record<string, (json: Json, vocabulary: Vocabulary) => TokenModel>> = {
  BPE: bpeModel,
  Unigram: unigramModel,
  WordPiece: wordPieceModel,
  WordLevel: wordLevelModel,
};

/** The ids that stand before a text, by the template of the post-processor. */
function beginningOf(processor: unknown): number[] {
  const {
    type,
    single,
    special_tokens: named,
    processors,
  } = (processor ?? {}) as {
    type?: string;
    single?: { SpecialToken?: { id: string } }[];
    special_tokens?: Record<string, { ids: number[] }>;
    processors?: unknown[];
  };
  if (type === 'Sequence')
    return (processors ?? []).map(beginningOf).findLast(({ length }) => length > 0) ?? [];
  if (type !== 'TemplateProcessing') return [];
  const tokens = single!.map(({ SpecialToken: special }) => special?.id);
  return tokens.slice(0, tokens.indexOf(undefined)).flatMap((token) => named![token!].ids);
}

/** Ends of sequence as model families spell them; the first that is known counts where the model's files name none. */
const endSpellings = ['</s>', '<|end_of_text|>', '<|endoftext|>', '<eos>'];

/** The end of sequence where nothing but its spelling tells. */
export function usualEndOfSequence(
  idOf: (token: string) => number | undefined,
): { readonly token: string; readonly id: number } | undefined {
  for (const token of endSpellings) {
    const id = idOf(token);
    if (id !== undefined) return { token, id };
  }
  return undefined;
}

/** @throws InvalidArgument when it is nested deeper than anything here reads. */
function contentOf(json: object): string {
  try {
    return canonicalJson(json);
  } catch (cause) {
    throw InvalidArgument.at('tokenizer.json', 'expected JSON that is nested less deep', { cause });
  }
}

/** Words whose ids are kept. */
const keptWords = 50_000;
const longestKept = 64;

export interface TokenizerOptions {
  /** The id that ends a sequence, as the model's config names it. */
  readonly endOfSequence?: number | undefined;
}

export class Tokenizer {
  private readonly words = new Map<string, readonly number[]>();

  private constructor(
    private readonly normalize: Normalize,
    private readonly splitAsIs: (text: string) => Segment[],
    private readonly splitNormalized: (text: string) => Segment[],
    private readonly split: Split,
    private readonly model: TokenModel,
    private readonly join: (tokens: string[]) => string,
    private readonly ids: ReadonlyMap<string, number>,
    private readonly tokens: ReadonlyMap<number, string>,
    private readonly special: ReadonlySet<string>,
    /** SHA-256 of what decides the ids of a question and its answer: models that share it share their features. */
    readonly hash: string,
    /** One past the largest id. */
    readonly vocabSize: number,
    /** What every text begins with, as the tokenizer's post-processor says: often the beginning of the sequence, or nothing. */
    readonly beginning: readonly number[],
    /** The id that ends a sequence; undefined where neither the model's files nor a usual spelling tell. */
    readonly endOfSequence: number | undefined,
  ) {}

  /** @throws InvalidArgument when the JSON is not a tokenizer's, or holds a part that is not computed here. */
  static parse(json: unknown, options: TokenizerOptions = {}): Tokenizer {
    if (typeof json !== 'object' || json === null || Array.isArray(json))
      throw InvalidArgument.at('tokenizer.json', `expected an object, got ${show(json)}`);
    const content = contentOf(json);
    const file = json as Json;
    const model = (typeof file['model'] === 'object' && file['model'] !== null ? file['model'] : {}) as Json;
    const vocabulary = vocabularyOf(model);
    const size = Array.isArray(model['vocab']) ? model['vocab'].length : vocabulary.size;
    const added = addedTokensOf(file['added_tokens'], { vocabulary, size });
    const { type = 'merges' in model ? 'BPE' : Array.isArray(model['vocab']) ? 'Unigram' : '' } = model;
    if (typeof type !== 'string' || !Object.hasOwn(models, type))
      throw wrong('model.type', `expected ${Object.keys(models).join(', ')}, got ${show(model['type'])}`);
    const normalizer = normalizerOf(file['normalizer']);
    const normalize = (text: string) => normalizer(text, new Effort(text.length));
    const split = preTokenizerOf(file['pre_tokenizer']);
    libraryWith('post_processor', file['post_processor']);
    const ids = new Map(vocabulary);
    const tokens = new Map<number, string>();
    for (const [token, id] of vocabulary) tokens.set(id, token);
    for (const { content, id, normalized } of added) {
      ids.set(content, id);
      // A normalized token is written as the normalizer has it.
      tokens.set(id, normalized ? normalize(content) : content);
    }
    const of = (normalized: boolean) => added.filter((token: AddedToken) => token.normalized === normalized);
    const beginning = beginningOf(file['post_processor']);
    const spelt = usualEndOfSequence((token) => ids.get(token))?.id;
    const endOfSequence = options.endOfSequence ?? spelt;
    // Those whose texts begin with nothing and end by their spelling go by their content alone, as they always did.
    const plain = beginning.length === 0 && endOfSequence === spelt;
    return new Tokenizer(
      normalizer,
      splitter(of(false)),
      splitter(of(true), normalize),
      split,
      models[type](model, vocabulary),
      decoderOf(file['decoder']),
      ids,
      tokens,
      new Set(added.filter(({ special }) => special).map((token) => token.content)),
      sha256(plain ? content : canonicalJson({ tokenizer: sha256(content), beginning, endOfSequence })),
      [...tokens.keys()].reduce((size, id) => Math.max(size, id + 1), 0),
      beginning,
      endOfSequence,
    );
  }

  /** @throws NotFound, InvalidArgument. */
  static async load(path: string, options: TokenizerOptions = {}): Promise<Tokenizer> {
    const text = await textAt(path);
    if (text === undefined) throw new NotFound(`expected a tokenizer.json, got none at ${path}`);
    return Tokenizer.parse(objectIn(path, text), options);
  }

  private wordIds(word: string): readonly number[] {
    const known = this.words.get(word);
    if (known) return known;
    const ids = this.model(word);
    if (word.length <= longestKept) {
      if (this.words.size >= keptWords) this.words.clear();
      this.words.set(word, ids);
    }
    return ids;
  }

  /**
   * Ids of the text's tokens; none are added before or after.
   * @throws InvalidArgument when the tokenizer fails at it, or would take longer or write more than one may for such a text.
   */
  encode(text: string): Int32Array {
    const ids: number[] = [];
    const effort = new Effort(text.length);
    let begins = true;
    for (const raw of this.splitAsIs(text.replace(/\p{Surrogate}/gu, '\ufffd'))) {
      if (raw.id !== undefined) ids.push(raw.id);
      else
        for (const segment of this.splitNormalized(this.normalize(raw.text, effort))) {
          if (segment.id !== undefined) ids.push(segment.id);
          else
            for (const word of this.split(segment.text, begins, effort))
              for (const id of this.wordIds(word)) ids.push(id);
          begins = false;
        }
      begins = false;
    }
    return Int32Array.from(ids);
  }

  /** @throws InvalidArgument when the tokenizer fails at it. */
  decode(ids: ArrayLike<number>): string {
    const tokens = Array.from(ids, (id) => this.tokens.get(id));
    return this.join(tokens.filter((token) => token !== undefined && !this.special.has(token)) as string[]);
  }

  /** The token of an id as the vocabulary spells it, or undefined. */
  tokenOf(id: number): string | undefined {
    return this.tokens.get(id);
  }

  /** The id of a token, or undefined. */
  idOf(token: string): number | undefined {
    return this.ids.get(token);
  }
}
