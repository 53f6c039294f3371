import { InvalidArgument } from '@emotune/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { textFault, textLines } from './text-lines.js';

/** Bytes in pieces of a size. */
async function* cut(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function linesOf(bytes: Uint8Array, size = 2 ** 16): Promise<[number, string][]> {
  const lines: [number, string][] = [];
  for await (const { number, text } of textLines(cut(bytes, size), 'file')) lines.push([number, text]);
  return lines;
}

function utf16be(text: string): Buffer {
  return Buffer.from(text, 'utf16le').swap16();
}

describe('textLines', () => {
  it.each([1, 2, 3, 100])('ends lines at CRLF, LF and CR, mixed, in pieces of %i bytes', async (size) => {
    const bytes = Buffer.from('one\r\ntwo\nthree\rfour\n\n\r\n\rnine🙂');
    // As Python's open(newline=None) splits them.
    expect(await linesOf(bytes, size)).toEqual(
      ['one', 'two', 'three', 'four', '', '', '', 'nine🙂'].map((text, i) => [i + 1, text]),
    );
  });

  it.each([
    ['UTF-8', Buffer.from('\ufeffé🙂\nb')],
    ['UTF-16, little end first', Buffer.from('\ufeffé🙂\nb', 'utf16le')],
    ['UTF-16, big end first', utf16be('\ufeffé🙂\nb')],
  ])('drops the byte order mark of %s, wherever pieces are cut', async (_, bytes) => {
    for (const size of [1, 2, 3, 4, 5, 100])
      expect(await linesOf(bytes, size)).toEqual([
        [1, 'é🙂'],
        [2, 'b'],
      ]);
  });

  it('gives nothing for no bytes or a byte order mark alone', async () => {
    expect(await linesOf(Buffer.alloc(0))).toEqual([]);
    expect(await linesOf(Buffer.from('\ufeff'))).toEqual([]);
  });

  it('gives a line as soon as it has ended', async () => {
    let asked = 0;
    const pieces = (async function* () {
      asked++;
      yield Buffer.from('a\r');
      asked++;
      yield Buffer.from('\nb\n');
    })();
    const lines = textLines(pieces, 'file');
    expect([(await lines.next()).value?.text, asked]).toEqual(['a', 1]);
    expect([(await lines.next()).value?.text, asked]).toEqual(['b', 2]);
    expect((await lines.next()).done).toBe(true);
  });

  it.each<[string, Uint8Array, string]>([
    [
      'Latin-1',
      Buffer.from('fine\r\nmore\ncaf\xe9 noir', 'latin1'),
      'file, line 3: expected UTF-8, got the byte 0xE9 after "caf" (byte 15): convert it first',
    ],
    [
      'Windows-1252 behind a long text',
      Buffer.concat([Buffer.from('é\n'.repeat(50_000)), Buffer.from([0x93])]),
      'file, line 50001: expected UTF-8, got the byte 0x93 (byte 150001)',
    ],
    [
      'a character that is cut off',
      Buffer.from('🙂\n🙂').subarray(0, 8),
      'file, line 2: expected UTF-8, got the byte 0xF0 (byte 6)',
    ],
    [
      'a surrogate',
      Uint8Array.of(0x61, 0xed, 0xa0, 0x80),
      'file, line 1: expected UTF-8, got the byte 0xED after "a"',
    ],
    [
      'half a pair in UTF-16',
      Buffer.from('\ufeffa\nb\ud83d c', 'utf16le'),
      'file, line 2: expected UTF-16, got the byte 0x3D after "b" (byte 9)',
    ],
    [
      'UTF-16 of odd length',
      Buffer.from('\ufeffab', 'utf16le').subarray(0, 5),
      'got the byte 0x62 after "a" (byte 5)',
    ],
    ['UTF-32', Uint8Array.of(0xff, 0xfe, 0, 0, 0x61, 0, 0, 0), 'file: expected UTF-8, got UTF-32'],
  ])('refuses %s by line and byte, wherever pieces are cut', async (_, bytes, message) => {
    for (const size of [1, 3, 7, 4096, 2 ** 20]) {
      if (bytes.length / size > 10_000) continue;
      const refusal = await linesOf(bytes, size).catch((error) => error);
      expect(refusal).toBeInstanceOf(InvalidArgument);
      expect(refusal.message).toContain(message);
    }
  });

  it('does not hold a line of any length', async () => {
    const endless = (async function* () {
      yield Buffer.from('first\n');
      for (;;) yield Buffer.alloc(2 ** 20, 0x61);
    })();
    await expect(async () => {
      for await (const _ of textLines(endless, 'file'));
    }).rejects.toThrow('file, line 2: expected at most 16,777,216 characters');
  });

  it('reads any text alike, however it is cut', async () => {
    const text = fc.array(
      fc.oneof(fc.string({ unit: 'grapheme' }), fc.constantFrom('\r', '\n', '\r\n', 'é', '🙂', '\u2028')),
    );
    await fc.assert(
      fc.asyncProperty(text, fc.integer({ min: 1, max: 9 }), async (parts, size) => {
        const whole = parts.join('');
        const lines = whole.replace(/^\ufeff/, '').split(/\r\n|\r|\n/);
        if (lines.at(-1) === '') lines.pop();
        const expected = lines.map((line, i) => [i + 1, line]);
        expect(await linesOf(Buffer.from(whole), size)).toEqual(expected);
      }),
    );
  });
});

describe('textFault', () => {
  it('refuses what cannot be stored or shown everywhere, and nothing else', () => {
    expect(textFault('bad \0 text')).toBe(
      'expected a text without U+0000, got "bad \\u0000 text": remove it',
    );
    expect(textFault('\ud83d alone')).toBe(
      'expected a text without half a surrogate pair, got "\\ud83d alone": remove it',
    );
    expect(textFault('alone \ude42')).toContain('half a surrogate pair');
    for (const fine of ['', '🙂', '\u0001\t\n', '\ufffd', '\uffff']) expect(textFault(fine)).toBeUndefined();
  });
});
