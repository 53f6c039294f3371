import { expect, it } from 'vitest';
import { printable, printableJson } from './printable.js';

const hostile = {
  'a colour': '\x1b[31mred',
  'a title of the window': '\x1b]0;owned\x07',
  'a link': '\x1b]8;;http://example.org\x1b\\here',
  'a byte of C1': '\x9b2J',
  'a line that is written over': 'safe\revil',
  'a step back': 'ab\bc',
  'the end of a string': 'a\0b',
  'letters turned round': 'gnp.\u202egpj.exe',
  'an isolate': '\u2066a\u2069',
  'a mark of direction': 'a\u200eb\u200fc\u061cd',
  'a separator of lines': 'a\u2028b\u2029c',
  tags: 'a\u{e0041}b',
};
const raw =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones
  /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|\udb40/;

it.each(Object.entries(hostile))('%s is shown, and steers nothing', (_, text) => {
  expect(text).toMatch(raw);
  expect(printable(text)).not.toMatch(raw);
  const json = JSON.stringify({ [text]: [text] });
  expect(printableJson(json)).not.toMatch(raw);
  expect(JSON.parse(printableJson(json))).toEqual(JSON.parse(json));
});

it('what steers nothing stays as it is', () => {
  const text = 'one\ttwo\nÄpfel, 猫, שלום, 👩‍👩‍👧 \\u001b';
  expect(printable(text)).toBe(text);
  expect(printable('a\r\nb')).toBe('a\nb');
  expect(printable('\x1b[0m\u202e')).toBe('\\u001b[0m\\u202e');
});
