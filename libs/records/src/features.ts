/** Feature shards: Arrow IPC files, one row per example, with the tokens of prompt and answer and the answer's mask. */
import type { Example } from '@emotune/affect';
import {
  Bool,
  Field,
  Int32,
  List,
  makeData,
  makeVector,
  Table,
  tableFromIPC,
  tableToIPC,
  type Vector,
} from 'apache-arrow';
import { rowsOf, vectorsOf } from './arrow.js';
import {
  type Columns,
  column,
  emotionColumn,
  fields,
  number,
  raterColumns,
  scaleColumns,
} from './columns.js';

/** One example, asked on the scale or labels of the prompt, and tokenised. */
export interface FeatureRow extends Example {
  readonly prompt: string;
  readonly answer: string;
  /** Prompt, answer and end-of-sequence. */
  readonly tokens: Int32Array;
  /** Index in `tokens` at which the answer begins; everything from there on is answer. */
  readonly answerStart: number;
  /** Regression: digits after the point of the answer. */
  readonly decimals: number;
  /** Of a row that was made from another; absent where an example is asked as its source does. */
  readonly derived?: Derived | null;
}

/** How a row came about. */
export interface Derived {
  /** The id of the example. */
  readonly from: string;
  /** What was done: its question asked otherwise (`inverted`), its text edited (`aeda`), or both (`aeda+inverted`). */
  readonly by: string;
}

const before: Columns = {
  ...fields('string', 'id', 'task', 'source', 'language', 'text'),
  ...emotionColumn,
  ...fields('string', 'prompt', 'answer'),
};
const after: Columns = {
  value: number('gold', 'value'),
  spread: number('gold', 'spread'),
  labels: column('list', ['gold', 'labels']),
  ...fields('list', 'labelSet'),
  ...fields('flag', 'multiLabel'),
  ...scaleColumns,
  ...fields('integer', 'decimals'),
  ...raterColumns,
  derivedFrom: column('string', ['derived', 'from'], { nullable: true }),
  derivedBy: column('string', ['derived', 'by'], { nullable: true }),
};

function offsets(rows: readonly FeatureRow[]): Int32Array {
  const result = new Int32Array(rows.length + 1);
  rows.forEach((row, i) => {
    result[i + 1] = result[i] + row.tokens.length;
  });
  return result;
}

function tokenLists(rows: readonly FeatureRow[], valueOffsets: Int32Array) {
  const data = new Int32Array(valueOffsets[rows.length]);
  rows.forEach((row, i) => {
    data.set(row.tokens, valueOffsets[i]);
  });
  const child = makeData({ type: new Int32(), data });
  return makeVector(
    makeData({
      type: new List(new Field('item', new Int32(), false)),
      length: rows.length,
      valueOffsets,
      child,
    }),
  );
}

function answerMasks(rows: readonly FeatureRow[], valueOffsets: Int32Array) {
  const total = valueOffsets[rows.length];
  const bits = new Uint8Array(Math.ceil(total / 8));
  rows.forEach((row, i) => {
    for (let k = valueOffsets[i] + row.answerStart; k < valueOffsets[i + 1]; k++)
      bits[k >> 3] |= 1 << (k & 7);
  });
  const child = makeData({ type: new Bool(), data: bits, length: total });
  return makeVector(
    makeData({
      type: new List(new Field('item', new Bool(), false)),
      length: rows.length,
      valueOffsets,
      child,
    }),
  );
}

/** The bytes of one shard. The same rows give the same bytes. */
export function encodeShard(rows: readonly FeatureRow[]): Uint8Array {
  const valueOffsets = offsets(rows);
  return tableToIPC(
    new Table({
      ...vectorsOf(rows, before),
      tokens: tokenLists(rows, valueOffsets),
      answerMask: answerMasks(rows, valueOffsets),
      ...vectorsOf(rows, after),
    }),
    'file',
  );
}

/** The rows of one shard. */
export function decodeShard(bytes: Uint8Array): FeatureRow[] {
  return rowsOf<FeatureRow>(tableFromIPC(bytes), { ...before, ...after }, (read) => {
    const tokens = Int32Array.from((read('tokens') as Vector<Int32>).toArray());
    const mask = [...(read('answerMask') as Iterable<boolean>)];
    const answerStart = mask.indexOf(true);
    return { tokens, answerStart: answerStart < 0 ? tokens.length : answerStart };
  });
}
