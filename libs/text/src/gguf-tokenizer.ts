/**
 * The tokenizer inside a GGUF file (`tokenizer.ggml.*`) in the terms of Hugging Face: `tokenizer.json` and
 * `tokenizer_config.json`. Two kinds: byte-level BPE with merges ("gpt2"), and SentencePiece's BPE with a score for each
 * piece ("llama"), whose merges are the splits of each piece into two others, best score first.
 */
import { InvalidArgument, show } from '@emotune/base';
import { addedToken, bpeModel } from './tokenizer-json.js';

export type GgufMetadata = ReadonlyMap<string, unknown>;

/** What a token is, as llama.cpp numbers it; `unused` and normal ones (1, 5) are found by merging alone. */
const kinds = { unknown: 2, control: 3, userDefined: 4, byte: 6 } as const;

/** Splitting a longer piece into all its pairs would take its square; real ones have at most a few dozen. */
const longestPiece = 1024;

type Json = Record<string, unknown>;

const split = (regex: string): Json => ({
  type: 'Split',
  pattern: { Regex: regex },
  behavior: 'Isolated',
  invert: false,
});
const byteLevel = (useRegex: boolean): Json => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
});
const sequence = (...pretokenizers: Json[]): Json => ({ type: 'Sequence', pretokenizers });

/** Words as OpenAI's cl100k splits them, with runs of up to `digits` digits. */
const wordsOf = (digits: string): Json =>
  sequence(
    split(
      `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`,
    ),
    byteLevel(false),
  );
const digitsApart = sequence({ type: 'Digits', individual_digits: true }, byteLevel(true));
const llama3 = { preTokenizer: wordsOf('{1,3}'), ignoreMerges: true, addBos: true };

interface Splitting {
  readonly preTokenizer: Json;
  readonly normalizer?: Json;
  /** Words that are tokens stay whole, whatever the merges give. */
  readonly ignoreMerges?: boolean;
  /** Unless the file says otherwise. */
  readonly addBos?: boolean;
}

/** How text is split before the merges, by `tokenizer.ggml.pre` (llama-vocab.cpp). */
const splittings: Record<string, Splitting> = {
  'gpt-2': { preTokenizer: byteLevel(true) },
  smollm: { preTokenizer: digitsApart },
  starcoder: { preTokenizer: digitsApart },
  refact: { preTokenizer: digitsApart },
  'llama-bpe': llama3,
  'llama-v3': llama3,
  llama3,
  qwen2: { preTokenizer: wordsOf(''), normalizer: { type: 'NFC' } },
  bloom: { preTokenizer: sequence(split(' ?[^(\\s|.,!?…。，、।۔،)]+'), byteLevel(false)) },
};

/** Checked access to `tokenizer.ggml.*`. */
class Fields {
  constructor(private readonly metadata: GgufMetadata) {}

  wrong(key: string, description: string): InvalidArgument {
    return InvalidArgument.at(`tokenizer.ggml.${key}`, description);
  }

  get(key: string): unknown {
    return this.metadata.get(`tokenizer.ggml.${key}`);
  }

  strings(key: string): readonly string[] {
    const value = this.get(key);
    if (!Array.isArray(value) || !value.every((text) => typeof text === 'string'))
      throw this.wrong(
        key,
        `expected a list of strings, got ${value === undefined ? 'nothing' : 'another type'}`,
      );
    return value;
  }

  /** A list of numbers, one for each token. */
  numbers(key: string, length: number): ArrayLike<number> {
    const value = this.get(key) as ArrayLike<number> & { BYTES_PER_ELEMENT?: number };
    if (!ArrayBuffer.isView(value) || typeof (value as ArrayLike<unknown>)[0] === 'bigint')
      throw this.wrong(
        key,
        `expected a list of numbers, got ${value === undefined ? 'nothing' : 'another type'}`,
      );
    if (value.length !== length)
      throw this.wrong(key, `expected one for each of the ${length} tokens, got ${value.length}`);
    return value;
  }

  flag(key: string, absent: boolean): boolean {
    const value = this.get(key) ?? absent;
    if (typeof value !== 'boolean') throw this.wrong(key, `expected true or false, got ${show(value)}`);
    return value;
  }

  /** The token that an id names. */
  token(key: string, tokens: readonly string[]): string | undefined {
    const id = this.get(key);
    if (id === undefined) return undefined;
    if (typeof id !== 'number' || !(id in tokens))
      throw this.wrong(
        key,
        `expected an id below ${tokens.length}, got ${show(typeof id === 'object' ? 'a list' : id)}`,
      );
    return tokens[id];
  }
}

function vocabularyOf(fields: Fields, tokens: readonly string[]): Map<string, number> {
  const vocabulary = new Map(tokens.map((token, id) => [token, id]));
  if (vocabulary.size !== tokens.length) {
    const id = tokens.findIndex((token, at) => vocabulary.get(token) !== at);
    throw fields.wrong(
      `tokens[${id}]`,
      `expected each token once, got ${show(tokens[id])} again as ${vocabulary.get(tokens[id])}`,
    );
  }
  return vocabulary;
}

function addedTokens(tokens: readonly string[], types: ArrayLike<number>): Json[] {
  return tokens.flatMap((content, id) =>
    types[id] === kinds.control || types[id] === kinds.unknown || types[id] === kinds.userDefined
      ? [addedToken(id, content, types[id] !== kinds.userDefined)]
      : [],
  );
}

/** Adds the beginning of the sequence where tools ask for special tokens. */
function bosProcessor(fields: Fields, tokens: readonly string[], absent: boolean): Json | null {
  const bos = fields.token('bos_token_id', tokens);
  if (bos === undefined || !fields.flag('add_bos_token', absent)) return null;
  const special = { SpecialToken: { id: bos, type_id: 0 } };
  const text = (id: string, type: number) => ({ Sequence: { id, type_id: type } });
  return {
    type: 'TemplateProcessing',
    single: [special, text('A', 0)],
    pair: [special, text('A', 0), { SpecialToken: { id: bos, type_id: 1 } }, text('B', 1)],
    special_tokens: { [bos]: { id: bos, ids: [tokens.indexOf(bos)], tokens: [bos] } },
  };
}

function parseMerges(fields: Fields, vocabulary: ReadonlyMap<string, number>): [string, string][] {
  return fields.strings('merges').map((merge, i) => {
    const at = merge.indexOf(' ', 1);
    const pair: [string, string] = [merge.slice(0, at), merge.slice(at + 1)];
    if (at < 0 || ![...pair, pair.join('')].every((token) => vocabulary.has(token)))
      throw fields.wrong(`merges[${i}]`, `expected two tokens that make a third, got ${show(merge)}`);
    return pair;
  });
}

/** Merges of SentencePiece's BPE in the order of transformers' converter: score, then longer parts, then lower ids. */
function scoredMerges(
  fields: Fields,
  tokens: readonly string[],
  types: ArrayLike<number>,
  vocabulary: ReadonlyMap<string, number>,
): [string, string][] {
  const scores = fields.numbers('scores', tokens.length);
  const found: {
    left: string;
    right: string;
    score: number;
    sizes: [number, number];
    ids: [number, number];
  }[] = [];
  for (const [id, token] of tokens.entries()) {
    if (types[id] === kinds.control || types[id] === kinds.unknown || types[id] === kinds.byte) continue;
    const characters = Array.from(token);
    if (characters.length > longestPiece)
      throw fields.wrong(
        `tokens[${id}]`,
        `expected at most ${longestPiece} characters, got ${characters.length}`,
      );
    const pairs = [];
    for (let at = 1; at < characters.length; at++) {
      const left = characters.slice(0, at).join('');
      const right = characters.slice(at).join('');
      const ids = [vocabulary.get(left), vocabulary.get(right)];
      if (ids[0] === undefined || ids[1] === undefined) continue;
      pairs.push({
        left,
        right,
        score: scores[id],
        sizes: [at, characters.length - at] as [number, number],
        ids: ids as [number, number],
      });
    }
    found.push(...pairs.sort((p, q) => p.ids[0] - q.ids[0] || p.ids[1] - q.ids[1]));
  }
  if (found.some(({ score }) => Number.isNaN(score)))
    throw fields.wrong('scores', 'expected numbers, got NaN');
  // Infinite scores of the same sign are equal; their difference would be NaN.
  const byScore = (p: number, q: number) => (p === q ? 0 : q > p ? 1 : -1);
  found.sort((p, q) => byScore(p.score, q.score) || q.sizes[0] - p.sizes[0] || q.sizes[1] - p.sizes[1]);
  return found.map(({ left, right }) => [left, right]);
}

function byteLevelJson(fields: Fields): Json {
  const tokens = fields.strings('tokens');
  const types = fields.numbers('token_type', tokens.length);
  const vocabulary = vocabularyOf(fields, tokens);
  const pre = fields.get('pre');
  if (typeof pre !== 'string' || !Object.hasOwn(splittings, pre))
    throw fields.wrong(
      'pre',
      `expected one of ${Object.keys(splittings).join(', ')}, got ${show(typeof pre === 'object' ? 'a list' : pre)}; put the model's tokenizer.json beside the file`,
    );
  const { preTokenizer, normalizer, ignoreMerges, addBos } = splittings[pre];
  if (fields.flag('add_space_prefix', false))
    throw fields.wrong('add_space_prefix', `expected false for a tokenizer with pre ${show(pre)}, got true`);
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens(tokens, types),
    normalizer: normalizer ?? null,
    pre_tokenizer: preTokenizer,
    post_processor: bosProcessor(fields, tokens, addBos ?? false),
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: bpeModel({
      vocab: Object.fromEntries(vocabulary),
      merges: parseMerges(fields, vocabulary),
      ignoreMerges,
    }),
  };
}

function sentencePieceJson(fields: Fields): Json {
  const tokens = fields.strings('tokens');
  const types = fields.numbers('token_type', tokens.length);
  const vocabulary = vocabularyOf(fields, tokens);
  const unknown =
    fields.token('unknown_token_id', tokens) ?? tokens.find((_, id) => types[id] === kinds.unknown);
  if (unknown === undefined)
    throw fields.wrong('unknown_token_id', 'expected the token for what the vocabulary lacks, got nothing');
  for (const key of ['remove_extra_whitespaces', 'escape_whitespaces'] as const) {
    const want = key === 'escape_whitespaces';
    if (fields.flag(key, want) !== want)
      throw fields.wrong(key, `expected ${want} (anything else is not supported), got ${!want}`);
  }
  if (fields.get('precompiled_charsmap') !== undefined)
    throw fields.wrong('precompiled_charsmap', 'expected no character map, which is not supported, got one');
  const prefix = fields.flag('add_space_prefix', true);
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens(tokens, types),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        ...(prefix ? [{ type: 'Prepend', prepend: '▁' }] : []),
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: bosProcessor(fields, tokens, true),
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(prefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: bpeModel({
      vocab: Object.fromEntries(vocabulary),
      merges: scoredMerges(fields, tokens, types, vocabulary),
      unknown,
    }),
  };
}

/** The `tokenizer.json` of a GGUF file. @throws InvalidArgument naming the field that is damaged or not supported. */
export function ggufTokenizerJson(metadata: GgufMetadata): Json {
  const fields = new Fields(metadata);
  const model = fields.get('model');
  if (model === 'gpt2') return byteLevelJson(fields);
  if (model === 'llama') return sentencePieceJson(fields);
  throw fields.wrong(
    'model',
    `expected gpt2 or llama, got ${show(typeof model === 'object' ? 'a list' : model)}; put the model's tokenizer.json beside the file`,
  );
}

/** The `tokenizer_config.json` of a GGUF file: special tokens by their role, and the chat template where there is one. */
export function ggufTokenizerConfig(metadata: GgufMetadata): Json {
  const fields = new Fields(metadata);
  const tokens = fields.strings('tokens');
  const template = metadata.get('tokenizer.chat_template');
  if (template !== undefined && typeof template !== 'string')
    throw InvalidArgument.at('tokenizer.chat_template', 'expected text, got another type');
  const roles = { bos: 'bos', eos: 'eos', unknown: 'unk', padding: 'pad' };
  return {
    tokenizer_class: 'PreTrainedTokenizerFast',
    clean_up_tokenization_spaces: false,
    ...Object.fromEntries(
      Object.entries(roles).flatMap(([role, name]) => {
        const token = fields.token(`${role}_token_id`, tokens);
        return token === undefined ? [] : [[`${name}_token`, token]];
      }),
    ),
    ...(template === undefined ? {} : { chat_template: template }),
  };
}
