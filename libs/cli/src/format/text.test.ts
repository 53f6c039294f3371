import { describe, expect, it } from 'vitest';
import { clip, durationText, facts, figure, nothing, percent, table } from './text.js';

describe('a table', () => {
  it('aligns texts left and numbers right', () => {
    expect(
      table(
        ['name', 'rows', 'share', 'note'],
        [
          ['a', '1,200', '50 %', 'x'],
          ['bcdef', '7', nothing, ''],
        ],
      ),
    ).toBe(['name    rows  share  note', 'a      1,200   50 %  x', 'bcdef      7      –'].join('\n'));
  });

  it('counts the columns that characters take', () => {
    const [head, wide, plain] = table(
      ['text', 'x'],
      [
        ['好😀', 'y'],
        ['e\u0301a', 'z'],
      ],
    ).split('\n');
    expect([head.lastIndexOf('x'), wide, plain]).toEqual([6, '好😀  y', 'e\u0301a    z']);
  });

  it('may be empty', () => {
    expect(table(['name', 'rows'], [])).toBe('name  rows');
  });
});

it('figures have four significant digits', () => {
  expect([0.00123456, 1234.56, -0.5, 0, 1e-9, Number.NaN, undefined].map(figure)).toEqual([
    '0.001235',
    '1235',
    '-0.5',
    '0',
    '1e-9',
    nothing,
    nothing,
  ]);
  expect([1, 0.5, 0.1234].map(percent)).toEqual(['100 %', '50 %', '12.3 %']);
});

it('texts are clipped between characters', () => {
  expect(clip('a\n b  c', 9)).toBe('a b c');
  expect(clip('😀😀😀😀', 3)).toBe('😀😀…');
  expect(clip('👍🏽👩‍❤️‍👨ab', 3)).toBe('👍🏽👩‍❤️‍👨…');
  expect(clip('👍🏽👩‍❤️‍👨a', 3)).toBe('👍🏽👩‍❤️‍👨a');
});

it('facts without a value are left out', () => {
  expect(
    facts([
      ['a', '1'],
      ['longer', undefined],
      ['bcd', '2'],
      ['e', ''],
    ]),
  ).toBe('a:   1\nbcd: 2');
});

it('durations are rounded to what people want to know', () => {
  expect([400, 89_000, 95_000, 5_300_000, 5_400_000, 90_000_000].map(durationText)).toEqual([
    '1 s',
    '89 s',
    '2 min',
    '88 min',
    '1.5 h',
    '25 h',
  ]);
});
