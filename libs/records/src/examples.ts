/** Dataset files: one Parquet file per split, one row per example. */
import type { SourceExample, Split } from '@emotune/affect';
import { parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { fileWriter, ParquetWriter, parquetWriteBuffer, schemaFromColumnData } from 'hyparquet-writer';
import {
  type ColumnKind,
  type Columns,
  column,
  emotionColumn,
  fields,
  number,
  raterColumns,
  rowFrom,
  scaleColumns,
  valuesOf,
} from './columns.js';
import { bytesOf } from './held.js';
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
  ...raterColumns,
};

const types = {
  string: 'STRING',
  list: 'STRING',
  numbers: 'STRING',
  counts: 'STRING',
  number: 'DOUBLE',
  integer: 'INT32',
  flag: 'BOOLEAN',
} as const satisfies Record<ColumnKind, string>;

const dataOf = (examples: readonly SourceExample[]) =>
  Object.entries(columns).map(([name, stored]) => ({
    name,
    data: valuesOf(examples, stored) as (string | number | boolean | null)[],
    type: types[stored.kind],
    nullable: stored.nullable,
  }));

/** The bytes of one split's file. The same examples give the same bytes, which are those of `ExampleWriter` where texts are short. */
export function encodeExamples(examples: readonly SourceExample[]): Uint8Array {
  return new Uint8Array(parquetWriteBuffer({ columnData: dataOf(examples), rowGroupSize: [...groupRows] }));
}

/** Rows of the first row group, which a preview reads, and of each further one. */
const groupRows = [1_000, 100_000] as const;
/** Of the texts of a row group, which is held while it is written and read; then it has fewer rows. */
const groupTextBytes = 2 ** 26;

/** Writes one split's file, of which a row group is held at a time. The same examples give the same bytes. */
export class ExampleWriter {
  private readonly writer: ParquetWriter;
  private waiting: SourceExample[] = [];
  private textBytes = 0;
  private groups = 0;
  rows = 0;

  /** @param path is made, or replaced */
  constructor(path: string) {
    const schema = schemaFromColumnData({ columnData: dataOf([]) });
    this.writer = new ParquetWriter({ writer: fileWriter(path), schema });
  }

  add(example: SourceExample): void {
    this.rows++;
    this.textBytes += bytesOf(example.text);
    this.waiting.push(example);
    const full = this.waiting.length === groupRows[Math.min(this.groups, 1)];
    if (full || this.textBytes >= groupTextBytes) this.flush();
  }

  private flush(): void {
    const { length } = this.waiting;
    if (length === 0) return;
    // `fileWriter` writes as it is called.
    void this.writer.write({ columnData: dataOf(this.waiting), rowGroupSize: length });
    this.groups++;
    [this.waiting, this.textBytes] = [[], 0];
  }

  finish(): void {
    this.flush();
    void this.writer.finish();
  }
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
