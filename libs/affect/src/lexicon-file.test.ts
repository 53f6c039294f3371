import { expect, it } from 'vitest';
import { type KeptLexicon, lexiconsJson, parseLexicons } from './lexicon-file.js';

const lexicon: KeptLexicon = {
  name: 'own',
  language: 'en',
  licence: 'MIT',
  source: 'own rows',
  redistributable: true,
  dimensions: ['joy', 'valence'],
  scale: 4,
  terms: new Map([
    ['lantern', [0.5, 1]],
    ['constructor', [0, -2]],
    ['over the moon', [1, 4]],
  ]),
};

it('lexicons come back from their file as they were, in one order of terms', () => {
  const [read] = parseLexicons(lexiconsJson([lexicon]));
  expect(read).toEqual(lexicon);
  const turned = { ...lexicon, terms: new Map([...lexicon.terms].reverse()) };
  expect(lexiconsJson([turned])).toBe(lexiconsJson([lexicon]));
});

it.each([
  ['{', 'lexicons.json: expected JSON'],
  ['{"version":1,"lexicons":[{}]}', 'lexicons.json.lexicons[0].name'],
  [
    lexiconsJson([{ ...lexicon, terms: new Map([['lantern', [1]]]) }]),
    'lexicons.json.lexicons[0].terms.lantern: expected 2 numbers, got 1',
  ],
])('a file that is not one of ours is refused: %s', (text, message) => {
  expect(() => parseLexicons(text)).toThrow(message);
});
