import type { SourceExample } from '@emotune/affect';
import { parquetMetadata, parquetSchema } from 'hyparquet';
import { expect, it } from 'vitest';
import { countExamples, decodeExamples, encodeExamples, readExamples } from './examples.js';
import { contentOf } from './testing.js';

const number: SourceExample = {
  id: 's/1',
  source: 's',
  originalId: '1',
  licence: 'MIT',
  language: 'en',
  task: 'emotion-regression',
  text: 'what a day ☀️',
  emotion: 'joy',
  scale: { low: 0, high: 10 },
  labelSet: [],
  multiLabel: false,
  gold: { value: 0.25, spread: 0.1, labels: [] },
  split: 'train',
};
const labels: SourceExample = {
  ...number,
  id: 's/2',
  originalId: '2',
  task: 'emotion-classification',
  emotion: null,
  scale: null,
  labelSet: ['fear', 'joy'],
  multiLabel: true,
  gold: { value: null, spread: null, labels: ['fear', 'joy'] },
};

it('gives back the examples that went in, all at once or one by one, and the same bytes each time', async () => {
  const bytes = encodeExamples([number, labels]);
  expect(await decodeExamples(bytes, 'train')).toEqual([number, labels]);
  const read: SourceExample[] = [];
  for await (const example of readExamples(contentOf(bytes), 'train')) read.push(example);
  expect(read).toEqual([number, labels]);
  expect(await countExamples(contentOf(bytes))).toBe(2);
  expect(encodeExamples([number, labels])).toEqual(bytes);
  expect(await decodeExamples(encodeExamples([]), 'train')).toEqual([]);
});

it('keeps the columns that other programs read', () => {
  const bytes = encodeExamples([number, labels]);
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  const names = parquetSchema(parquetMetadata(file)).children.map(({ element }) => element.name);
  expect(names).toEqual([
    'id',
    'source',
    'originalId',
    'licence',
    'language',
    'task',
    'text',
    'emotion',
    'value',
    'spread',
    'labels',
    'labelSet',
    'multiLabel',
    'scaleLow',
    'scaleHigh',
  ]);
});
