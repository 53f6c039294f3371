import { InvalidArgument } from '@emotune/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { trainBpe } from './bpe.js';
import { normalizeText } from './normalize.js';
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

it('normalizeText joins what differs in case, width and punctuation only', () => {
  expect(normalizeText('  Ｇreat —  SO great!! ')).toBe('great so great');
  expect(normalizeText('great 🙂')).not.toBe(normalizeText('great'));
});
