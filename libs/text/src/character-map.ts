/** SentencePiece's map of characters (`Precompiled`): a double array of a trie, and texts that its leaves point to. */
import { isUtf8 } from 'node:buffer';
import { wrong } from './token-model.js';

/** Unicode's longest compatibility composition has 33. */
const longestText = 64;
const blockUnits = 256;

/** What is wrong with a map; undefined where nothing is. */
function faultOf(encoded: unknown): string | undefined {
  if (typeof encoded !== 'string' || encoded.length % 4 !== 0 || !/^[\w+/]*={0,2}$/.test(encoded))
    return 'other text than Base64';
  const bytes = Buffer.from(encoded, 'base64');
  const trieBytes = bytes.length < 4 ? 0 : bytes.readUInt32LE();
  if (trieBytes === 0 || trieBytes % (4 * blockUnits) !== 0 || 4 + trieBytes > bytes.length)
    return `${bytes.length} bytes that hold no trie`;
  const texts = bytes.subarray(4 + trieBytes);
  if (!isUtf8(texts)) return 'texts that are not UTF-8';
  const unit = (i: number) => bytes.readUInt32LE(4 + 4 * i);
  const count = trieBytes / 4;
  for (let at = 0; at < count; at++) {
    const node = unit(at);
    // It is the value of a leaf, where nothing leads on.
    if (node >>> 31 === 1) continue;
    const next = (at ^ ((node >>> 10) << ((node & 512) >>> 6))) >>> 0;
    if (next >= count) return `a trie that leads outside at ${at}`;
    if (((node >>> 8) & 1) === 0) continue;
    const start = unit(next) & 0x7fffffff;
    if (start >= texts.length || (texts[start] & 0xc0) === 0x80)
      return `a leaf at ${at} that points to no text`;
    const end = texts.indexOf(0, start);
    if ((end < 0 ? texts.length : end) - start > longestText)
      return `a text of more than ${longestText} bytes for a character`;
  }
  return undefined;
}

/**
 * The library reads where units point to without looking, and ends the process where that is outside.
 * @param encoded in Base64
 * @throws InvalidArgument
 */
export function checkCharacterMap(encoded: unknown): void {
  const fault = faultOf(encoded);
  if (fault !== undefined)
    throw wrong(
      'normalizer: precompiled_charsmap',
      `expected a map of characters as SentencePiece writes it, got ${fault}`,
    );
}
