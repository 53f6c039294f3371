/** Files in memory, for tests of what reads them. */
import { parquetWriteBuffer } from 'hyparquet-writer';
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

/** A Parquet file of some 100 kB whose texts take 20 GB: one of them, in a dictionary, as often as a run says. */
export function parquetBomb(): Uint8Array {
  const rows = 210_000;
  let seed = 1;
  const letters = Array.from({ length: 96_000 }, () => {
    seed = (seed * 48_271) % 2_147_483_647;
    return String.fromCharCode(97 + (seed % 26));
  });
  const column = (name: string, value: string) => ({
    name,
    data: new Array<string>(rows).fill(value),
    type: 'STRING' as const,
    nullable: false,
  });
  const columnData = [column('text', letters.join('')), column('label', 'joy')];
  return new Uint8Array(parquetWriteBuffer({ columnData, rowGroupSize: rows, statistics: false }));
}
