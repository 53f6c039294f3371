/** Predictions for tests to be made of. */
import { labelGold, numberGold } from '@emotune/affect';
import type { Prediction } from '@emotune/records';

export const blank: Prediction = {
  id: 'a',
  task: 'emotion-classification',
  source: 's',
  language: 'en',
  text: 'a text',
  emotion: null,
  labelSet: ['anger', 'fear', 'joy'],
  multiLabel: false,
  scale: null,
  decimals: 0,
  gold: labelGold(['joy']),
  value: null,
  low: null,
  high: null,
  labels: ['joy'],
  confidence: 0.9,
  within: [],
  crps: null,
  nll: 0.5,
  cut: false,
};
export const rated: Prediction = {
  ...blank,
  task: 'sentiment-regression',
  labelSet: [],
  labels: [],
  confidence: null,
  scale: { low: -4, high: 4 },
  decimals: 1,
  gold: numberGold(0.5),
  value: 0.5,
};
