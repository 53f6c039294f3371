/** Rows of Parquet: of any codec, row group by row group, of which one is held at a time. */
import zlib from 'node:zlib';
import { InvalidArgument } from '@emotune/base';
import {
  type AsyncBuffer,
  type Compressors,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
  type SchemaTree,
  snappyUncompress,
} from 'hyparquet';
import { decompressLz4, decompressLz4Raw } from 'hyparquet-compressors';
import { largestColumnBytes, megabytes, mostRows, tooManyRows } from './limits.js';
import { expectColumns, expectDistinct, type FileContent, type Row, type Wanted } from './rows.js';

/** Texts with ids take more than this, however well they are packed. */
const mostRowsPerByte = 8;

type Unpack = (bytes: Uint8Array, options: { readonly maxOutputLength: number }) => Uint8Array;

/** What unpacks to more than its page says is damaged; a page without values has no bytes to unpack. */
const unpacked = (unpack: Unpack) => (bytes: Uint8Array, length: number) =>
  length === 0 ? new Uint8Array(0) : unpack(bytes, { maxOutputLength: length });

const snappy = (bytes: Uint8Array, length: number) => {
  const page = new Uint8Array(length);
  snappyUncompress(bytes, page);
  return page;
};

const compressors: Compressors = {
  SNAPPY: snappy,
  GZIP: unpacked(zlib.gunzipSync),
  BROTLI: unpacked(zlib.brotliDecompressSync),
  ZSTD: unpacked(zlib.zstdDecompressSync),
  LZ4: decompressLz4,
  LZ4_RAW: decompressLz4Raw,
};

const tooLarge = (field: string, name: string, bytes: number, most: number) =>
  InvalidArgument.at(
    field,
    `expected at most ${megabytes(most)} in a row group of "${name}" once it is unpacked, got ${megabytes(bytes)} or more: write smaller row groups`,
  );

/** Unpacks the pages of one column, as long as they are no more than so many bytes in all. */
function unpackers(most: number, field: string, name: string): Compressors {
  let all = 0;
  return Object.fromEntries(
    Object.entries(compressors).map(([codec, unpack]) => [
      codec,
      (bytes: Uint8Array, length: number) => {
        all += length;
        if (all > most) throw tooLarge(field, name, all, most);
        return unpack(bytes, length);
      },
    ]),
  );
}

/** Bytes where a text should be. */
class NoText {
  constructor(private readonly bytes: Uint8Array) {}

  toJSON(): string {
    return `bytes that are no UTF-8: ${Buffer.from(this.bytes.subarray(0, 20)).toString('hex')}`;
  }
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const parsers = {
  stringFromBytes: (bytes: Uint8Array | undefined) => {
    try {
      return bytes && strict.decode(bytes);
    } catch {
      return new NoText(bytes as Uint8Array);
    }
  },
};

export function bufferOf({ bytes, read }: FileContent): AsyncBuffer {
  return {
    byteLength: bytes,
    slice: async (start, end = bytes) => {
      const all = new Uint8Array(Math.max(0, Math.min(end, bytes) - start));
      let filled = 0;
      if (all.length > 0)
        for await (const piece of read(start)) {
          const part = piece.subarray(0, all.length - filled);
          all.set(part, filled);
          filled += part.length;
          if (filled === all.length) break;
        }
      return all.buffer;
    },
  };
}

function leaves({ children }: SchemaTree): number {
  return children.length === 0 ? 1 : children.reduce((sum, child) => sum + leaves(child), 0);
}

async function* rowsOf(
  content: FileContent,
  wanted: Wanted,
  field: string,
  columnBytes: number,
): AsyncGenerator<Row> {
  const file = bufferOf(content);
  const metadata = await parquetMetadataAsync(file, { parsers });
  const tree = parquetSchema(metadata).children;
  const names = tree.map(({ element }) => element.name);
  expectDistinct(names, field);
  expectColumns(names, wanted, field);
  const counts = metadata.row_groups.map((group) => Number(group.num_rows));
  const total = counts.reduce((sum, count) => sum + count, 0);
  const most = file.byteLength * mostRowsPerByte;
  if (counts.some((count) => count < 0) || total > most)
    throw new Error(`expected at most ${most} rows in ${file.byteLength} bytes, got ${total}`);
  if (total > mostRows) throw tooManyRows(field, total);
  const columns = tree.filter(({ element }) => wanted.columns.includes(element.name));
  for (const column of columns)
    if (leaves(column) !== 1)
      throw InvalidArgument.at(
        field,
        `expected a column of texts, numbers or lists in "${column.element.name}", got one with columns of its own (${column.children.map(({ element }) => element.name).join(', ')})`,
      );
  for (const group of metadata.row_groups)
    for (const { meta_data: chunk } of group.columns) {
      const name = chunk?.path_in_schema[0] ?? '';
      const bytes = Math.max(Number(chunk?.total_uncompressed_size), Number(chunk?.total_compressed_size));
      if (wanted.columns.includes(name) && bytes > columnBytes)
        throw tooLarge(field, name, bytes, columnBytes);
    }
  let start = 0;
  for (const count of counts) {
    const end = start + count;
    const rows = Array.from({ length: count }, (): Record<string, unknown> => Object.create(null));
    // One column after the other: the library reads them side by side, and of several that fail it tells the first, which leaves the
    // others to end the process.
    for (const { element } of columns) {
      const { name } = element;
      const values = await parquetReadObjects({
        file,
        metadata,
        columns: [name],
        rowStart: start,
        rowEnd: end,
        compressors: unpackers(columnBytes, field, name),
        parsers,
      });
      if (values.length !== count)
        throw new Error(`expected ${count} rows of "${name}", got ${values.length}`);
      for (const [i, value] of values.entries()) rows[i][name] = value[name];
    }
    for (const [i, values] of rows.entries()) yield { at: `row ${start + i + 1}`, values };
    start = end;
  }
}

/**
 * @param columnBytes what a column of a row group may take
 * @throws InvalidArgument when it is damaged, too large, or of a kind that is not read.
 */
export async function* parquetRows(
  content: FileContent,
  wanted: Wanted,
  field: string,
  columnBytes = largestColumnBytes,
): AsyncGenerator<Row> {
  // What whoever takes the rows throws is not caught here.
  const rows = rowsOf(content, wanted, field, columnBytes);
  for (;;) {
    const next = await rows.next().catch((cause) => {
      if (cause instanceof InvalidArgument) throw cause;
      throw InvalidArgument.at(field, `expected a well-formed .parquet file, got: ${cause.message}`, {
        cause,
      });
    });
    if (next.done) return;
    yield next.value;
  }
}
