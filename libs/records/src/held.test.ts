import { InvalidArgument } from '@emotune/base';
import { expect, it } from 'vitest';
import { bytesOf, expectFits } from './held.js';

it('refuses more rows and text than a heap holds, with the figures', () => {
  const heap = 1e9;
  expectFits({ rows: 400_000, textBytes: 100e6 }, 'file', heap);
  for (const held of [
    { rows: 700_001, textBytes: 0 },
    { rows: 400_000, textBytes: 101e6 },
  ])
    expect(() => expectFits(held, 'file', heap)).toThrow(InvalidArgument);
  expect(() => expectFits({ rows: 5_000_000, textBytes: 500e6 }, 'file', heap)).toThrow(
    'file: expected rows that take at most 700 MB of memory while they are divided (1000 bytes each and 3 times their text), ' +
      'got 5,000,000 rows or more with 500 MB of text: make several datasets of them, or give the process more memory',
  );
});

it('counts a byte for each character of Latin-1, two where a text has others', () => {
  expect(['', 'schön', 'schön…', '🙂'].map(bytesOf)).toEqual([0, 5, 12, 4]);
});
