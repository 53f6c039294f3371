/** Every kind of tokenizer against Hugging Face's own ids: recorded ones of its Python library, and its Node library's live. */
import { readFileSync } from 'node:fs';
import { InvalidArgument } from '@emotune/base';
import fc from 'fast-check';
import { Tokenizer as Library } from 'tokenizers';
import { describe, expect, it } from 'vitest';
import { Tokenizer } from './tokenizer.js';

interface Model {
  readonly settings: object;
  readonly vocab: string;
  readonly merges?: string;
  readonly scores?: string;
}

interface Kind {
  readonly model: string;
  /** Of `<0x00>` and so on, behind the vocabulary. */
  readonly byteTokens?: number;
  readonly settings?: object;
  readonly normalizer?: string;
  readonly pre_tokenizer?: string;
  readonly decoder?: string;
  readonly ids: string;
  readonly firstAdded: number;
}

const recorded: {
  readonly texts: readonly string[];
  readonly models: Readonly<Record<string, Model>>;
  readonly kinds: Readonly<Record<string, Kind>>;
} = JSON.parse(readFileSync(new URL('../data/tokenizer-kinds.json', import.meta.url), 'utf8'));
const { texts, models, kinds } = recorded;

const added = [
  { content: '</s>', special: true },
  { content: '<end>', special: true, lstrip: true, normalized: true },
  { content: '<joy>' },
  { content: '<word>', single_word: true },
  { content: '<left>', lstrip: true, normalized: true },
  { content: '<right>', rstrip: true },
  { content: 'NOW', single_word: true, normalized: true },
].map((token, i) => ({
  ...{ id: i, single_word: false, lstrip: false, rstrip: false, normalized: false, special: false },
  ...token,
}));

function modelOf({ model: name, byteTokens = 0, settings }: Kind): object {
  const { settings: usual, vocab, merges, scores } = models[name];
  const tokens = vocab.split(' ');
  const bytes = Array.from({ length: byteTokens }, (_, byte) => [
    `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
    0,
  ]);
  const numbers = scores?.split(' ').map(Number);
  return {
    ...usual,
    ...settings,
    vocab: numbers
      ? [...tokens.map((token, i) => [token, numbers[i]]), ...bytes]
      : Object.fromEntries(tokens.map((token, i) => [token, i])),
    ...(merges === undefined ? {} : { merges: merges.split('\n').map((merge) => merge.split(' ')) }),
  };
}

function jsonOf(kind: Kind): Record<string, unknown> {
  const part = (text?: string) => (text === undefined ? null : JSON.parse(text));
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added.map((token) => ({ ...token, id: token.id + kind.firstAdded })),
    normalizer: part(kind.normalizer),
    pre_tokenizer: part(kind.pre_tokenizer),
    post_processor: null,
    decoder: part(kind.decoder),
    model: modelOf(kind),
  };
}

const runs = 60;

/** Letters and marks that Unicode 17 has, by which Node judges, and 16 has not, by which the library does. */
const newLetters =
  /[\u088f\u0c5c\u0cdc]|[\u1acf-\u1aeb]|[\ua7ce-\ua7d4\ua7f1\u{10940}-\u{1095f}\u{10ec5}-\u{10efb}\u{11b60}-\u{11b67}\u{11db0}-\u{11def}\u{16ea0}-\u{16edf}\u{16ff2}-\u{16ff6}\u{187f8}-\u{187ff}\u{18d09}-\u{18df2}\u{1e6c0}-\u{1e6ff}\u{2b73a}-\u{2b73f}\u{2cea2}-\u{2cead}\u{323b0}-\u{3347f}]/gu;

describe.each(Object.entries(kinds))('%s', (_, kind) => {
  const json = jsonOf(kind);
  const tokenizer = Tokenizer.parse(json);

  it('gives the ids of tokenizers 0.23.3', () => {
    const ids = kind.ids.split(' | ').map((list) => (list === '' ? [] : list.split(' ').map(Number)));
    expect(texts.map((text) => [...tokenizer.encode(text)])).toEqual(ids);
  });

  it('gives the ids and texts of its library, whatever the text', async () => {
    const library = Library.fromString(JSON.stringify(json));
    const piece = fc.oneof(
      fc.constantFrom(...texts, ...added.map(({ content }) => content), ' ', '\ufeff', '\n'),
      fc.string({ unit: 'binary', maxLength: 8 }),
      fc.string({ unit: 'grapheme', maxLength: 8 }),
    );
    const text = fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join('').replace(newLetters, ''));
    await fc.assert(
      fc.asyncProperty(text, async (given) => {
        const ids = (await library.encode(given, null, { addSpecialTokens: false })).getIds();
        expect([...tokenizer.encode(given)]).toEqual(ids);
        expect(tokenizer.decode(ids)).toBe(await library.decode(ids, true));
      }),
      { numRuns: runs },
    );
  });
});

describe('what is not computed', () => {
  const bytes = jsonOf(kinds['byte-level']);
  it.each([
    ['tokenizer.json: normalizer: expected what', { normalizer: { type: 'Fancy' } }],
    ['tokenizer.json: pre_tokenizer: expected what', { pre_tokenizer: { type: 'ByLine' } }],
    [
      'tokenizer.json: pre_tokenizer: Split: pattern: expected a regular expression, got "("',
      { pre_tokenizer: { type: 'Split', pattern: { Regex: '(' }, behavior: 'Isolated', invert: false } },
    ],
    ['tokenizer.json: post_processor: expected what', { post_processor: { type: 'Later' } }],
    ['tokenizer.json: decoder: expected what', { decoder: { type: 'Loud' } }],
    [
      'tokenizer.json: model.type: expected BPE',
      { model: { ...(bytes['model'] as object), type: 'Trigram' } },
    ],
    [
      'model.merges[0]: expected a second token that begins with continuing_subword_prefix ("#######"), got',
      { model: { ...(bytes['model'] as object), continuing_subword_prefix: '#######' } },
    ],
    ['model.dropout: expected null', { model: { ...(bytes['model'] as object), dropout: 0.1 } }],
    ['added_tokens[0]: expected a token with content', { added_tokens: [{ id: 1, content: '<x>' }] }],
  ])('is refused by name: %s', (message, change) => {
    expect(() => Tokenizer.parse({ ...bytes, ...change })).toThrow(InvalidArgument);
    expect(() => Tokenizer.parse({ ...bytes, ...change })).toThrow(message);
  });
});

describe('special tokens', () => {
  const bytes = jsonOf(kinds['byte-level']);
  const begins = {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<end>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
    special_tokens: { '<end>': { id: '<end>', ids: [331], tokens: ['<end>'] } },
  };

  it('stand before a text as the post-processor says, and never behind it', () => {
    expect(Tokenizer.parse(bytes).beginning).toEqual([]);
    expect(Tokenizer.parse({ ...bytes, post_processor: begins }).beginning).toEqual([331]);
    const ends = { ...begins, single: [...begins.single].reverse() };
    expect(Tokenizer.parse({ ...bytes, post_processor: ends }).beginning).toEqual([]);
    const both = { type: 'Sequence', processors: [JSON.parse(kinds['byte-level'].pre_tokenizer!), begins] };
    expect(Tokenizer.parse({ ...bytes, post_processor: both }).beginning).toEqual([331]);
  });

  it('end a sequence as the model says, else as families spell it', () => {
    expect(Tokenizer.parse(bytes).endOfSequence).toBe(330);
    expect(Tokenizer.parse(bytes, { endOfSequence: 333 }).endOfSequence).toBe(333);
    const none = { ...bytes, added_tokens: [] };
    expect(Tokenizer.parse(none).endOfSequence).toBeUndefined();
  });

  it('are part of what models share their features by', () => {
    const hashes = [
      Tokenizer.parse(bytes),
      Tokenizer.parse(bytes, { endOfSequence: 333 }),
      Tokenizer.parse({ ...bytes, post_processor: begins }),
      Tokenizer.parse({ ...bytes, post_processor: begins }, { endOfSequence: 333 }),
    ].map(({ hash }) => hash);
    expect(new Set(hashes).size).toBe(4);
    expect(Tokenizer.parse(bytes, { endOfSequence: 330 }).hash).toBe(hashes[0]);
  });
});
