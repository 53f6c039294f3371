import { describe, expect, it } from 'vitest';
import { readTexts } from './text-column.js';

const content = (text: string) => {
  const bytes = Buffer.from(text);
  return {
    bytes: bytes.length,
    async *read(from = 0) {
      yield bytes.subarray(from);
    },
  };
};
const read = (path: string, text: string, column = 'text') =>
  readTexts(path, content(text), column, 'texts[0]');

describe('texts of a file', () => {
  it('are the lines of a plain text, each once, blank ones passed over', async () => {
    expect(await read('a.txt', 'the ferry\n\n  was late \r\nthe ferry\n')).toEqual(['the ferry', 'was late']);
  });

  it('are a column of a table', async () => {
    expect(await read('a.csv', 'id,body\n1,"late, again"\n2,great\n', 'body')).toEqual([
      'late, again',
      'great',
    ]);
    expect(await read('a.jsonl', '{"text": "so late"}\n{"text": 1.50}\n')).toEqual(['so late', '1.50']);
  });

  it.each([
    ['a.pdf', 'x', 'texts[0]: expected a file that ends in .txt, .csv, .tsv, .jsonl, .parquet, got a.pdf'],
    ['a.csv', 'body\nx\n', 'texts[0]: expected a column "text", got body'],
    ['a.jsonl', '{"text": "x"}\n{"text": ""}\n', 'texts[0], line 2: expected a text in "text", got ""'],
    ['a.txt', '\n\n', 'texts[0]: expected texts, got none: a.txt'],
  ])('%s, %j is refused', async (path, text, message) => {
    await expect(read(path, text)).rejects.toThrow(message);
  });
});
