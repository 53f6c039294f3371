/** Answers of a model beside their golds: one Arrow IPC file per evaluation, one row per example. */
import type { Task } from '@emotune/affect';
import { Bool, Float64, Int32, Table, tableFromIPC, tableToIPC, Utf8, vectorFromArray } from 'apache-arrow';

/** One example, its gold and the model's answer. Values, intervals and spread are on 0..1. */
export interface Prediction {
  readonly id: string;
  readonly task: Task;
  readonly source: string;
  readonly language: string;
  readonly text: string;
  readonly emotion: string | null;
  readonly labelSet: readonly string[];
  readonly multiLabel: boolean;
  /** The scale that was declared to the model, and digits after the point of its answers. */
  readonly scaleLow: number | null;
  readonly scaleHigh: number | null;
  readonly decimals: number;
  readonly goldValue: number | null;
  readonly goldLabels: readonly string[];
  /** The raters' standard deviation, where known. */
  readonly spread: number | null;
  readonly value: number | null;
  /** 80 % interval of the value. */
  readonly low: number | null;
  readonly high: number | null;
  readonly labels: readonly string[];
  /** Classification: probability of the answer. */
  readonly confidence: number | null;
  /** −log p(gold answer), nats. */
  readonly nll: number | null;
}

type Column = 'string' | 'list' | 'number' | 'integer' | 'flag';

const columns: Readonly<Record<keyof Prediction, Column>> = {
  id: 'string',
  task: 'string',
  source: 'string',
  language: 'string',
  text: 'string',
  emotion: 'string',
  labelSet: 'list',
  multiLabel: 'flag',
  scaleLow: 'number',
  scaleHigh: 'number',
  decimals: 'integer',
  goldValue: 'number',
  goldLabels: 'list',
  spread: 'number',
  value: 'number',
  low: 'number',
  high: 'number',
  labels: 'list',
  confidence: 'number',
  nll: 'number',
};

const types = {
  string: () => new Utf8(),
  list: () => new Utf8(),
  number: () => new Float64(),
  integer: () => new Int32(),
  flag: () => new Bool(),
};

/** The bytes of the file. Lists are joined by "|". The same rows give the same bytes. */
export function encodePredictions(predictions: readonly Prediction[]): Uint8Array {
  const vectors = Object.entries(columns).map(([name, column]) => {
    const values = predictions.map((row) => {
      const value = row[name as keyof Prediction];
      return column === 'list' ? (value as readonly string[]).join('|') : value;
    });
    return [name, vectorFromArray(values, types[column]())];
  });
  return tableToIPC(new Table(Object.fromEntries(vectors)), 'file');
}

export function decodePredictions(bytes: Uint8Array): Prediction[] {
  return tableFromIPC(bytes)
    .toArray()
    .map((row) => {
      const values = Object.entries(columns).map(([name, column]) => {
        const value = row[name];
        if (column !== 'list') return [name, value];
        return [name, value === '' ? [] : value.split('|')];
      });
      return Object.fromEntries(values) as Prediction;
    });
}
