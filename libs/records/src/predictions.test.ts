import { labelGold, numberGold } from '@emotune/affect';
import { expect, it } from 'vitest';
import { decodePredictions, encodePredictions, type Prediction } from './predictions.js';

it('gives back the predictions that went in, and the same bytes each time', () => {
  const number: Prediction = {
    id: 'a',
    task: 'emotion-regression',
    source: 's',
    language: 'en',
    text: 'what a day ☀️',
    emotion: 'joy',
    labelSet: [],
    multiLabel: false,
    scale: { low: 0, high: 1 },
    decimals: 2,
    gold: numberGold(0.25),
    value: 0.3,
    low: 0.1,
    high: 0.5,
    labels: [],
    confidence: null,
    within: [],
    crps: 0.05,
    nll: 2.5,
    cut: false,
  };
  const labels: Prediction = {
    ...number,
    id: 'b',
    task: 'emotion-classification',
    emotion: null,
    labelSet: ['fear', 'joy'],
    multiLabel: true,
    scale: null,
    decimals: 0,
    gold: labelGold(['fear', 'joy']),
    value: null,
    low: null,
    high: null,
    labels: ['joy'],
    confidence: 0.75,
    within: ['fear', 'joy'],
    crps: null,
    nll: null,
    cut: true,
  };
  const bytes = encodePredictions([number, labels]);
  expect(decodePredictions(bytes)).toEqual([number, labels]);
  expect(encodePredictions([number, labels])).toEqual(bytes);
  expect(decodePredictions(encodePredictions([]))).toEqual([]);
});
