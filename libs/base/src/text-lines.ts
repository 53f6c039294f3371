/**
 * Text as files and standard input hold it. All that is read line by line, of whatever format, is read here: strictly decoded, split
 * at every end of line that there is (CRLF, LF, CR, mixed as they may be), each line under the number that an editor shows.
 */
import { InvalidArgument } from './errors.js';

type Encoding = 'utf-8' | 'utf-16le' | 'utf-16be';

/** Byte order marks, longest first. */
const marks: readonly { readonly bytes: readonly number[]; readonly encoding: Encoding | 'utf-32' }[] = [
  { bytes: [0xff, 0xfe, 0, 0], encoding: 'utf-32' },
  { bytes: [0, 0, 0xfe, 0xff], encoding: 'utf-32' },
  { bytes: [0xef, 0xbb, 0xbf], encoding: 'utf-8' },
  { bytes: [0xff, 0xfe], encoding: 'utf-16le' },
  { bytes: [0xfe, 0xff], encoding: 'utf-16be' },
];

/** A line or record may have this many characters: it is held whole. */
export const longestLine = 2 ** 24;
/** So much of what came before a byte helps to find it. */
const shownCharacters = 20;

/** Whether more bytes could make another mark of what begins so. */
function isUndecided(head: Uint8Array): boolean {
  return marks.some(
    ({ bytes }) =>
      bytes.length > head.length && head.every((byte, i) => byte === bytes[i]) && head.length > 0,
  );
}

/** Where the last whole character ends. */
function wholeEnd(bytes: Uint8Array, encoding: Encoding): number {
  const { length } = bytes;
  if (encoding !== 'utf-8') {
    const even = length - (length % 2);
    const high = encoding === 'utf-16le' ? bytes[even - 1] : bytes[even - 2];
    return (high & 0xfc) === 0xd8 ? even - 2 : even;
  }
  for (let back = 1; back <= Math.min(3, length); back++) {
    const byte = bytes[length - back];
    if ((byte & 0xc0) === 0x80) continue;
    const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return needed > back ? length - back : length;
  }
  return length;
}

function decode(
  bytes: Uint8Array,
  encoding: Encoding,
  options?: { readonly stream: boolean },
): string | undefined {
  try {
    return new TextDecoder(encoding, { fatal: true, ignoreBOM: true }).decode(bytes, options);
  } catch {
    return undefined;
  }
}

/** The longest text that bytes begin with which are none as a whole. */
function textBefore(bytes: Uint8Array, encoding: Encoding): string {
  let [good, bad] = [0, bytes.length];
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (decode(bytes.subarray(0, middle), encoding, { stream: true }) === undefined) bad = middle;
    else good = middle;
  }
  return decode(bytes.subarray(0, good), encoding, { stream: true }) ?? '';
}

/** How many lines end in a text. */
export function lineEnds(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) count++;
  for (let at = text.indexOf('\r'); at !== -1; at = text.indexOf('\r', at + 1))
    if (text[at + 1] !== '\n') count++;
  return count;
}

/**
 * The text that bytes are: UTF-8, or UTF-16 that begins with a byte order mark. The mark is no part of it.
 * @param pieces in any cut; held is one at a time
 * @throws InvalidArgument naming the line of the first byte that is no text.
 */
export async function* decoded(pieces: AsyncIterable<Uint8Array>, field: string): AsyncGenerator<string> {
  let encoding: Encoding | undefined;
  let held: Uint8Array = new Uint8Array(0);
  let offset = 0;
  let line = 1;
  /** The end of what was taken. */
  let tail = '';
  /** The text of whole characters; what is left is held. */
  const take = (bytes: Uint8Array, end: boolean): string => {
    if (encoding === undefined) {
      const mark = marks.find((known) => known.bytes.every((byte, i) => byte === bytes[i]));
      if (mark?.encoding === 'utf-32')
        throw InvalidArgument.at(
          field,
          'expected UTF-8, got UTF-32: convert it first (for example with iconv)',
        );
      encoding = mark?.encoding ?? 'utf-8';
      offset = mark?.bytes.length ?? 0;
      bytes = bytes.subarray(offset);
    }
    const whole = end ? bytes : bytes.subarray(0, wholeEnd(bytes, encoding));
    held = bytes.subarray(whole.length);
    const text = decode(whole, encoding);
    if (text === undefined) throw notText(whole, encoding);
    offset += whole.length;
    line += lineEnds(text);
    // An end of line that is cut in two is one.
    if (tail.endsWith('\r') && text[0] === '\n') line--;
    tail = (tail + text.slice(-shownCharacters)).slice(-shownCharacters);
    return text;
  };
  const notText = (bytes: Uint8Array, of: Encoding) => {
    const before = textBefore(bytes, of);
    const at = Buffer.byteLength(before, of === 'utf-8' ? 'utf8' : 'utf16le');
    const [after] = (tail + before).slice(-shownCharacters).match(/[^\r\n]*$/) as RegExpMatchArray;
    return InvalidArgument.at(
      `${field}, line ${line + lineEnds(before)}`,
      `expected ${of === 'utf-8' ? 'UTF-8' : 'UTF-16'}, got the byte 0x${bytes[at].toString(16).toUpperCase().padStart(2, '0')}` +
        `${after === '' ? '' : ` after ${JSON.stringify(after)}`} (byte ${offset + at + 1}): ` +
        'convert it first (for example with iconv -f LATIN1 -t UTF-8)',
    );
  };
  for await (const piece of pieces) {
    const bytes = held.length === 0 ? piece : Buffer.concat([held, piece]);
    if (encoding === undefined && isUndecided(bytes)) held = bytes;
    else yield take(bytes, false);
  }
  yield take(held, true);
}

export interface Line {
  readonly text: string;
  /** From 1. */
  readonly number: number;
}

export function lineTooLong(field: string, number: number): InvalidArgument {
  return InvalidArgument.at(
    `${field}, line ${number}`,
    `expected at most ${longestLine.toLocaleString('en')} characters until the row ends, got more`,
  );
}

/** The lines of a text, without their ends; those that are blank too. @throws InvalidArgument as `decoded`, or for one that is too long. */
export async function* textLines(pieces: AsyncIterable<Uint8Array>, field: string): AsyncGenerator<Line> {
  let rest = '';
  let number = 1;
  let cut = false;
  for await (const piece of decoded(pieces, field)) {
    const text = cut && piece[0] === '\n' ? piece.slice(1) : piece;
    if (piece !== '') cut = piece.endsWith('\r');
    const lines = text.includes('\r') ? (rest + text).split(/\r\n|\n|\r/) : (rest + text).split('\n');
    rest = lines.pop() as string;
    for (const line of lines) yield { text: line, number: number++ };
    if (rest.length > longestLine) throw lineTooLong(field, number);
  }
  if (rest !== '') yield { text: rest, number };
}

/**
 * What is wrong with a text that cannot be stored and shown everywhere, or undefined: U+0000, which PostgreSQL has not, and halves of
 * surrogate pairs, which UTF-8 has not. They are refused wherever texts come in, never replaced: where one is, more is lost.
 */
export function textFault(text: string): string | undefined {
  const fault = text.includes('\0')
    ? 'U+0000'
    : /\p{Surrogate}/u.test(text)
      ? 'half a surrogate pair'
      : undefined;
  if (fault === undefined) return undefined;
  const at = text.search(/\0|\p{Surrogate}/u);
  // JSON writes either as an escape.
  const around = JSON.stringify(text.slice(Math.max(0, at - shownCharacters), at + shownCharacters));
  return `expected a text without ${fault}, got ${around}: remove it`;
}
