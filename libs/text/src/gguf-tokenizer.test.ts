import { InvalidArgument } from '@emotune/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { trainBpe } from './bpe.js';
import { ggufTokenizerConfig, ggufTokenizerJson } from './gguf-tokenizer.js';
import { Tokenizer } from './tokenizer.js';

const control = 3;
const metadataOf = (entries: Record<string, unknown>) =>
  new Map(Object.entries(entries).map(([key, value]) => [`tokenizer.ggml.${key}`, value]));

const texts = ['the cat sat on the mat', 'a glad cat is not a sad cat, at 12:30', 'naïve café, ça va? 🙂'];
const trained = trainBpe(texts, { vocabSize: 300, specialTokens: ['<s>', '</s>', '<pad>'] });
const model = trained['model'] as { vocab: Record<string, number>; merges: [string, string][] };
const byId = Object.entries(model.vocab).sort(([, p], [, q]) => p - q);
const names = [
  '<s>',
  '</s>',
  '<pad>',
  ...byId.map(([token]) => token).filter((t) => !/^<(s|\/s|pad)>$/.test(t)),
];
const byteLevel = {
  model: 'gpt2',
  pre: 'smollm',
  tokens: names,
  token_type: Int32Array.from(names, (_, id) => (id < 3 ? control : 1)),
  merges: model.merges.map((pair) => pair.join(' ')),
  bos_token_id: 0,
  eos_token_id: 1,
};

describe('a byte-level tokenizer in GGUF', () => {
  it('splits text as the tokenizer.json that it came from', () => {
    const original = Tokenizer.parse(trained);
    const tokenizer = Tokenizer.parse(ggufTokenizerJson(metadataOf(byteLevel)));
    expect(tokenizer.vocabSize).toBe(names.length);
    fc.assert(
      fc.property(fc.oneof(fc.constantFrom(...texts), fc.string({ unit: 'grapheme' })), (text) => {
        expect(tokenizer.encode(text)).toEqual(original.encode(text));
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(original.decode(original.encode(text)));
      }),
      { numRuns: 200 },
    );
    expect([...tokenizer.encode('<s>a</s>')].slice(0, 1)).toEqual([0]);
  });

  it.each(['gpt-2', 'llama-bpe', 'qwen2', 'bloom', 'starcoder'])('gives back any text with %s', (pre) => {
    const tokenizer = Tokenizer.parse(ggufTokenizerJson(metadataOf({ ...byteLevel, pre })));
    for (const text of [...texts, "I'M 1234, isn't it?\r\n\n  yes (no)   ", '…!?。'])
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text.normalize('NFC'));
  });

  it('says where the special tokens go and what the chat template is', () => {
    const more = { ...byteLevel, add_bos_token: true, padding_token_id: 2 };
    expect(ggufTokenizerJson(metadataOf(more))['post_processor']).toMatchObject({
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>' } }, { Sequence: { id: 'A' } }],
    });
    expect(ggufTokenizerJson(metadataOf(byteLevel))['post_processor']).toBeNull();
    const metadata = new Map<string, unknown>(metadataOf(more)).set('tokenizer.chat_template', '{{ x }}');
    expect(ggufTokenizerConfig(metadata)).toEqual({
      tokenizer_class: 'PreTrainedTokenizerFast',
      clean_up_tokenization_spaces: false,
      bos_token: '<s>',
      eos_token: '</s>',
      pad_token: '<pad>',
      chat_template: '{{ x }}',
    });
  });

  it.each([
    [{ model: 'bert' }, 'tokenizer.ggml.model: expected gpt2 or llama, got "bert"'],
    [{ model: undefined }, 'tokenizer.ggml.model: expected gpt2 or llama, got nothing'],
    [{ pre: 'tekken' }, 'tokenizer.ggml.pre: expected one of gpt-2, smollm'],
    [{ pre: 'toString' }, "put the model's tokenizer.json beside the file"],
    [{ tokens: undefined }, 'tokenizer.ggml.tokens: expected a list of strings, got nothing'],
    [{ tokens: Int32Array.of(1) }, 'tokenizer.ggml.tokens: expected a list of strings'],
    [{ token_type: Int32Array.of(1) }, 'tokenizer.ggml.token_type: expected one for each'],
    [
      { tokens: names.map((n, id) => (id === 9 ? '<s>' : n)) },
      'tokenizer.ggml.tokens[0]: expected each token once, got "<s>" again as 9',
    ],
    [{ merges: ['zz yy'] }, 'tokenizer.ggml.merges[0]: expected two tokens that make a third, got "zz yy"'],
    [{ merges: ['x'] }, 'tokenizer.ggml.merges[0]'],
    [{ bos_token_id: 4000, add_bos_token: true }, 'tokenizer.ggml.bos_token_id: expected an id below'],
    [{ add_bos_token: 3 }, 'tokenizer.ggml.add_bos_token: expected true or false, got 3'],
    [{ add_space_prefix: true }, 'tokenizer.ggml.add_space_prefix: expected false'],
  ])('is refused with %j', (change, message) => {
    expect(() => ggufTokenizerJson(metadataOf({ ...byteLevel, ...change }))).toThrow(message);
  });
});

/** Trained by sentencepiece 0.2.3 (BPE, byte_fallback, identity normalisation) on five sentences of our own. */
const pieces =
  '▁s nd he ▁a ▁t ▁the ▁r ▁sm of ai ed il ou ain and ound ▁and ▁rain ▁smil ▁sound al ay ea on ▁b all oof ▁of ▁on ▁sea ▁band ▁roof ▁small ▁smiled ▁sounds ik pl ▁d ▁l ike ▁at ▁pl ayed ▁day ▁ a e n s d o l h t i m r f u y , b k p'.split(
    ' ',
  );
const bytes = Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`);
const sentencePieces = {
  model: 'llama',
  pre: 'default',
  tokens: ['<unk>', '<s>', '</s>', ...bytes, ...pieces],
  token_type: Int32Array.from({ length: 3 + 256 + pieces.length }, (_, id) =>
    id === 0 ? 2 : id < 3 ? control : id < 259 ? 6 : 1,
  ),
  scores: Float32Array.from({ length: 3 + 256 + pieces.length }, (_, id) => (id < 259 ? 0 : 259 - id)),
  bos_token_id: 1,
  eos_token_id: 2,
  unknown_token_id: 0,
};

describe('a SentencePiece tokenizer in GGUF', () => {
  const tokenizer = Tokenizer.parse(ggufTokenizerJson(metadataOf(sentencePieces)));

  // Ids of sentencepiece 0.2.3 for the same model.
  it.each([
    ['the small sea', [264, 291, 288]],
    ['  rain  and\tsand', [303, 303, 276, 303, 275, 12, 307, 273]],
    ['naïve 🙂 rain', [303, 306, 304, 198, 178, 121, 305, 303, 243, 162, 156, 133, 276]],
    ['smiles roofed. 12', [277, 305, 307, 290, 269, 49, 303, 52, 53]],
    ['the sea of rainsounds', [264, 288, 286, 276, 307, 274, 307]],
  ])('splits %j as sentencepiece does', (text, ids) => {
    expect([...tokenizer.encode(text)]).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(text);
  });

  it('does without the space before the text where the file says so', () => {
    const without = Tokenizer.parse(
      ggufTokenizerJson(metadataOf({ ...sentencePieces, add_space_prefix: false })),
    );
    expect([...without.encode('sand')]).toEqual([307, 273]);
    expect(without.decode([276])).toBe(' rain');
  });

  it.each([
    [{ scores: undefined }, 'tokenizer.ggml.scores: expected a list of numbers, got nothing'],
    [{ scores: BigInt64Array.of(1n) }, 'tokenizer.ggml.scores: expected a list of numbers'],
    [
      { scores: sentencePieces.scores.map(() => Number.NaN) },
      'tokenizer.ggml.scores: expected numbers, got NaN',
    ],
    [
      { tokens: sentencePieces.tokens.map((t, id) => (id === 300 ? 'x'.repeat(5000) : t)) },
      'tokenizer.ggml.tokens[300]: expected at most 1024 characters',
    ],
    [
      { unknown_token_id: undefined, token_type: sentencePieces.token_type.map(() => 1) },
      'tokenizer.ggml.unknown_token_id: expected the token for what the vocabulary lacks',
    ],
    [{ remove_extra_whitespaces: true }, 'tokenizer.ggml.remove_extra_whitespaces: expected false'],
    [{ precompiled_charsmap: Uint8Array.of(1) }, 'tokenizer.ggml.precompiled_charsmap'],
  ])('is refused with %o', (change, message) => {
    expect(() => ggufTokenizerJson(metadataOf({ ...sentencePieces, ...change }))).toThrow(message);
  });
});

const runs = 500;

it('makes a tokenizer of any metadata, or refuses it', () => {
  const value = fc.oneof(
    fc.string(),
    fc.boolean(),
    fc.nat(400),
    fc.bigInt(),
    fc.constant(undefined),
    fc.array(fc.string({ maxLength: 4 }), { maxLength: 5 }),
    fc.int32Array({ maxLength: 5 }),
    fc.float32Array({ maxLength: 5 }),
    fc.bigInt64Array({ maxLength: 3 }),
  );
  const keys = [
    ...new Set([
      ...Object.keys(byteLevel),
      ...Object.keys(sentencePieces),
      'add_bos_token',
      'add_space_prefix',
    ]),
  ];
  const change = fc.dictionary(fc.constantFrom(...keys), value, { maxKeys: 3 });
  fc.assert(
    fc.property(fc.constantFrom(byteLevel, sentencePieces, {}), change, (base, changes) => {
      const metadata = metadataOf({ ...base, ...changes });
      for (const read of [
        ggufTokenizerConfig,
        (m: typeof metadata) => Tokenizer.parse(ggufTokenizerJson(m)),
      ]) {
        try {
          read(metadata);
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidArgument);
        }
      }
    }),
    { numRuns: runs },
  );
});
