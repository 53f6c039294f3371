/** Examples from a file of the user's own: CSV, TSV, JSONL or Parquet. Every bad row is counted and the first ones are named. */
import { extname } from 'node:path';
import { type Example, type Scale, type Split, type Task } from '@emotune/affect';
import { InvalidArgument, show, type Violation } from '@emotune/base';
import { parquetReadObjects } from 'hyparquet';
import { csvRows, decode, lines, readBytes } from './text-files.js';

export interface UserFile {
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

async function rowsOf(file: UserFile, field: string): Promise<Row[]> {
  const extension = extname(file.path).toLowerCase();
  if (!formats.includes(extension)) {
    throw InvalidArgument.at(field, `expected a file that ends in ${formats.join(', ')}, got ${file.path}`);
  }
  const bytes = await readBytes(file.path, field);
  try {
    if (extension === '.parquet') {
      const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
      return await parquetReadObjects({ file: buffer });
    }
    const text = decode(bytes, file.path, field);
    if (extension === '.jsonl') {
      return lines(text).map((line, i) => {
        try {
          return JSON.parse(line) as Row;
        } catch (cause) {
          throw InvalidArgument.at(`${field}, line ${i + 1}`, `expected one JSON object, got ${show(line)}`, {
            cause,
          });
        }
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
 * @throws InvalidArgument naming rows without a label or text, labels off the declared scale or set, and duplicate ids;
 *   NotFound when the file is missing.
 */
export async function readUserFile(file: UserFile, field: string): Promise<Example[]> {
  const rows = await rowsOf(file, field);
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
  const regression = file.task.endsWith('regression');
  const violations: Violation[] = [];
  let bad = 0;
  const refuse = (line: number, description: string) => {
    if (bad++ < reported) violations.push({ field: `${field}, row ${line}`, description });
  };
  const ids = new Map<string, number>();
  const examples: Example[] = [];
  rows.forEach((row, i) => {
    const number = i + 1;
    const text = String(row[columns.text] ?? '').trim();
    const label = row[columns.label];
    const originalId = String(row[columns.id] ?? number);
    const first = ids.get(originalId);
    if (first !== undefined)
      return refuse(number, `expected a unique ${columns.id}, got ${show(originalId)} as in row ${first}`);
    ids.set(originalId, number);
    if (text === '') return refuse(number, `expected a text in "${columns.text}", got nothing`);
    if (label === undefined || label === null || String(label).trim() === '') {
      return refuse(number, `expected a label in "${columns.label}", got nothing`);
    }
    const common = {
      id: `${file.name}/${originalId}`,
      source: file.name,
      originalId,
      licence: file.licence,
      language: file.language,
      task: file.task,
      text,
      split: file.split,
      spread: null,
    };
    if (regression) {
      const { low, high } = file.scale!;
      const native = Number(label);
      if (!(native >= low && native <= high)) {
        return refuse(number, `expected a number on ${low}..${high}, got ${show(label)}`);
      }
      const emotion = file.task === 'emotion-regression' ? String(row[columns.emotion] ?? '').trim() : '';
      if (file.task === 'emotion-regression' && emotion === '') {
        return refuse(number, `expected an emotion in "${columns.emotion}", got nothing`);
      }
      examples.push({
        ...common,
        emotion: emotion || null,
        value: (native - low) / (high - low),
        labels: [],
        labelSet: [],
        multiLabel: false,
        scale: file.scale,
      });
      return;
    }
    const gold = (file.multiLabel ? String(label).split('|') : [String(label)])
      .map((l) => l.trim())
      .filter(Boolean);
    const unknown = gold.filter((l) => !file.labels.includes(l));
    if (unknown.length > 0) {
      return refuse(number, `expected labels among ${file.labels.join(', ')}, got ${unknown.join(', ')}`);
    }
    examples.push({
      ...common,
      emotion: null,
      value: null,
      labels: [...new Set(gold)].sort(),
      labelSet: [...file.labels],
      multiLabel: file.multiLabel,
      scale: null,
    });
  });
  if (bad > reported)
    violations.push({ field, description: `${bad - reported} more rows are wrong in the same ways` });
  if (violations.length > 0) throw new InvalidArgument(violations);
  return examples;
}
