import { Rng } from '@emotune/base';
import { expect, it } from 'vitest';
import { fitThresholds, leading, severalLabels } from './thresholds.js';

const said = (probabilities: Readonly<Record<string, number>>) =>
  Object.entries(probabilities).map(([label, probability]) => ({ label, probability }));

it('the leading label is the one most above its threshold', () => {
  const marginals = said({ fear: 0.2, joy: 0.5, neutral: 0.6 });
  expect(leading(marginals)).toBe('neutral');
  expect(leading(marginals, { fear: 0.05, joy: 0.25, neutral: 0.6 })).toBe('fear');
  // A label of that name has no threshold.
  expect(leading(said({ constructor: 0.3, joy: 0.2 }), {})).toBe('constructor');
});

it('several labels are those that reach their thresholds, and none stands beside no emotion', () => {
  const thresholds = { fear: 0.3, joy: 0.3, neutral: 0.5 };
  expect(severalLabels(said({ fear: 0.4, joy: 0.3, neutral: 0.1 }), thresholds)).toEqual(['fear', 'joy']);
  expect(severalLabels(said({ fear: 0.1, joy: 0.2, neutral: 0.1 }), thresholds)).toEqual(['joy']);
  expect(severalLabels(said({ fear: 0.31, joy: 0.2, neutral: 0.9 }), thresholds)).toEqual(['neutral']);
  expect(severalLabels(said({ fear: 0.4, joy: 0.2, neutral: 0.6 }), thresholds)).toEqual(['fear']);
});

/** Rows of a model that says the usual label nearly always, but a rare one a little more where it is right. */
function biased(multiLabel: boolean) {
  const rng = Rng.of('biased', String(multiLabel));
  return Array.from({ length: 300 }, (_, i) => {
    const gold = i % 3 === 0 ? 'neutral' : i % 3 === 1 ? 'joy' : 'fear';
    const noise = () => 0.03 * rng.uniform();
    const of = (label: string, base: number) => base + (gold === label ? 0.06 : 0) + noise();
    const marginals = said({ fear: of('fear', 0.05), joy: of('joy', 0.1), neutral: of('neutral', 0.7) });
    return { marginals, gold: [gold] };
  });
}

it.each([false, true])('what a model always says is held against it (several labels: %s)', (multiLabel) => {
  const rows = biased(multiLabel);
  expect(rows.every(({ marginals }) => leading(marginals) === 'neutral')).toBe(true);
  const thresholds = fitThresholds(rows, multiLabel);
  const right = rows.filter(({ marginals, gold }) => {
    const answer = multiLabel ? severalLabels(marginals, thresholds) : [leading(marginals, thresholds)];
    return answer.includes(gold[0]);
  });
  expect(right.length).toBeGreaterThan(280);
});

it('a model that is right as it is keeps one threshold for all', () => {
  const rows = ['joy', 'fear'].map((gold) => ({
    marginals: said({ fear: gold === 'fear' ? 0.7 : 0.2, joy: gold === 'joy' ? 0.8 : 0.3 }),
    gold: [gold],
  }));
  expect(fitThresholds(rows, false)).toEqual({ fear: 1, joy: 1 });
});

it('where nothing is known, not all labels are the answer', () => {
  const rng = Rng.of('unknowing');
  const labels = ['anger', 'fear', 'joy', 'sadness', 'trust'];
  const rows = Array.from({ length: 200 }, () => ({
    marginals: said(Object.fromEntries(labels.map((label) => [label, 0.2 + 0.05 * rng.uniform()]))),
    gold: [labels[rng.int(5)]],
  }));
  const thresholds = fitThresholds(rows, true);
  const answered = rows.reduce((sum, { marginals }) => sum + severalLabels(marginals, thresholds).length, 0);
  expect(answered).toBeLessThanOrEqual(1.5 * rows.length);
});

it('a label of few examples follows the common rule, one of many its own', () => {
  const rows = Array.from({ length: 400 }, (_, i) => {
    const rare = i % 200 === 0;
    // The rare label is only right when all but certain; the usual one from 0.4 on.
    return {
      marginals: said({ rare: rare ? 0.95 : 0.35, usual: i % 2 === 0 ? 0.42 : 0.38 }),
      gold: [...(rare ? ['rare'] : []), ...(i % 2 === 0 ? ['usual'] : ['other'])],
    };
  });
  const { rare, usual } = fitThresholds(rows, true);
  expect(usual).toBeGreaterThan(0.38);
  expect(usual).toBeLessThan(0.42);
  // Two examples of 52 parts.
  expect(rare).toBeLessThan(0.6);
});
