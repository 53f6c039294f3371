import { expect, it } from 'vitest';
import { folderOf, type Known, whyUnneeded } from './garbage.js';

const known: Known = {
  datasets: new Map([
    ['ready', { prefix: 'datasets/ready/v2', built: true }],
    ['building', { prefix: '', built: false }],
    ['featured', { prefix: 'datasets/featured/v2', built: true }],
  ]),
  featureSets: new Map([['set', { prefix: 'features/set/v2', built: true, dataset: 'featured' }]]),
  models: new Set(['models/base/v1', '']),
  experiments: new Map([
    ['running', { ended: false, features: 'bound' }],
    ['over', { ended: true, features: 'set' }],
  ]),
  evaluations: new Set(['e1']),
};

it.each([
  ['datasets/ready/v2', undefined],
  ['datasets/ready/v1', 'its data set has another version now'],
  ['datasets/building/v1', undefined],
  ['datasets/featured/v1', undefined],
  ['datasets/deleted/v1', 'its data set is gone'],
  ['features/set/v2', undefined],
  ['features/set/v1', 'its feature set has another version now'],
  ['features/bound/v1', undefined],
  ['features/deleted/v1', 'its feature set is gone'],
  ['models/base/v1', undefined],
  ['models/base/v2', 'its model version is gone'],
  ['exports/base/v1', undefined],
  ['exports/base/v2', 'its model version is gone'],
  ['evaluations/e1', undefined],
  ['evaluations/e2', 'its evaluation is gone'],
  ['trials/running', undefined],
  ['trials/over', 'its experiment has ended'],
  ['trials/deleted', 'its experiment is gone'],
  ['logs/over', undefined],
  ['logs/deleted', 'its experiment is gone'],
])('%s: %s', (folder, reason) => {
  expect(whyUnneeded(folder, known)).toBe(reason);
});

it('takes objects by the folder that is needed as one, and leaves uploads and what it does not know', () => {
  expect(
    [
      'models/m/v1/a/b',
      'trials/e/3/checkpoints/x',
      'evaluations/e1/report.html',
      'exports/m/v1/peft.json',
    ].map(folderOf),
  ).toEqual(['models/m/v1', 'trials/e', 'evaluations/e1', 'exports/m/v1']);
  expect(['uploads/parts/x/0-1', 'models/m/stray', 'constructor/a/b/c'].map(folderOf)).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});
