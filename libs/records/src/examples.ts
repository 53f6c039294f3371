/** Dataset files: one Parquet file per split, one row per example. */
import type { SourceExample, Split } from '@emotune/affect';
import { parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { parquetWriteBuffer } from 'hyparquet-writer';
import {
  type ColumnKind,
  type Columns,
  column,
  emotionColumn,
  fields,
  number,
  rowFrom,
  scaleColumns,
  valuesOf,
} from './columns.js';
import { bufferOf } from './parquet-rows.js';
import type { FileContent } from './rows.js';

const columns: Columns = {
  ...fields('string', 'id', 'source', 'originalId', 'licence', 'language', 'task', 'text'),
  ...emotionColumn,
  value: number('gold', 'value'),
  spread: number('gold', 'spread'),
  labels: column('list', ['gold', 'labels']),
  ...fields('list', 'labelSet'),
  ...fields('flag', 'multiLabel'),
  ...scaleColumns,
};

const types = {
  string: 'STRING',
  list: 'STRING',
  number: 'DOUBLE',
  integer: 'INT32',
  flag: 'BOOLEAN',
} as const satisfies Record<ColumnKind, string>;

/** The bytes of one split's file. The same examples give the same bytes. */
export function encodeExamples(examples: readonly SourceExample[]): Uint8Array {
  const columnData = Object.entries(columns).map(([name, stored]) => ({
    name,
    data: valuesOf(examples, stored) as (string | number | boolean | null)[],
    type: types[stored.kind],
    nullable: stored.nullable,
  }));
  return new Uint8Array(parquetWriteBuffer({ columnData }));
}

type StoredExample = Omit<SourceExample, 'split'>;

function exampleOf(row: Readonly<Record<string, unknown>>, split: Split): SourceExample {
  return { ...rowFrom<StoredExample>(columns, (name) => row[name]), split };
}

/** All examples of one split's file. */
export async function decodeExamples(bytes: Uint8Array, split: Split): Promise<SourceExample[]> {
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  const rows = await parquetReadObjects({ file });
  return rows.map((row) => exampleOf(row, split));
}

/** The examples of one split's file in their order, of which a row group is held at a time. */
export async function* readExamples(content: FileContent, split: Split): AsyncGenerator<SourceExample> {
  const file = bufferOf(content);
  const metadata = await parquetMetadataAsync(file);
  let start = 0;
  for (const { num_rows: rows } of metadata.row_groups) {
    const end = start + Number(rows);
    for (const row of await parquetReadObjects({ file, metadata, rowStart: start, rowEnd: end }))
      yield exampleOf(row, split);
    start = end;
  }
}

export async function countExamples(content: FileContent): Promise<number> {
  return Number((await parquetMetadataAsync(bufferOf(content))).num_rows);
}
