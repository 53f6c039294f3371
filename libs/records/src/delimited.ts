/**
 * Comma- and tab-separated rows below a header. Lines end in CRLF, LF or CR, mixed as they may be; blank ones are passed over; names
 * in the header are told apart after outer blanks are dropped, and by case.
 *
 * CSV is RFC 4180: a field that begins with `"` is quoted, ends at the next `"` that is not doubled, and may hold commas and line
 * ends; what follows is a comma or the end of the row, else the row cannot be read. A `"` elsewhere is a character.
 *
 * TSV is as people write it: a field ends at the next tab or end of line, always. One that begins and ends with `"`, each `"` between them
 * doubled, is quoted: the outer ones are dropped, the doubled ones single. In any other field a `"` is a character.
 */
import {
  decoded,
  InvalidArgument,
  lineEnds,
  lineTooLong,
  longestLine,
  textLines,
  Violations,
} from '@emotune/base';
import { expectColumns, expectDistinct, type Row, type Wanted } from './rows.js';

interface Fields {
  readonly cells: readonly string[];
  /** The line that they begin on. */
  readonly line: number;
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;

/** Takes CSV in pieces, gives the fields of each row that has ended. A comma divides them, or what is given in its place. */
class CsvScanner {
  private rest = '';
  /** Of the row that comes next. */
  private line = 1;
  private cells: string[] = [];
  private linesTaken = 0;
  /** The line on which a quoted field begins that has not ended yet. */
  private opened: number | undefined;

  private readonly delimiter: number;

  constructor(
    private readonly field: string,
    delimiter = ',',
  ) {
    this.delimiter = delimiter.charCodeAt(0);
  }

  *take(piece: string, last = false): Generator<Fields> {
    const text = this.rest + piece;
    let at = 0;
    while (at < text.length) {
      const end = this.row(text, at, last);
      if (end === undefined) break;
      const { cells, line } = this;
      this.line += this.linesTaken;
      if (cells.length > 1 || text.slice(at, end).trim() !== '') yield { cells, line };
      at = end;
    }
    this.rest = text.slice(at);
    if (this.rest.length <= longestLine) return;
    if (this.opened === undefined) throw lineTooLong(this.field, this.line);
    throw this.notClosed(this.opened, `none in ${longestLine} characters`);
  }

  /** Where the row that begins at `start` has ended; undefined when that has not come yet. */
  private row(text: string, start: number, last: boolean): number | undefined {
    const { length } = text;
    const { delimiter } = this;
    this.cells = [];
    this.linesTaken = 0;
    for (let at = start; ; at++) {
      const opened = this.line + this.linesTaken;
      if (text[at] === '"') {
        this.opened = opened;
        let cell = '';
        let from = at + 1;
        for (;;) {
          const quote = text.indexOf('"', from);
          if (!last && (quote === -1 || quote === length - 1)) return undefined;
          if (quote === -1) throw this.notClosed(opened, 'none up to the end of the file');
          if (text[quote + 1] === '"') {
            cell += text.slice(from, quote + 1);
            from = quote + 2;
            continue;
          }
          cell += text.slice(from, quote);
          at = quote + 1;
          break;
        }
        this.opened = undefined;
        this.linesTaken += lineEnds(cell);
        this.cells.push(cell);
      } else {
        const from = at;
        for (; at < length; at++) {
          const code = text.charCodeAt(at);
          if (code === delimiter || code === lineFeed || code === carriageReturn) break;
        }
        this.cells.push(text.slice(from, at));
      }
      if (at >= length) {
        this.linesTaken++;
        return last ? length : undefined;
      }
      const code = text.charCodeAt(at);
      if (code === delimiter) continue;
      this.linesTaken++;
      if (code === lineFeed) return at + 1;
      if (code !== carriageReturn) throw this.notClosed(opened, JSON.stringify(text.slice(at - 1, at + 20)));
      if (at + 1 === length && !last) return undefined;
      return text.charCodeAt(at + 1) === lineFeed ? at + 2 : at + 1;
    }
  }

  private notClosed(line: number, got: string): InvalidArgument {
    return InvalidArgument.at(
      `${this.field}, line ${line}`,
      `expected a closing " before a comma or the end of the row for the field that begins with " here, got ${got}: ` +
        'write each " inside quotes twice, and a text that only begins with " in quotes of its own',
    );
  }
}

async function* csvFields(pieces: AsyncIterable<Uint8Array>, field: string): AsyncGenerator<Fields> {
  const scanner = new CsvScanner(field);
  for await (const piece of decoded(pieces, field)) yield* scanner.take(piece);
  yield* scanner.take('', true);
}

function unquoted(cell: string): string {
  if (cell.length < 2 || !cell.startsWith('"') || !cell.endsWith('"')) return cell;
  const inner = cell.slice(1, -1);
  const single = inner.replaceAll('""', '');
  return single.includes('"') ? cell : inner.replaceAll('""', '"');
}

async function* tsvFields(pieces: AsyncIterable<Uint8Array>, field: string): AsyncGenerator<Fields> {
  for await (const { text, number } of textLines(pieces, field)) {
    const cells = text.split('\t').map(unquoted);
    if (cells.length > 1 || text.trim() !== '') yield { cells, line: number };
  }
}

/** Reads a header, then rows by it. */
class HeaderedRows {
  private names: readonly string[] | undefined;

  constructor(
    private readonly wanted: Wanted,
    private readonly field: string,
    private readonly hint: string,
  ) {}

  /** The row; undefined for the header. @throws InvalidArgument for a header that is none. */
  row({ cells, line }: Fields): Row | undefined {
    const at = `line ${line}`;
    if (this.names === undefined) {
      const names = cells.map((cell) => cell.trim());
      if (names.some((name) => name.includes('\0')))
        throw InvalidArgument.at(
          `${this.field}, ${at}`,
          'expected a header, got a binary file, or UTF-16 without its byte order mark',
        );
      expectDistinct(names, `${this.field}, ${at}`);
      expectColumns(names, this.wanted, this.field);
      this.names = names;
      return undefined;
    }
    const { names } = this;
    if (cells.length !== names.length)
      return {
        at,
        fault: `expected ${names.length} columns as in the header, got ${cells.length}: ${this.hint}`,
      };
    // Columns may be called as what every object has.
    const values: Record<string, string> = Object.create(null);
    for (let i = 0; i < cells.length; i++) values[names[i]] = cells[i];
    return { at, values };
  }
}

const hints = {
  csv: 'a field with a comma is written in quotes',
  tsv: 'a tab ends a field, and the end of a line a row, in quotes too',
};

export async function* delimitedRows(
  format: 'csv' | 'tsv',
  pieces: AsyncIterable<Uint8Array>,
  wanted: Wanted,
  field: string,
): AsyncGenerator<Row> {
  const headered = new HeaderedRows(wanted, field, hints[format]);
  for await (const fields of format === 'csv' ? csvFields(pieces, field) : tsvFields(pieces, field)) {
    const row = headered.row(fields);
    if (row !== undefined) yield row;
  }
}

export interface TextRow {
  /** "line 2". */
  readonly at: string;
  readonly values: Readonly<Record<string, string>>;
}

/** All rows of a CSV text. @throws InvalidArgument with every row that has other columns than the header. */
export function csvRows(text: string, field = 'csv', delimiter = ','): TextRow[] {
  const scanner = new CsvScanner(field, delimiter);
  const headered = new HeaderedRows({ columns: [], required: [] }, field, hints.csv);
  const violations = new Violations();
  const rows: TextRow[] = [];
  for (const fields of [...scanner.take(text), ...scanner.take('', true)]) {
    const row = headered.row(fields);
    if (row?.fault !== undefined) violations.add(`${field}, ${row.at}`, row.fault);
    else if (row !== undefined) rows.push(row as TextRow);
  }
  violations.throwIfAny();
  return rows;
}
