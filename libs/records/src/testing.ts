/** Files in memory, for tests of what reads them. */
import type { FileContent } from './rows.js';

/** @param pieceBytes how it is cut */
export function contentOf(content: Uint8Array | string, pieceBytes = 2 ** 16): FileContent {
  const bytes = Buffer.from(content);
  return {
    bytes: bytes.length,
    async *read(from = 0) {
      for (let at = from; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
    },
  };
}
