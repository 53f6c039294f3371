import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readStudy } from './study-file.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-study-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function read(content: string | Uint8Array) {
  const path = join(folder, 'study.csv');
  writeFileSync(path, content);
  return readStudy(path);
}

describe('a CSV file of trials', () => {
  it('is read as files of texts are: byte order mark, mixed ends of lines, quotes, blank lines', async () => {
    const { name, trials } = await read('\ufeffvalue,params_note\r\n1,"a, ""b"""\n\n2,c\r');
    expect(name).toBe('study.csv');
    expect(trials.map(({ objectives, parameters }) => [objectives[0], parameters['note']])).toEqual([
      [1, 'a, "b"'],
      [2, 'c'],
    ]);
  });

  it.each<[string, string | Uint8Array, string]>([
    [
      'a column twice',
      'value,x,x\n1,2,3\n',
      '--file, line 1: expected each column once, got "x" as columns 2 and 3',
    ],
    [
      'rows of other lengths',
      'value,x\n\n1\n2,3\n',
      '--file, line 3: expected 2 columns as in the header, got 1',
    ],
    ['a broken cell', 'number,value\n0,1\n\n1,y\n', 'line 4, value: expected a number'],
    ['another encoding', Buffer.from('value,x\n1,\xe9\n', 'latin1'), '--file, line 2: expected UTF-8'],
    ['a quote that is not closed', 'value,x\n1,"a\n2,b\n', '--file, line 2: expected a closing "'],
  ])('with %s is refused by its line', async (_, content, message) => {
    await expect(read(content)).rejects.toThrow(message);
  });
});
