import { InvalidArgument } from '@emotune/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { trainBpe } from './bpe.js';
import { Tokenizer } from './tokenizer.js';

const texts = [
  'the cat sat on the mat and the cat was glad',
  'a glad cat is not a sad cat, at 12:30 or 9.75',
  'naïve café — ça va? 🙂 не грусти',
];
const options = { vocabSize: 300, specialTokens: ['<s>', '</s>', '<pad>'] };

describe('trainBpe', () => {
  const json = trainBpe(texts, options);
  const tokenizer = Tokenizer.parse(json);

  it('gives special tokens the first ids and spells digits one by one', () => {
    expect(['<s>', '</s>', '<pad>'].map((token) => tokenizer.idOf(token))).toEqual([0, 1, 2]);
    expect(tokenizer.vocabSize).toBeLessThanOrEqual(300);
    expect(tokenizer.encode('12.50')).toHaveLength(5);
  });

  it('merges what occurs most, whatever the order of the texts', () => {
    expect(tokenizer.encode(' cat')).toHaveLength(1);
    expect(trainBpe([...texts].reverse(), options)).toEqual(json);
    // " c" + "a" + "t" and the like: the first merge is the most frequent pair, "at" (8 times, before any other).
    expect((json['model'] as { merges: string[][] }).merges[0]).toEqual(['a', 't']);
  });

  it('gives back any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      }),
      { numRuns: 300 },
    );
  });

  it('refuses a size without room for the bytes', () => {
    expect(() => trainBpe(texts, { ...options, vocabSize: 100 })).toThrow('vocabSize: expected at least 259');
  });
});

it.each([[{}], [{ model: { vocab: 3 } }], [null]])('refuses %j as a tokenizer', (json) => {
  expect(() => Tokenizer.parse(json)).toThrow(InvalidArgument);
});

const fuzzRuns = 500;

it('any JSON makes a tokenizer or is refused', () => {
  const json = trainBpe(texts, options);
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.constantFrom(null, -1, 2 ** 53, [], {}, 'x', { type: 'Sequence' }),
  );
  const part = fc.constantFrom(...Object.keys(json));
  const inModel = fc.constantFrom(...Object.keys(json['model'] as object));
  const change = fc.oneof(
    fc.tuple(part, value).map(([key, v]) => ({ ...json, [key]: v })),
    fc
      .tuple(inModel, value)
      .map(([key, v]) => ({ ...json, model: { ...(json['model'] as object), [key]: v } })),
    value,
  );
  fc.assert(
    fc.property(change, fc.string({ unit: 'grapheme' }), (changed, text) => {
      try {
        const tokenizer = Tokenizer.parse(changed);
        tokenizer.decode(tokenizer.encode(text));
      } catch (error) {
        expect(error).toBeInstanceOf(InvalidArgument);
      }
    }),
    { numRuns: fuzzRuns },
  );
});

it.each([
  [{ vocab: { a: -1 } }, undefined, 'expected ids of tokens from 0 to'],
  [{ vocab: { a: 2 ** 53 } }, undefined, 'got 9007199254740992'],
  [{ vocab: { a: 0 }, merges: [] }, [null], 'tokenizer.json: added_tokens[0]: expected a token with content'],
  [{ vocab: { a: 0 } }, 3, 'added_tokens: expected a list, got 3'],
])('refuses the vocabulary of %j with %j', (model, added, message) => {
  expect(() => Tokenizer.parse({ model, added_tokens: added })).toThrow(message);
});

it('refuses JSON of any depth', () => {
  const deep = JSON.parse(`${'['.repeat(200_000)}${']'.repeat(200_000)}`);
  expect(() => Tokenizer.parse({ model: { vocab: { a: 0 }, type: deep } })).toThrow(InvalidArgument);
  expect(() => Tokenizer.parse({ model: { vocab: { a: deep } } })).toThrow(InvalidArgument);
});
