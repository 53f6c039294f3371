import { parseHubId } from '@emotune/hub';
import { expect, it } from 'vitest';
import { dataFiles, splitOfPath } from './hub-files.js';

const chosen = (paths: readonly string[], id = 'hf:datasets/a/b') =>
  dataFiles(parseHubId(id, 'source'))(paths);

it('takes one format, and files that tell their split before others', () => {
  const parquet = ['data/test-00000-of-00001.parquet', 'data/train-00000-of-00001.parquet'];
  expect(chosen(['README.md', ...parquet, 'test.csv', 'train.csv'])).toEqual(parquet);
  expect(chosen(['dev.tsv', 'names.tsv', 'train.tsv'])).toEqual(['dev.tsv', 'train.tsv']);
  expect(chosen(['rows.jsonl', '.gitattributes'])).toEqual(['rows.jsonl']);
});

it('takes what a name chooses', () => {
  const paths = ['raw/train.csv', 'raw/more/train.csv', 'simple/test.csv', 'simple/train.csv'];
  expect(chosen(paths, 'hf:datasets/a/b:simple/*')).toEqual(paths.slice(2));
  expect(chosen(paths, 'hf:datasets/a/b:raw/**')).toEqual(paths.slice(0, 2));
  expect(chosen(paths, 'hf:datasets/a/b@v1:simple/test.csv')).toEqual(['simple/test.csv']);
});

it.each([
  [
    ['raw/train.csv', 'simple/train.csv'],
    'hf:datasets/a/b',
    'name the files of one, as hf:datasets/a/b@main:raw/*',
  ],
  [['train.csv'], 'hf:datasets/a/b:test.csv', 'of that name, got train.csv'],
  [
    ['train.zip'],
    'hf:datasets/a/b',
    'expected files of .parquet, .jsonl, .csv, .tsv in the repository, got train.zip',
  ],
])('%j of %s cannot be read', (paths, id, want) => {
  expect(() => chosen(paths, id)).toThrow(want);
});

it.each([
  ['data/train-00000-of-00002.parquet', 'train'],
  ['training_set.csv', 'train'],
  ['validation.jsonl', 'validation'],
  ['dev/0.csv', 'validation'],
  ['Test.tsv', 'test'],
  ['eval_1.csv', 'test'],
  ['contest.csv', null],
  ['device.csv', null],
])('%s is of split %s', (path, split) => {
  expect(splitOfPath(path)).toBe(split);
});
