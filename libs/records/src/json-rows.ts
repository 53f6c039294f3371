/**
 * Rows of JSON, one object a line. A number of a wanted column keeps the digits that it is written with, whatever their count; an object
 * that has a wanted column twice, with two values, is none.
 */
import { own, show, textLines } from '@emotune/base';
import { parse } from 'lossless-json';
import { expectColumns, type Row, type Wanted } from './rows.js';

/** A number as it is written. */
export class WrittenNumber {
  constructor(readonly digits: string) {}

  /** Near enough for a message. */
  toJSON(): number {
    return Number(this.digits);
  }
}

/** The platform's own parser is several times as fast, and does as well where there are no numbers and each name stands once. */
function isPlain(line: string, values: Readonly<Record<string, unknown>>, { columns }: Wanted): boolean {
  return columns.every((name) => {
    const value = own(values, name);
    if (typeof value === 'number' || (typeof value === 'object' && value !== null)) return false;
    const quoted = JSON.stringify(name);
    return line.indexOf(quoted) === line.lastIndexOf(quoted);
  });
}

function rowOf(line: string, at: string, wanted: Wanted): Row {
  let values: unknown;
  try {
    values = JSON.parse(line);
    if (typeof values !== 'object' || values === null || Array.isArray(values))
      return { at, fault: `expected one JSON object, got ${show(line)}` };
    if (!isPlain(line, values as Record<string, unknown>, wanted))
      values = parse(line, undefined, (digits) => new WrittenNumber(digits));
  } catch (error) {
    return { at, fault: `expected one JSON object, got ${show(line)} (${(error as Error).message})` };
  }
  return { at, values: values as Record<string, unknown> };
}

/** @throws InvalidArgument also when no row has a required column. */
export async function* jsonRows(
  pieces: AsyncIterable<Uint8Array>,
  wanted: Wanted,
  field: string,
): AsyncGenerator<Row> {
  let first: readonly string[] | undefined;
  const met = new Set<string>();
  for await (const { text, number } of textLines(pieces, field)) {
    // A byte order mark stands where files were joined.
    const line = text.trim();
    if (line === '') continue;
    const row = rowOf(line, `line ${number}`, wanted);
    if (row.fault === undefined) {
      first ??= Object.keys(row.values);
      if (met.size < wanted.required.length)
        for (const name of wanted.required) if (Object.hasOwn(row.values, name)) met.add(name);
    }
    yield row;
  }
  if (first !== undefined && met.size < wanted.required.length)
    expectColumns([...first, ...met], wanted, field);
}
