import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { labelGold, numberGold, ratedGold, type SourceExample } from '@emotune/affect';
import { parquetMetadata, parquetSchema } from 'hyparquet';
import { afterAll, describe, expect, it } from 'vitest';
import { countExamples, decodeExamples, ExampleWriter, encodeExamples, readExamples } from './examples.js';
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
  gold: numberGold(0.25, 0.1),
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
  gold: labelGold(['fear', 'joy'], 5, { fear: 3, joy: 4 }),
};

const rated: SourceExample = { ...number, id: 's/3', gold: ratedGold(0.25, [0.5, 0.1, 0.15]) };

it('gives back the examples that went in, all at once or one by one, and the same bytes each time', async () => {
  const bytes = encodeExamples([number, labels, rated]);
  expect(await decodeExamples(bytes, 'train')).toEqual([number, labels, rated]);
  const read: SourceExample[] = [];
  for await (const example of readExamples(contentOf(bytes), 'train')) read.push(example);
  expect(read).toEqual([number, labels, rated]);
  expect(await countExamples(contentOf(bytes))).toBe(3);
  expect(encodeExamples([number, labels, rated])).toEqual(bytes);
  expect(await decodeExamples(encodeExamples([]), 'train')).toEqual([]);
});

describe('a file that is written row by row', () => {
  const folder = mkdtempSync(join(tmpdir(), 'emotune-examples-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  function written(examples: readonly SourceExample[]): Buffer {
    const writer = new ExampleWriter(join(folder, 'rows.parquet'));
    for (const example of examples) writer.add(example);
    writer.finish();
    return readFileSync(join(folder, 'rows.parquet'));
  }

  it.each([0, 1, 1000, 1001, 2500])('is the one that is written at once: %i rows', (rows) => {
    const examples = Array.from({ length: rows }, (_, i) => ({ ...(i % 2 ? number : labels), id: `s/${i}` }));
    expect(written(examples).equals(encodeExamples(examples))).toBe(true);
  });

  it('has smaller row groups where texts are long', async () => {
    const long = 'x'.repeat(2 ** 20);
    const examples = Array.from({ length: 100 }, (_, i) => ({ ...number, id: `${i}`, text: long }));
    const bytes = written(examples);
    expect(parquetMetadata(bytes).row_groups.map(({ num_rows }) => Number(num_rows))).toEqual([64, 36]);
    let rows = 0;
    for await (const { id, text } of readExamples(contentOf(bytes), 'train'))
      expect([id, text.length]).toEqual([`${rows++}`, 2 ** 20]);
    expect(rows).toBe(100);
  });
});

it('keeps the columns that other programs read', () => {
  const bytes = encodeExamples([number, labels, rated]);
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
    'raters',
    'ratings',
    'votes',
  ]);
});
