/** Answers of a model beside their golds: one Arrow IPC file per evaluation, one row per example. */
import type { Example } from '@emotune/affect';
import { Table, tableFromIPC, tableToIPC } from 'apache-arrow';
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

/**
 * One example and the model's answer, on the scale and labels that were declared to the model. Values, intervals and spread
 * are on 0..1.
 */
export interface Prediction extends Example {
  /** Regression: digits after the point of the answers. */
  readonly decimals: number;
  readonly value: number | null;
  /** 80 % interval of the value. */
  readonly low: number | null;
  readonly high: number | null;
  readonly labels: readonly string[];
  /** Classification: probability of the answer. */
  readonly confidence: number | null;
  /** Classification: labels that hold the right ones with a probability of 80 %; empty where the model is not calibrated for it. */
  readonly within: readonly string[];
  /** Regression: continuous ranked probability score of the distribution, 0..1. */
  readonly crps: number | null;
  /** −log p(gold answer), nats. */
  readonly nll: number | null;
  /** The text lost its end to fit into the model. */
  readonly cut: boolean;
}

const columns: Columns = {
  ...fields('string', 'id', 'task', 'source', 'language', 'text'),
  ...emotionColumn,
  ...fields('list', 'labelSet'),
  ...fields('flag', 'multiLabel'),
  ...scaleColumns,
  ...fields('integer', 'decimals'),
  goldValue: number('gold', 'value'),
  goldLabels: column('list', ['gold', 'labels']),
  spread: number('gold', 'spread'),
  value: number('value'),
  low: number('low'),
  high: number('high'),
  ...fields('list', 'labels'),
  confidence: number('confidence'),
  nll: number('nll'),
  ...fields('flag', 'cut'),
  ...raterColumns,
  // Files of before have none of these.
  ...fields('list', 'within'),
  crps: number('crps'),
};

/** The bytes of the file. The same rows give the same bytes. */
export function encodePredictions(predictions: readonly Prediction[]): Uint8Array {
  return tableToIPC(new Table(vectorsOf(predictions, columns)), 'file');
}

export function decodePredictions(bytes: Uint8Array): Prediction[] {
  return rowsOf(tableFromIPC(bytes), columns);
}
