import { InvalidArgument } from '@emotune/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeExamples } from './examples.js';
import { readUserFile, type UserFile } from './user-file.js';

const columns = { text: 'text', label: 'label', emotion: 'emotion', id: 'id' };
function regression(name: string): UserFile {
  return {
    path: name,
    name: 'mine',
    task: 'sentiment-regression',
    scale: { low: -4, high: 4 },
    labels: [],
    multiLabel: false,
    columns,
    licence: 'unknown',
    language: 'en',
    split: null,
  };
}

describe('readUserFile', () => {
  it.each([
    ['a.csv', '\ufefftext,label\n"fine, really",2\nbad,-4\n'],
    ['a.tsv', 'text\tlabel\nfine, really\t2\nbad\t-4\n'],
    ['a.jsonl', '{"text":"fine, really","label":2}\n{"text":"bad","label":"-4"}\n'],
  ])('reads %s', async (name, content) => {
    const examples = await readUserFile(regression(name), Buffer.from(content), 'file.path');
    expect(examples.map((e) => [e.id, e.text, e.gold.value])).toEqual([
      ['mine/1', 'fine, really', 0.75],
      ['mine/2', 'bad', 0],
    ]);
  });

  it('reads Parquet with labels that are several', async () => {
    const file = {
      ...regression('a.parquet'),
      task: 'emotion-classification' as const,
      scale: null,
      labels: ['joy', 'trust'],
      multiLabel: true,
    };
    const rows = ['joy|trust', ''].map((label, i) => ({
      id: `${i}`,
      source: label || 'joy',
      originalId: `${i}`,
      licence: '',
      language: 'en',
      task: 'emotion-classification' as const,
      text: `t${i}`,
      emotion: null,
      gold: { value: null, spread: null, labels: [] },
      labelSet: [],
      multiLabel: false,
      scale: null,
      split: null,
    }));
    const columnsOf = { ...columns, label: 'source' };
    const examples = await readUserFile({ ...file, columns: columnsOf }, encodeExamples(rows), 'file.path');
    expect(examples.map((e) => e.gold.labels)).toEqual([['joy', 'trust'], ['joy']]);
  });

  it('names every bad row', async () => {
    const content = Buffer.from('id,text,label\n1,fine,9\n1,again,1\n3,,1\n4,none,\n5,word,abc\n');
    await expect(readUserFile(regression('bad.csv'), content, 'sources[0].file.path')).rejects.toMatchObject({
      violations: [
        { field: 'sources[0].file.path, row 1', description: 'expected a number on -4..4, got "9"' },
        { field: 'sources[0].file.path, row 2', description: 'expected a unique id, got "1" as in row 1' },
        { field: 'sources[0].file.path, row 3', description: 'expected a text in "text", got nothing' },
        { field: 'sources[0].file.path, row 4', description: 'expected a label in "label", got nothing' },
        { field: 'sources[0].file.path, row 5', description: 'expected a number on -4..4, got "abc"' },
      ],
    });
  });

  it.each([
    ['empty.csv', '', 'expected rows, got an empty file'],
    ['header.csv', 'text,label\n', 'expected rows below the header, got none'],
    ['columns.csv', 'txt,label\na,1\n', 'expected a column "text", got txt, label'],
    ['binary.csv', Uint8Array.of(1, 0, 2, 0), 'expected text, got a binary file'],
    [
      'latin1.csv',
      Buffer.from('text,label\ncaf\xe9,1\n', 'latin1'),
      'expected UTF-8, got bytes of another encoding',
    ],
    ['a.xlsx', 'x', 'expected a file that ends in .csv, .tsv, .jsonl, .parquet'],
    ['broken.parquet', 'PAR1 not really', 'expected a well-formed .parquet file'],
  ])('refuses %s', async (name, content, message) => {
    await expect(readUserFile(regression(name), Buffer.from(content), 'file.path')).rejects.toThrow(message);
  });
});

const fuzzRuns = 500;

describe('a user file of any content', () => {
  const readOrRefuse = async (name: string, content: string | Uint8Array) => {
    try {
      await readUserFile(regression(name), Buffer.from(content), 'file.path');
    } catch (error) {
      expect(error).toBeInstanceOf(InvalidArgument);
    }
  };
  const good = encodeExamples(
    ['fine', 'bad'].map((text, i) => ({
      id: `${i}`,
      source: 's',
      originalId: `${i}`,
      licence: '',
      language: 'en',
      task: 'sentiment-regression' as const,
      text,
      emotion: null,
      gold: { value: i, spread: null, labels: [] },
      labelSet: [],
      multiLabel: false,
      scale: null,
      split: null,
    })),
  );

  it('is read or refused: text', async () => {
    const line = fc.oneof(
      fc.string(),
      fc.json(),
      fc.constant('{"text":"fine","label":2}'),
      fc.constant('text,label'),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom('f.csv', 'f.tsv', 'f.jsonl'), fc.array(line), async (name, lines) => {
        await readOrRefuse(name, lines.join('\n'));
      }),
      { numRuns: fuzzRuns },
    );
  });

  it('is read or refused: bytes', async () => {
    const edit = fc.tuple(fc.nat(good.length - 1), fc.nat(255));
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { maxLength: 5 }), fc.nat(good.length), async (edits, keep) => {
        const bytes = good.slice(0, keep < good.length / 2 ? keep : good.length);
        for (const [at, value] of edits) if (at < bytes.length) bytes[at] = value;
        await readOrRefuse('f.parquet', bytes);
      }),
      { numRuns: fuzzRuns },
    );
  });
});
