/** Feature shards: Arrow IPC files, one row per example, with the tokens of prompt and answer and the answer's mask. */
import type { Task } from '@emotune/affect';
import {
  Bool,
  Field,
  Float64,
  Int32,
  List,
  makeData,
  makeVector,
  Table,
  tableFromIPC,
  tableToIPC,
  Utf8,
  type Vector,
  vectorFromArray,
} from 'apache-arrow';

/** One example, asked and tokenised. */
export interface FeatureRow {
  readonly id: string;
  readonly task: Task;
  readonly source: string;
  readonly language: string;
  readonly text: string;
  readonly emotion: string | null;
  readonly prompt: string;
  readonly answer: string;
  /** Prompt, answer and end-of-sequence. */
  readonly tokens: Int32Array;
  /** Index in `tokens` at which the answer begins; everything from there on is answer. */
  readonly answerStart: number;
  /** Regression: the target on 0..1. */
  readonly value: number | null;
  readonly spread: number | null;
  readonly labels: readonly string[];
  readonly labelSet: readonly string[];
  readonly multiLabel: boolean;
  readonly scaleLow: number | null;
  readonly scaleHigh: number | null;
  readonly decimals: number;
}

function strings(values: readonly (string | null)[]): Vector<Utf8> {
  return vectorFromArray(values, new Utf8());
}

function numbers(values: readonly (number | null)[]): Vector<Float64> {
  return vectorFromArray(values, new Float64());
}

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
      id: strings(rows.map((r) => r.id)),
      task: strings(rows.map((r) => r.task)),
      source: strings(rows.map((r) => r.source)),
      language: strings(rows.map((r) => r.language)),
      text: strings(rows.map((r) => r.text)),
      emotion: strings(rows.map((r) => r.emotion)),
      prompt: strings(rows.map((r) => r.prompt)),
      answer: strings(rows.map((r) => r.answer)),
      tokens: tokenLists(rows, valueOffsets),
      answerMask: answerMasks(rows, valueOffsets),
      value: numbers(rows.map((r) => r.value)),
      spread: numbers(rows.map((r) => r.spread)),
      labels: strings(rows.map((r) => r.labels.join('|'))),
      labelSet: strings(rows.map((r) => r.labelSet.join('|'))),
      multiLabel: vectorFromArray(
        rows.map((r) => r.multiLabel),
        new Bool(),
      ),
      scaleLow: numbers(rows.map((r) => r.scaleLow)),
      scaleHigh: numbers(rows.map((r) => r.scaleHigh)),
      decimals: vectorFromArray(
        rows.map((r) => r.decimals),
        new Int32(),
      ),
    }),
    'file',
  );
}

function list(joined: string): string[] {
  return joined === '' ? [] : joined.split('|');
}

/** The rows of one shard. */
export function decodeShard(bytes: Uint8Array): FeatureRow[] {
  const table = tableFromIPC(bytes);
  return table.toArray().map((row) => {
    const tokens = Int32Array.from(row['tokens'].toArray());
    const mask: boolean[] = [...row['answerMask']];
    const answerStart = mask.indexOf(true);
    return {
      id: row['id'],
      task: row['task'],
      source: row['source'],
      language: row['language'],
      text: row['text'],
      emotion: row['emotion'],
      prompt: row['prompt'],
      answer: row['answer'],
      tokens,
      answerStart: answerStart < 0 ? tokens.length : answerStart,
      value: row['value'],
      spread: row['spread'],
      labels: list(row['labels']),
      labelSet: list(row['labelSet']),
      multiLabel: row['multiLabel'],
      scaleLow: row['scaleLow'],
      scaleHigh: row['scaleHigh'],
      decimals: row['decimals'],
    };
  });
}
