import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lookUp } from './known-words.js';
import { readVader, vaderCompound, vaderKnowledge } from './vader.js';
import { valenceAt } from './word-rules.js';

// The numbers are those of vaderSentiment 3.3.2, run on the same texts with Python 3.11.
describe('the compound is that of vaderSentiment 3.3.2:', () => {
  describe('capitals and marks', () => {
    it.each([
      ['What a lovely soup', 0.5859],
      ['What a LOVELY soup', 0.6739],
      ['A soup that is VERY lovely!', 0.7284],
      ['A soup that is uber lovely!!!', 0.7157],
      ['Is this lovely soup?? Really???', 0.6966],
      ['Soup: lovely?', 0.5859],
      ['lovely!!!!!!', 0.7156],
      ['BAD', -0.5423],
      ['BAD SOUP', -0.5423],
      ['BAD soup', -0.6408],
    ])('%j is %f', (text, compound) => {
      expect(vaderCompound(text)).toBe(compound);
    });
  });
  describe('intensifiers', () => {
    it.each([
      ['Hardly lovely, barely fun, seldom nice', 0.6348],
      ['so lovely', 0.624],
      ['you are so truly lovely', 0.8325],
      ['The soup was kind of lovely', 0.5434],
      ['The soup was sort of nasty', -0.5984],
      ['The soup was just enough fun', 0.4601],
    ])('%j is %f', (text, compound) => {
      expect(vaderCompound(text)).toBe(compound);
    });
  });
  describe('negation', () => {
    it.each([
      ['Not a lovely soup', -0.4717],
      ['I do not really love soup', -0.5551],
      ["we couldn't be happier, SOUP!", -0.471],
      ['despite the lovely soup', -0.4717],
      ['the soup that nobody could ever dislike', -0.3818],
      ["It isn't lovely", -0.4717],
      ['It isn’t lovely', 0.5859],
    ])('%j is %f', (text, compound) => {
      expect(vaderCompound(text)).toBe(compound);
    });
  });
  describe('never so, this before a term, without doubt', () => {
    it.each([
      ['This soup was never so lovely', 0.7803],
      ['That soup is never this lovely', 0.7488],
      ['we find this lovely', 0.6705],
      ['was it really this lovely', 0.7048],
      ['Without a doubt a lovely soup', 0.7105],
      ['That was without doubt lovely', 0.7105],
    ])('%j is %f', (text, compound) => {
      expect(vaderCompound(text)).toBe(compound);
    });
  });
  describe('"no"', () => {
    it.each([
      ['There was no trouble with the soup', 0.3089],
      ['NO TROUBLE here, soup for all', 0.3089],
      ['No fun, no soup', -0.2057],
      ['No soup or fun today', -0.5996],
      ['It had no fun or joy', -0.6979],
      ['no', -0.296],
    ])('%j is %f', (text, compound) => {
      expect(vaderCompound(text)).toBe(compound);
    });
  });
  describe('"least"', () => {
    it.each([
      ['The least lovely soup', -0.4717],
      ['At least it is lovely soup', 0.5859],
      ['at least lovely soup', 0.5859],
      ['It was at the very least fun', 0.5542],
      ['least lovely', -0.4717],
    ])('%j is %f', (text, compound) => {
      expect(vaderCompound(text)).toBe(compound);
    });
  });
  describe('"but"', () => {
    it.each([
      ['Soup was awful but the bread was lovely', 0.6369],
      ['Lovely soup, lovely soup, but lovely bread', 0.875],
      ['Nice. BUT the spoon is awful and the soup too', -0.4767],
      ['but', 0],
    ])('%j is %f', (text, compound) => {
      expect(vaderCompound(text)).toBe(compound);
    });
  });
  describe('phrases', () => {
    it.each([
      ['He lives at the bus stop', 0],
      ['My soup is the bomb', 0.6124],
      ['my soup is to die for', -0.5994],
      ['I am a bad ass cook', 0.6124],
      ['yeah right, such lovely soup', 0.7184],
      ['A kiss of death for soup', 0.0772],
      ['My beating heart wants soup', 0.296],
      ['flawed hearts, badass heart', 0.8316],
    ])('%j is %f', (text, compound) => {
      expect(vaderCompound(text)).toBe(compound);
    });
  });
  describe('emoji and emoticons', () => {
    it.each([
      ['Soup 😀', 0.3612],
      ['Soup😀 bread', 0.3612],
      ['😀fun', 0.3612],
      ['Cold soup 😭😭', -0.7351],
      ['no 😍 soup', -0.357],
      ['Soup ❤️', 0],
      ['👍🏿 for soup', 0],
      ['soup 🥰 🧱', 0.8074],
      ['🔛 fun soup', 0.5562],
      ['soup :) and bread :(', 0.0258],
      ['soup (: and bread', 0.4939],
      [':D', 0.5106],
    ])('%j is %f', (text, compound) => {
      expect(vaderCompound(text)).toBe(compound);
    });
  });
  describe('words and white space', () => {
    it.each([
      ['Lovely:soup', 0],
      ['(lovely) "soup" \'nasty\'', 0.0516],
      ['“lovely” soup', 0],
      ['love\u00a0soup\u0085hate', 0.128],
      ['\ufefflove', 0],
      ['ＬＯＶＥ', 0],
      ['', 0],
      ['   ', 0],
    ])('%j is %f', (text, compound) => {
      expect(vaderCompound(text)).toBe(compound);
    });
  });
});

describe('words', () => {
  it('stand where the text has them, those of an emoji where it does', () => {
    const text = '  (lovely) 😭😍great\u0085:( “awful”! 👍';
    const { starts, ends } = readVader(text);
    expect(starts.map((start, i) => text.slice(start, ends[i]))).toEqual([
      'lovely',
      ...['😭', '😭', '😭'],
      ...['😍', '😍', '😍', '😍great'],
      ':(',
      '“awful”',
      ...['👍', '👍'],
    ]);
  });

  it('lie within any text, one after another, and what they are worth depends on the words alone', () => {
    const parts = fc.constantFrom(
      'not',
      'LOVE',
      'no',
      "isn't",
      '😭',
      '😀!',
      ' ',
      '\u00a0',
      ':)',
      'ñ',
      '\ud83d',
      '.',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(parts, fc.string()), { maxLength: 20 }), (some) => {
        const text = some.join('');
        const { terms, starts, ends, valences, capitalsDiffer, compound } = readVader(text);
        expect(Math.abs(compound)).toBeLessThanOrEqual(1);
        terms.forEach((_, i) => {
          expect(starts[i]).toBeLessThan(ends[i]);
          expect(starts[i]).toBeGreaterThanOrEqual(i === 0 ? 0 : starts[i - 1]);
          expect(ends[i]).toBeLessThanOrEqual(text.length);
          expect(valences[i]).toBe(valenceAt(vaderKnowledge(), terms, i, capitalsDiffer));
        });
      }),
    );
  });

  it('are the same however they are looked up', () => {
    for (const word of [
      'love',
      'LOVE',
      'Love',
      "isn't",
      "SHOULDN'T",
      'soup',
      'SOUP',
      'x',
      ':)',
      'naïve',
      "y'n't",
    ])
      expect(readVader(word).terms).toEqual([lookUp(word, vaderKnowledge())]);
  });
});
