/** Dataset files: one Parquet file per split, one row per example. */
import type { SourceExample, Split } from '@emotune/affect';
import { parquetReadObjects } from 'hyparquet';
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

/** Reads rows `start` (inclusive) to `end` (exclusive) of one split's file. */
export async function decodeExamples(
  bytes: Uint8Array,
  split: Split,
  start = 0,
  end?: number,
): Promise<SourceExample[]> {
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  const rows = await parquetReadObjects({
    file,
    rowStart: start,
    ...(end === undefined ? {} : { rowEnd: end }),
  });
  return rows.map((row) => ({
    ...rowFrom<Omit<SourceExample, 'split'>>(columns, (name) => row[name]),
    split,
  }));
}
