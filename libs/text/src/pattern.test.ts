/** Regular expressions of files: Oniguruma's own matches are the oracle, through the library of tokenizers. */
import { InvalidArgument } from '@emotune/base';
import fc from 'fast-check';
import { Tokenizer as Library } from 'tokenizers';
import { describe, expect, it } from 'vitest';
import { Pattern, Steps } from './pattern.js';

const patterns = [
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t)?|\\p{N}{1,3}|\\s+",
  ' ?[^(\\s|.,!?…。，、।۔،)]+',
  '[一-龥぀-ゟ゠-ヿ]+',
  '\\s+$',
  '(?<=\\d)(?=\\p{L})',
  '(?<!a)b+?(?:ab|c){2,}',
  '(?:a|ab)(?:c|bcd)(?:d*)',
  '(?>a+|b)c?',
  'a*+b|\\p{L}{2}',
  '\\b\\w+\\b|\\W',
  '^.|.$|\\A\\s|[\\w&&[^a-c]]+\\Z',
  '(?i)a[bc]|(?-i:B)',
  '(?m:.)\\n|\\N+',
  'a{,2}b|c{2,3}?d|',
  '(a|b)+(?:c|(?:d|e)+f)?\\z',
  '[[:punct:]]+|\\h+|\\x{1F600}|\\t',
];
const alphabet = [..."abcdABC Sſ'stlL 1٣½ \n\r\t  .,!?(éΩ中文ぁ।…👍🏽é", '\u{10400}', '\u0300', '\u200d'];
const texts = fc.array(fc.constantFrom(...alphabet), { maxLength: 24 }).map((parts) => parts.join(''));

function oracle(source: string): (text: string) => string[] {
  const split = Library.fromString(
    JSON.stringify({
      version: '1.0',
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: { type: 'Split', pattern: { Regex: source }, behavior: 'Isolated', invert: false },
      post_processor: null,
      decoder: null,
      model: { type: 'BPE', vocab: {}, merges: [] },
    }),
  ).getPreTokenizer()!;
  return (text) => split.preTokenizeString(text).map(([piece]) => piece);
}

function pieces(pattern: Pattern, text: string): string[] {
  const found = pattern.matches(text, Steps.of(text.length));
  const all: string[] = [];
  let done = 0;
  for (let i = 0; i < found.length; i += 2) {
    all.push(text.slice(done, found[i]), text.slice(found[i], found[i + 1]));
    done = found[i + 1];
  }
  return [...all, text.slice(done)].filter((piece) => piece !== '');
}

describe('a pattern', () => {
  it.each(patterns)('matches what Oniguruma does: %s', (source) => {
    const [pattern, theirs] = [Pattern.parse(source, 'pattern'), oracle(source)];
    fc.assert(
      fc.property(texts, (text) => {
        expect(pieces(pattern, text)).toEqual(theirs(text));
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    '(a+)+$',
    '(a|a)*c',
    '(?:a|aa)+$',
    '(a*a*)*b|x',
    '(?:.*)+=x',
    '(?=(a+)+$)a',
    '(?<=(?:a|a){0,40})c',
    '(?>(?:a+)+)c|(?:(?:a+)+)+c',
    'a*a*a*a*a*a*c',
    '(?:(?:a{0,40}){0,40}){0,40}c',
  ])('is refused by name where it backtracks without an end: %s', (source) => {
    const attempt = () => {
      const text = `${'a'.repeat(3000)}!`;
      Pattern.parse(source, 'pre_tokenizer').matches(text, Steps.of(text.length));
    };
    expect(attempt).toThrow(InvalidArgument);
    expect(attempt).toThrow(/^pre_tokenizer: expected a regular expression/);
  });

  it.each([
    ['(', 'a regular expression'],
    ['(a)\\1', 'Backreference is not supported'],
    ['(?<n>a\\g<n>?)', 'Subroutine is not supported'],
    ['(?:a?)*', 'repeating what may match nothing is not supported'],
    ['(?:(?:a{1,999}){1,999}){1,999}', 'it repeats more than'],
    ['\\p{Nonsense}', 'regular expression'],
    [`${'('.repeat(9000)}${')'.repeat(9000)}`, 'regular expression'],
    ['a'.repeat(30_000), '30000 characters'],
    ['(?i:straße)', 'without regard to case'],
  ])('that is not computed here is refused by name: %s', (source, expected) => {
    expect(() => Pattern.parse(source, 'pattern')).toThrow(InvalidArgument);
    expect(() => Pattern.parse(source, 'pattern')).toThrow(expected);
  });
});
