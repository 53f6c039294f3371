/**
 * Examples from a file of the user's own: CSV, TSV, JSONL or Parquet, read piece by piece: held are a piece, a row (a row group of
 * Parquet) and the ids, beside what the caller keeps. What is wrong is told by the line, once for all rows that are wrong alike.
 *
 * A text, label, emotion or id is a text or a number, which counts as it is written (`1.50`, `1765432109876543001`); anything else
 * is refused, as are texts with U+0000 or half a surrogate pair. Several labels are a list, or a text that the separator divides. An
 * empty or absent id is none.
 */
import { extname } from 'node:path';
import {
  type Gold,
  labelGold,
  numberGold,
  type Scale,
  type SourceExample,
  type Split,
  type Task,
  unitOf,
} from '@emotune/affect';
import { InvalidArgument, nearest, own, show, textFault, type Violation, Violations } from '@emotune/base';
import { delimitedRows } from './delimited.js';
import { bytesOf, expectFits, type Held } from './held.js';
import { jsonRows, WrittenNumber } from './json-rows.js';
import { expectUnfolded, largestTextBytes, longestWord, mostRows, tooManyRows } from './limits.js';
import { parquetRows } from './parquet-rows.js';
import { RowIds } from './row-ids.js';
import type { FileContent, Row, Wanted } from './rows.js';

export interface UserFile {
  /** What the user calls the file; its extension tells the format. */
  readonly path: string;
  readonly name: string;
  readonly task: Task;
  readonly scale: Scale | null;
  readonly labels: readonly string[];
  readonly multiLabel: boolean;
  /** Between the labels of a row where they are one text. */
  readonly labelSeparator: string;
  /** What numbers stand for where the file has them in place of labels. */
  readonly labelNames?: readonly string[];
  readonly columns: {
    readonly text: string;
    readonly label: string;
    readonly emotion: string;
    readonly id: string;
  };
  readonly licence: string;
  readonly language: string;
  readonly split: Split | null;
}

type Reader = (content: FileContent, wanted: Wanted, field: string) => AsyncIterable<Row>;

/** The columns of a file, as a request names them. */
interface NamedColumns {
  readonly textColumn: string;
  readonly labelColumn: string;
  readonly emotionColumn: string;
  readonly idColumn: string;
}

const longestColumn = 200;

/** What is wrong with how a request names columns; `field` is the path of the file. */
export function columnViolations(given: NamedColumns, field: string): readonly Violation[] {
  const violations = new Violations();
  for (const name of ['textColumn', 'labelColumn', 'emotionColumn', 'idColumn'] as const)
    violations.expect(
      given[name].length <= longestColumn,
      `${field}.${name}`,
      `expected at most ${longestColumn} characters, got ${given[name].length}`,
    );
  return violations.list;
}

/** The columns of a file; an empty name is the usual one. */
export function columnsOf(given: NamedColumns): UserFile['columns'] {
  return {
    text: given.textColumn || 'text',
    label: given.labelColumn || 'label',
    emotion: given.emotionColumn || 'emotion',
    id: given.idColumn || 'id',
  };
}

export const formats: Readonly<Record<string, Reader>> = {
  '.csv': (content, wanted, field) => delimitedRows('csv', content.read(), wanted, field),
  '.tsv': (content, wanted, field) => delimitedRows('tsv', content.read(), wanted, field),
  '.jsonl': (content, wanted, field) => jsonRows(content.read(), wanted, field),
  '.parquet': parquetRows,
};

/** Kinds of wrong rows that are told; the rows of others are counted. */
const reported = 20;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** An example whose ids are given when all of the file's own are known. */
type Draft = Mutable<SourceExample>;

/** What is wrong with a row. */
class Fault {
  constructor(readonly description: string) {}
}

/** The text that a value is; empty where there is none. */
function textOf(value: unknown, column: string, what: string): string | Fault {
  if (value === undefined) return '';
  if (value instanceof WrittenNumber) return value.digits;
  if (typeof value === 'bigint') return `${value}`;
  if (typeof value === 'number') return Number.isNaN(value) ? '' : `${value}`;
  if (typeof value !== 'string') return new Fault(`expected ${what} in "${column}", got ${show(value)}`);
  const fault = textFault(value);
  return fault === undefined ? value.trim() : new Fault(`"${column}": ${fault}`);
}

/** As `textOf`, of at most so many characters. */
function wordOf(value: unknown, column: string, what: string): string | Fault {
  const word = textOf(value, column, what);
  return word instanceof Fault || word.length <= longestWord
    ? word
    : new Fault(`"${column}": expected at most ${longestWord} characters, got ${word.length}`);
}

/** As `textOf`, where there has to be one. */
function someText(value: unknown, column: string, what: string): string | Fault {
  const text = textOf(value, column, what);
  return text === '' ? new Fault(`expected ${what} in "${column}", got ${show(value || undefined)}`) : text;
}

/** Makes examples of the rows of one file. */
class RowReader {
  private readonly golds = new Map<string, Gold>();
  private readonly labelSet: readonly string[];

  constructor(private readonly file: UserFile) {
    this.labelSet = [...file.labels];
  }

  example(values: Readonly<Record<string, unknown>>): Draft | Fault {
    const { columns, task, scale, name, licence, language, multiLabel, split } = this.file;
    const text = someText(own(values, columns.text), columns.text, 'a text');
    if (text instanceof Fault) return text;
    const size = Buffer.byteLength(text);
    if (size > largestTextBytes)
      return new Fault(
        `"${columns.text}": expected at most ${largestTextBytes.toLocaleString('en')} bytes, got ${size.toLocaleString('en')}: make several rows of it`,
      );
    const common = { id: '', source: name, originalId: '', licence, language, task, text, split };
    if (scale === null) {
      const gold = this.labels(own(values, columns.label));
      if (gold instanceof Fault) return gold;
      return { ...common, emotion: null, labelSet: this.labelSet, multiLabel, scale, gold };
    }
    const label = someText(own(values, columns.label), columns.label, 'a label');
    if (label instanceof Fault) return label;
    const native = Number(label);
    if (!(native >= Math.min(scale.low, scale.high) && native <= Math.max(scale.low, scale.high)))
      return new Fault(`expected a number on ${scale.low}..${scale.high}, got ${show(label)}`);
    // No negative zero where the scale is inverted.
    const gold = numberGold(Math.max(0, unitOf(scale, native)));
    const rated = { ...common, emotion: null, labelSet: [], multiLabel: false, scale, gold };
    if (task !== 'emotion-regression') return rated;
    const emotion = someText(own(values, columns.emotion), columns.emotion, 'an emotion');
    if (emotion instanceof Fault) return emotion;
    const word = wordOf(emotion, columns.emotion, 'an emotion');
    return word instanceof Fault ? word : { ...rated, emotion };
  }

  private labels(value: unknown): Gold | Fault {
    const found = Array.isArray(value) ? this.listed(value) : this.written(value);
    if (found instanceof Fault) return found;
    const { labelNames = [] } = this.file;
    const given = found.map((label) => (/^\d+$/.test(label) ? (labelNames[Number(label)] ?? label) : label));
    // No label has U+0000.
    const key = given.length === 1 ? given[0] : given.join('\0');
    const known = this.golds.get(key);
    if (known !== undefined) return known;
    const { labels } = this.file;
    const unknown = given.find((label) => !labels.includes(label));
    if (unknown === undefined) {
      const gold = labelGold([...new Set(given)].sort());
      this.golds.set(key, gold);
      return gold;
    }
    const near = nearest(unknown, labels);
    return new Fault(
      `expected labels among ${labels.join(', ')}, got ${show(unknown)}` +
        (given.length > 1 ? ` in ${show(value)}` : '') +
        (near === undefined ? '' : ` (did you mean "${near}"?)`),
    );
  }

  private listed(values: readonly unknown[]): readonly string[] | Fault {
    const { label: column } = this.file.columns;
    if (!this.file.multiLabel)
      return new Fault(
        `expected one label in "${column}", got ${show(values)}: rows with several need multiLabel: true`,
      );
    const given: string[] = [];
    for (const value of values) {
      const label = someText(value, column, 'labels');
      if (label instanceof Fault) return new Fault(`expected labels in "${column}", got ${show(values)}`);
      given.push(label);
    }
    return given.length === 0 ? new Fault(`expected at least one label in "${column}", got []`) : given;
  }

  private written(value: unknown): readonly string[] | Fault {
    const { columns, multiLabel, labelSeparator } = this.file;
    const text = someText(value, columns.label, multiLabel ? 'labels' : 'a label');
    if (text instanceof Fault) return text;
    if (!multiLabel) return [text];
    const given = text
      .split(labelSeparator)
      .map((label) => label.trim())
      .filter((label) => label !== '');
    return given.length === 0
      ? new Fault(`expected at least one label in "${columns.label}", got ${show(text)}`)
      : given;
  }
}

/** What is wrong, each kind once: where it was first met, and how many rows are like it. */
class Faults {
  private readonly found = new Map<string, { readonly at: string; rows: number }>();
  private others = 0;

  add(at: string, description: string): void {
    const kind = this.found.get(description);
    if (kind !== undefined) kind.rows++;
    else if (this.found.size < reported) this.found.set(description, { at, rows: 1 });
    else this.others++;
  }

  /** @throws InvalidArgument */
  throwIfAny(field: string): void {
    const violations = new Violations();
    const rows = (count: number) => `${count.toLocaleString('en')} more ${count === 1 ? 'row' : 'rows'}`;
    for (const [description, { at, rows: count }] of this.found)
      violations.add(
        `${field}, ${at}`,
        count === 1 ? description : `${description}, and ${rows(count - 1)} like it`,
      );
    if (this.others > 0)
      violations.add(field, `${rows(this.others)} ${this.others === 1 ? 'is' : 'are'} wrong in other ways`);
    violations.throwIfAny();
  }
}

/** What a file holds. */
export interface Found extends Held {
  /** Its own. */
  readonly ids: RowIds;
}

/** Every example with its own id, but without those that it is given. @param ids Notes them; undefined where they are known. @throws InvalidArgument */
async function* drafts(
  file: UserFile,
  content: FileContent,
  field: string,
  ids?: RowIds,
): AsyncGenerator<{ readonly example: Draft; readonly id: string }> {
  const extension = extname(file.path).toLowerCase();
  const rowsOf = own(formats, extension);
  if (rowsOf === undefined)
    throw InvalidArgument.at(
      field,
      `expected a file that ends in ${Object.keys(formats).join(', ')}, got ${file.path}`,
    );
  if (content.bytes === 0) throw InvalidArgument.at(field, `expected rows, got an empty file: ${file.path}`);
  const { columns } = file;
  const required = [columns.text, columns.label];
  const reader = new RowReader(file);
  const faults = new Faults();
  const read = (row: Row): { readonly example: Draft; readonly id: string } | Fault => {
    if (row.fault !== undefined) return new Fault(row.fault);
    const id = wordOf(own(row.values, columns.id) ?? undefined, columns.id, 'an id');
    if (id instanceof Fault) return id;
    const first = id === '' ? undefined : ids?.add(id, row.at);
    if (first !== undefined)
      return new Fault(`expected a unique ${columns.id}, got ${show(id)} as on ${first}`);
    const example = reader.example(row.values);
    return example instanceof Fault ? example : { example, id };
  };
  let rows = 0;
  for await (const row of rowsOf(content, { columns: Object.values(columns), required }, field)) {
    if (++rows > mostRows) throw tooManyRows(field, rows);
    const draft = read(row);
    if (draft instanceof Fault) faults.add(row.at, draft.description);
    else yield draft;
  }
  if (rows === 0) throw InvalidArgument.at(field, `expected rows below the header, got none: ${file.path}`);
  faults.throwIfAny(field);
}

/**
 * Reads a whole file and keeps no example.
 * @throws InvalidArgument naming rows without a label or text, labels off the declared scale or set, duplicate ids, what cannot be
 *   read, and more than a file may hold.
 */
export async function checkUserFile(file: UserFile, content: FileContent, field: string): Promise<Found> {
  const ids = new RowIds();
  let [rows, textBytes] = [0, 0];
  for await (const { example } of drafts(file, content, field, ids)) {
    rows++;
    textBytes += bytesOf(example.text);
    expectUnfolded(textBytes, content.bytes, field);
  }
  return { ids, rows, textBytes };
}

/**
 * The examples of a file that was checked, one by one. One without an id gets the number of its row, or, where the file has that as
 * an id, the next number behind the last row that it has not.
 */
export async function* userExamples(
  file: UserFile,
  content: FileContent,
  field: string,
  { ids, rows }: Found,
): AsyncGenerator<SourceExample> {
  let row = 0;
  let next = rows;
  for await (const { example, id } of drafts(file, content, field)) {
    let number = ++row;
    if (id === '') while (ids.has(`${number}`)) number = ++next;
    example.originalId = id === '' ? `${number}` : id;
    example.id = `${file.name}/${example.originalId}`;
    yield example;
  }
}

/** All examples of a file, held. @throws InvalidArgument as `checkUserFile`, and when they are more than memory holds. */
export async function readUserFile(
  file: UserFile,
  content: FileContent,
  field: string,
): Promise<SourceExample[]> {
  const found = await checkUserFile(file, content, field);
  expectFits(found, field);
  const examples: SourceExample[] = [];
  // A piece of a string keeps all of it.
  for await (const example of userExamples(file, content, field, found))
    examples.push({ ...example, text: Buffer.from(example.text).toString() });
  return examples;
}
