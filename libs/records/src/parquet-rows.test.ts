import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { parquetMetadata } from 'hyparquet';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, it } from 'vitest';
import { parquetRows } from './parquet-rows.js';
import { contentOf } from './testing.js';

const wanted = { columns: ['id', 'text', 'label', 'labels'], required: ['text'] };

async function read(bytes: Uint8Array, columns = wanted): Promise<[string, Record<string, unknown>][]> {
  const rows: [string, Record<string, unknown>][] = [];
  for await (const row of parquetRows(contentOf(bytes, 1000), columns, 'file'))
    if (row.fault === undefined) rows.push([row.at, row.values]);
  return rows;
}

const words = ['harbour', 'lantern', 'meadow', 'tunnel', 'orchard', 'ferry', 'violin'];
const emotions = ['joy', 'fear', 'anger'];
/** What pyarrow 26 wrote to `fixtures`, in row groups of eight: dictionaries on pages of version 1, deltas on pages of version 2. */
const written = Array.from({ length: 20 }, (_, i) => [
  `row ${i + 1}`,
  {
    id: 9007199254740993n + BigInt(i),
    text: `${words[i % 7]} number ${i} … “${words[(i * 3) % 7]}” 🙂`,
    label: i === 7 ? undefined : emotions[i % 3],
    labels: [emotions[i % 3], 'trust'].slice(0, 1 + (i % 2)),
  },
]);

describe('Parquet', () => {
  it.each(
    ['none', 'snappy', 'gzip', 'brotli', 'zstd', 'lz4'].flatMap((codec) => [
      [codec, 1],
      [codec, 2],
    ]),
  )('of codec %s on pages of version %i is read as pyarrow reads it', async (codec, version) => {
    const bytes = readFileSync(new URL(`../fixtures/${codec}-page-${version}.parquet`, import.meta.url));
    const rows = await read(bytes);
    expect(rows.map(([at, values]) => [at, { ...values, label: values['label'] ?? undefined }])).toEqual(
      written,
    );
  });

  it('of the codec LZ4 as Hadoop frames it is read', async () => {
    /** A block of one run of literals in a frame: its length unpacked, then packed, big end first. */
    const framed = (bytes: Uint8Array): Uint8Array => {
      const lengths = [];
      for (let left = bytes.length - 15; left >= 0; left -= 255) lengths.push(Math.min(left, 255));
      if (lengths.at(-1) === 255) lengths.push(0);
      const token = Math.min(bytes.length, 15) << 4;
      const block = Buffer.concat([Uint8Array.from([token, ...lengths]), bytes]);
      const head = Buffer.alloc(8);
      head.writeUInt32BE(bytes.length, 0);
      head.writeUInt32BE(block.length, 4);
      return Buffer.concat([head, block]);
    };
    const text = Array.from({ length: 30 }, (_, i) => `${words[i % 7]} ${i} é`);
    const bytes = parquetWriteBuffer({
      columnData: [{ name: 'text', data: text, type: 'STRING' }],
      codec: 'LZ4',
      compressors: { LZ4: framed },
    });
    expect((await read(new Uint8Array(bytes))).map(([, values]) => values['text'])).toEqual(text);
  });

  it('keeps what is no UTF-8 from passing as a text', async () => {
    const data = [Uint8Array.of(0x66, 0x69), Uint8Array.of(0x63, 0xe9)];
    const bytes = parquetWriteBuffer({ columnData: [{ name: 'text', data, type: 'BYTE_ARRAY' }] });
    const [[, fine], [, bad]] = await read(new Uint8Array(bytes));
    expect(fine['text']).toBe('fi');
    expect(JSON.stringify(bad['text'])).toBe('"bytes that are no UTF-8: 63e9"');
  });

  it.each(['SNAPPY', 'GZIP'] as const)(
    'of codec %s is refused where a column unpacks to more than is held',
    async (codec) => {
      const text = Array.from({ length: 100 }, () => 'a'.repeat(1000));
      const bytes = parquetWriteBuffer({
        columnData: [{ name: 'text', data: text, type: 'STRING', encoding: 'PLAIN' }],
        codec,
        compressors: { GZIP: (page) => gzipSync(page) },
      });
      expect(bytes.byteLength).toBeLessThan(10_000);
      const reading = async (most: number) => {
        for await (const _ of parquetRows(contentOf(new Uint8Array(bytes)), wanted, 'file', most));
      };
      await reading(101_000);
      await expect(reading(90_000)).rejects.toThrow(
        /^file: expected at most 0 MB in a row group of "text" once it is unpacked, got 0 MB or more: write smaller row groups$/,
      );
    },
  );

  it('is refused where a column says to be small and its pages are not', async () => {
    const text = Array.from({ length: 100 }, () => 'a'.repeat(1000));
    const bytes = Buffer.from(
      parquetWriteBuffer({ columnData: [{ name: 'text', data: text, type: 'STRING', encoding: 'PLAIN' }] }),
    );
    const metadata = parquetMetadata(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
    const said = metadata.row_groups[0].columns[0].meta_data!.total_uncompressed_size;
    // As Thrift writes numbers: zigzag, seven bits a byte.
    const varint = (n: bigint): Buffer => {
      const all = [];
      for (let left = n * 2n; ; left >>= 7n) {
        all.push(Number(left & 127n) | (left > 127n ? 128 : 0));
        if (left <= 127n) return Buffer.from(all);
      }
    };
    for (let at = bytes.indexOf(varint(said)); at >= 0; at = bytes.indexOf(varint(said), at + 1))
      varint(70_000n).copy(bytes, at);
    const reading = async () => {
      for await (const _ of parquetRows(contentOf(bytes), wanted, 'file', 90_000));
    };
    await expect(reading()).rejects.toThrow('once it is unpacked, got 0 MB or more');
  });

  it('is refused where a column is missing or there twice', async () => {
    const column = (name: string) => ({ name, data: ['a'], type: 'STRING' as const });
    const of = (...names: string[]) => new Uint8Array(parquetWriteBuffer({ columnData: names.map(column) }));
    await expect(read(of('txet', 'label'))).rejects.toThrow(
      'file: expected a column "text", got txet, label (did you mean "txet"?)',
    );
    await expect(read(of('text', 'text'))).rejects.toThrow('got "text" as columns 1 and 2');
  });
});
