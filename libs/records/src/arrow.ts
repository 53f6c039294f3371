/** Columns of Arrow files. */
import { Bool, Float64, Int32, type Table, Utf8, type Vector, vectorFromArray } from 'apache-arrow';
import { type ColumnKind, type Columns, rowFrom, valuesOf } from './columns.js';

const types = {
  string: () => new Utf8(),
  list: () => new Utf8(),
  numbers: () => new Utf8(),
  counts: () => new Utf8(),
  number: () => new Float64(),
  integer: () => new Int32(),
  flag: () => new Bool(),
} satisfies Record<ColumnKind, () => unknown>;

/** The same rows give the same bytes. */
export function vectorsOf(rows: readonly object[], columns: Columns): Record<string, Vector> {
  return Object.fromEntries(
    Object.entries(columns).map(([name, column]) => [
      name,
      vectorFromArray(valuesOf(rows, column), types[column.kind]()),
    ]),
  );
}

/** @param more What a row holds beside the columns. */
export function rowsOf<Row>(
  table: Table,
  columns: Columns,
  more: (read: (name: string) => unknown) => Partial<Row> = () => ({}),
): Row[] {
  return table.toArray().map((stored) => {
    const read = (name: string) => stored[name];
    return { ...rowFrom<Row>(columns, read), ...more(read) };
  });
}
