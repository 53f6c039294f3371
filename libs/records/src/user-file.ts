/** Examples from a file of the user's own: CSV, TSV, JSONL or Parquet. Every bad row is counted and the first ones are named. */
import { extname } from 'node:path';
import {
  labelGold,
  numberGold,
  type Scale,
  type SourceExample,
  type Split,
  type Task,
} from '@emotune/affect';
import { InvalidArgument, show, Violations } from '@emotune/base';
import { parquetMetadata, parquetReadObjects, parquetSchema } from 'hyparquet';
import { csvRows, decode, lines } from './text-files.js';

export interface UserFile {
  /** What the user calls the file; its extension tells the format. */
  readonly path: string;
  readonly name: string;
  readonly task: Task;
  readonly scale: Scale | null;
  readonly labels: readonly string[];
  readonly multiLabel: boolean;
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

const formats = ['.csv', '.tsv', '.jsonl', '.parquet'];
/** Violations reported by row; the rest are counted. */
const reported = 20;

type Row = Record<string, unknown>;

/** Texts with ids take more than this, however well they are packed. */
const mostRowsPerByte = 8;

/**
 * The rows, with the values of these columns. Each column of each row group is read alone: the
 * library reads them side by side, and of several that fail it tells the first, which leaves the others to end the process.
 */
async function parquetRows(file: ArrayBuffer, wanted: readonly string[]): Promise<Row[]> {
  const metadata = parquetMetadata(file);
  const columns = parquetSchema(metadata).children;
  const names = columns.map(({ element }) => element.name);
  const counts = metadata.row_groups.map((group) => Number(group.num_rows));
  const total = counts.reduce((sum, count) => sum + count, 0);
  const most = file.byteLength * mostRowsPerByte;
  if (counts.some((count) => count < 0) || total > most)
    throw new Error(`expected at most ${most} rows in ${file.byteLength} bytes, got ${total}`);
  const rows = Array.from({ length: total }, (): Row => ({}));
  // The first row tells which columns there are.
  if (total > 0) for (const name of names) rows[0][name] = null;
  for (const { element, children } of columns) {
    const { name } = element;
    if (!wanted.includes(name)) continue;
    if (children.length > 0)
      throw new Error(`expected a plain column "${name}", got one with columns of its own`);
    let start = 0;
    for (const count of counts) {
      const end = start + count;
      const values = await parquetReadObjects({
        file,
        metadata,
        columns: [name],
        rowStart: start,
        rowEnd: end,
      });
      if (values.length !== end - start)
        throw new Error(`expected ${end - start} rows of "${name}", got ${values.length}`);
      for (const [i, value] of values.entries()) rows[start + i][name] = value[name];
      start = end;
    }
  }
  return rows;
}

async function rowsOf(file: UserFile, bytes: Uint8Array, field: string): Promise<Row[]> {
  const extension = extname(file.path).toLowerCase();
  if (!formats.includes(extension)) {
    throw InvalidArgument.at(field, `expected a file that ends in ${formats.join(', ')}, got ${file.path}`);
  }
  if (bytes.length === 0) throw InvalidArgument.at(field, `expected rows, got an empty file: ${file.path}`);
  try {
    if (extension === '.parquet') {
      const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
      return await parquetRows(buffer, Object.values(file.columns));
    }
    const text = decode(bytes, file.path, field);
    if (extension === '.jsonl') {
      return lines(text).map((line, i) => {
        let row: unknown;
        try {
          row = JSON.parse(line);
        } catch {
          row = undefined;
        }
        if (typeof row !== 'object' || row === null || Array.isArray(row))
          throw InvalidArgument.at(`${field}, line ${i + 1}`, `expected one JSON object, got ${show(line)}`);
        return row as Row;
      });
    }
    return csvRows(text, extension === '.tsv' ? '\t' : ',');
  } catch (cause) {
    if (cause instanceof InvalidArgument) throw cause;
    throw InvalidArgument.at(
      field,
      `expected a well-formed ${extension} file, got: ${(cause as Error).message}`,
      { cause },
    );
  }
}

/**
 * The rows of a file that holds `bytes`.
 * @throws InvalidArgument naming rows without a label or text, labels off the declared scale or set, and duplicate ids.
 */
export async function readUserFile(
  file: UserFile,
  bytes: Uint8Array,
  field: string,
): Promise<SourceExample[]> {
  const rows = await rowsOf(file, bytes, field);
  if (rows.length === 0)
    throw InvalidArgument.at(field, `expected rows below the header, got none: ${file.path}`);
  const { columns } = file;
  for (const column of [columns.text, columns.label]) {
    if (!(column in rows[0])) {
      throw InvalidArgument.at(
        field,
        `expected a column "${column}", got ${Object.keys(rows[0]).join(', ')}: ${file.path}`,
      );
    }
  }
  const violations = new Violations();
  const firstRowOf = new Map<string, number>();
  const examples: SourceExample[] = [];
  let bad = 0;
  for (const [i, row] of rows.entries()) {
    const originalId = String(row[columns.id] ?? i + 1);
    const first = firstRowOf.get(originalId);
    const result =
      first === undefined
        ? exampleOf(file, row, originalId)
        : `expected a unique ${columns.id}, got ${show(originalId)} as in row ${first}`;
    firstRowOf.set(originalId, first ?? i + 1);
    if (typeof result !== 'string') examples.push(result);
    else if (bad++ < reported) violations.add(`${field}, row ${i + 1}`, result);
  }
  if (bad > reported) violations.add(field, `${bad - reported} more rows are wrong in the same ways`);
  violations.throwIfAny();
  return examples;
}

/** The example that a row holds, or what is wrong with it. */
function exampleOf(file: UserFile, row: Row, originalId: string): SourceExample | string {
  const { columns, task } = file;
  const text = String(row[columns.text] ?? '').trim();
  const label = String(row[columns.label] ?? '').trim();
  if (text === '') return `expected a text in "${columns.text}", got nothing`;
  if (label === '') return `expected a label in "${columns.label}", got nothing`;
  const example = {
    id: `${file.name}/${originalId}`,
    source: file.name,
    originalId,
    licence: file.licence,
    language: file.language,
    task,
    text,
    emotion: null,
    labelSet: [],
    multiLabel: false,
    scale: null,
    split: file.split,
  };
  if (task === 'sentiment-regression' || task === 'emotion-regression') {
    const { low, high } = file.scale!;
    const native = Number(label);
    if (!(native >= low && native <= high)) return `expected a number on ${low}..${high}, got ${show(label)}`;
    const emotion = String(row[columns.emotion] ?? '').trim();
    if (task === 'emotion-regression' && emotion === '')
      return `expected an emotion in "${columns.emotion}", got nothing`;
    return {
      ...example,
      emotion: task === 'emotion-regression' ? emotion : null,
      scale: file.scale,
      gold: numberGold((native - low) / (high - low)),
    };
  }
  const given = (file.multiLabel ? label.split('|') : [label]).map((l) => l.trim()).filter(Boolean);
  const unknown = given.filter((l) => !file.labels.includes(l));
  if (unknown.length > 0) return `expected labels among ${file.labels.join(', ')}, got ${unknown.join(', ')}`;
  return {
    ...example,
    labelSet: [...file.labels],
    multiLabel: file.multiLabel,
    gold: labelGold([...new Set(given)].sort()),
  };
}
