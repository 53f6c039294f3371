/** Texts alone, from a file of the user's own: a column of CSV, TSV, JSONL or Parquet, or the lines of a plain text. */
import { extname } from 'node:path';
import { InvalidArgument, own, show, textFault, textLines, Violations } from '@emotune/base';
import { WrittenNumber } from './json-rows.js';
import { mostRows, tooManyRows } from './limits.js';
import type { FileContent, Row } from './rows.js';
import { formats } from './user-file.js';

/** Wrong rows that are told. */
const reported = 20;

async function* plainRows(content: FileContent, column: string, field: string): AsyncGenerator<Row> {
  for await (const { text, number } of textLines(content.read(), field))
    if (text.trim() !== '') yield { at: `line ${number}`, values: { [column]: text } };
}

function textOf(value: unknown): string {
  return value instanceof WrittenNumber ? value.digits : value === undefined ? '' : String(value);
}

/**
 * The texts of a file in their order, each once; blank lines are passed over.
 * @param path Tells the format by its extension; `.txt` has a text a line.
 * @param field Of the file, for errors.
 * @throws InvalidArgument naming the lines without a text, and what cannot be read.
 */
export async function readTexts(
  path: string,
  content: FileContent,
  column: string,
  field: string,
): Promise<string[]> {
  const extension = extname(path).toLowerCase();
  const rowsOf = own(formats, extension);
  if (rowsOf === undefined && extension !== '.txt')
    throw InvalidArgument.at(
      field,
      `expected a file that ends in .txt, ${Object.keys(formats).join(', ')}, got ${path}`,
    );
  const wanted = { columns: [column], required: [column] };
  const rows = rowsOf?.(content, wanted, field) ?? plainRows(content, column, field);
  const violations = new Violations();
  const texts = new Set<string>();
  let count = 0;
  for await (const row of rows) {
    if (++count > mostRows) throw tooManyRows(field, count);
    const value = row.fault === undefined ? own(row.values, column) : undefined;
    const text = textOf(value).trim();
    const fault =
      row.fault ?? (text === '' ? `expected a text in "${column}", got ${show(value)}` : textFault(text));
    if (fault === undefined) texts.add(text);
    else violations.add(`${field}, ${row.at}`, fault);
    if (violations.list.length === reported) break;
  }
  violations.throwIfAny();
  if (texts.size === 0) throw InvalidArgument.at(field, `expected texts, got none: ${path}`);
  return [...texts];
}
