import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { beginningOf, charactersOf, endOf } from './characters.js';

const whole = ['é', 'e\u0301', '👍🏽', '👩‍👩‍👧', '❤️', '🇫🇮', '1️⃣', '𝒽', 'ก็', 'a', ' ', '\r\n'];

describe('a text', () => {
  it('is cut before a character, never within', () => {
    const texts = fc.array(fc.constantFrom(...whole), { maxLength: 12 });
    fc.assert(
      fc.property(texts, fc.nat(60), (characters, length) => {
        // Beside each other, some would be one.
        const text = characters.join('|');
        const seen = [...charactersOf(text)].map(({ segment }) => segment);
        expect(seen.filter((character) => character !== '|')).toEqual(characters);
        const begun = beginningOf(text, length);
        const left = [...charactersOf(begun)].map(({ segment }) => segment);
        expect(left).toEqual(seen.slice(0, left.length));
        expect(begun.length).toBeLessThanOrEqual(length);
        if (left.length < seen.length) expect((begun + seen[left.length]).length).toBeGreaterThan(length);
        const ended = endOf(text, length);
        const right = [...charactersOf(ended)].map(({ segment }) => segment);
        expect(right).toEqual(seen.slice(seen.length - right.length));
        expect(ended.length).toBeLessThanOrEqual(length);
        if (right.length < seen.length)
          expect((seen.at(-right.length - 1) + ended).length).toBeGreaterThan(length);
      }),
    );
  });

  it.each([0, -1])('of which %i units are asked is empty', (length) => {
    expect([beginningOf('😭', length), endOf('😭', length)]).toEqual(['', '']);
  });
});
