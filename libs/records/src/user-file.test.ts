import { labelGold, numberGold } from '@emotune/affect';
import { InvalidArgument } from '@emotune/base';
import fc from 'fast-check';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, it } from 'vitest';
import { encodeExamples } from './examples.js';
import { contentOf, parquetBomb } from './testing.js';
import { checkUserFile, readUserFile, type UserFile } from './user-file.js';

const columns = { text: 'text', label: 'label', emotion: 'emotion', id: 'id' };
function regression(name: string): UserFile {
  return {
    path: name,
    name: 'mine',
    task: 'sentiment-regression',
    scale: { low: -4, high: 4 },
    labels: [],
    multiLabel: false,
    labelSeparator: '|',
    columns,
    licence: 'unknown',
    language: 'en',
    split: null,
  };
}

function classification(name: string, more: Partial<UserFile> = {}): UserFile {
  const labels = ['joy', 'fear', 'anger'];
  return { ...regression(name), task: 'emotion-classification', scale: null, labels, ...more };
}

const read = (file: UserFile, content: string | Uint8Array) =>
  readUserFile(file, contentOf(content), 'file.path');

/** What is wrong with a file: where, and what. */
async function violationsOf(file: UserFile, content: string | Uint8Array): Promise<[string, string][]> {
  const error = await read(file, content).catch((e) => e);
  expect(error).toBeInstanceOf(InvalidArgument);
  const found = (error as InvalidArgument).violations.map(({ field, description }): [string, string] => [
    field,
    description,
  ]);
  const checked = await checkUserFile(file, contentOf(content), 'file.path').catch((e) => e);
  expect(checked.violations).toEqual((error as InvalidArgument).violations);
  return found;
}

describe('readUserFile', () => {
  it.each([
    ['a.csv', '\ufefftext,label\n"fine, really",2\nbad,-4\n'],
    ['a.tsv', 'text\tlabel\nfine, really\t2\nbad\t-4\n'],
    ['a.jsonl', '{"text":"fine, really","label":2}\n{"text":"bad","label":"-4"}\n'],
  ])('reads %s', async (name, content) => {
    const examples = await read(regression(name), content);
    expect(examples.map((e) => [e.id, e.text, e.gold.value])).toEqual([
      ['mine/1', 'fine, really', 0.75],
      ['mine/2', 'bad', 0],
    ]);
  });

  it('reads numbers on an inverted scale, and refuses those off it', async () => {
    const grades = { ...regression('a.csv'), scale: { low: 6, high: 1 } };
    const examples = await read(grades, 'text,label\nfine,1\nbad,6\nso so,3.5\n');
    expect(examples.map(({ gold }) => gold.value)).toEqual([1, 0, 0.5]);
    expect(await violationsOf(grades, 'text,label\nfine,7\n')).toEqual([
      ['file.path, line 2', 'expected a number on 6..1, got "7"'],
    ]);
  });

  describe.each(['constructor', 'toString', 'hasOwnProperty', '__proto__'])('a column called %s', (name) => {
    const of = (path: string, more: Partial<UserFile['columns']>): UserFile => ({
      ...regression(path),
      columns: { ...columns, ...more },
    });
    const files: [string, (column: string) => string][] = [
      ['a.csv', (column) => `${column},label\nfine,2\n`],
      ['a.tsv', (column) => `${column}\tlabel\nfine\t2\n`],
      ['a.jsonl', (column) => `{"${column}":"fine","label":2}\n`],
    ];

    it.each(files)('is read in %s', async (path, content) => {
      const [example] = await read(of(path, { text: name }), content(name));
      expect(example.text).toBe('fine');
    });

    it.each(files)('that %s has not is not there', async (path, content) => {
      const [example] = await read(of(path, { id: name }), content('text'));
      expect(example.id).toBe('mine/1');
      await expect(read(of(path, { text: name }), content('text'))).rejects.toThrow(
        `expected a column "${name}"`,
      );
    });
  });

  it('knows a format by its own name alone', async () => {
    await expect(read(regression('a.constructor'), 'x')).rejects.toThrow(/expected a file that ends in/);
  });

  it('reads Parquet whose columns are called as what every object has', async () => {
    const bytes = new Uint8Array(
      parquetWriteBuffer({
        columnData: [
          { name: 'constructor', data: ['fine'], type: 'STRING' },
          { name: 'label', data: [2], type: 'DOUBLE' },
        ],
      }),
    );
    const file = { ...regression('a.parquet'), columns: { ...columns, text: 'constructor', id: 'toString' } };
    expect((await read(file, bytes)).map(({ id, text }) => [id, text])).toEqual([['mine/1', 'fine']]);
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
      gold: labelGold([]),
      labelSet: [],
      multiLabel: false,
      scale: null,
      split: null,
    }));
    const columnsOf = { ...columns, label: 'source' };
    const examples = await read({ ...file, columns: columnsOf }, encodeExamples(rows));
    expect(examples.map((e) => e.gold.labels)).toEqual([['joy', 'trust'], ['joy']]);
  });

  it('names every bad row by its line', async () => {
    const content = 'id,text,label\n1,fine,9\n\n1,again,1\n3,,1\n4,"no\nne",\n5,word,abc\n6,word\n';
    expect(await violationsOf(regression('bad.csv'), content)).toEqual([
      ['file.path, line 2', 'expected a number on -4..4, got "9"'],
      ['file.path, line 4', 'expected a unique id, got "1" as on line 2'],
      ['file.path, line 5', 'expected a text in "text", got nothing'],
      ['file.path, line 6', 'expected a label in "label", got nothing'],
      ['file.path, line 8', 'expected a number on -4..4, got "abc"'],
      ['file.path, line 9', expect.stringContaining('expected 3 columns as in the header, got 2')],
    ]);
  });

  it('names a broken line of JSON under its own number', async () => {
    const content = '\n{"text":"a","label":1}\r\n \n{"text":"b","label":\n[1]\n';
    expect(await violationsOf(regression('bad.jsonl'), content)).toEqual([
      ['file.path, line 4', expect.stringMatching(/^expected one JSON object, got "{.*\(.+\)$/)],
      ['file.path, line 5', 'expected one JSON object, got "[1]"'],
    ]);
  });

  it('tells each kind of fault once, with the value and the number of rows like it', async () => {
    const rows = Array.from({ length: 100 }, (_, i) => `t${i},${i < 3 ? 'joyy' : i < 5 ? 'calm' : 'joy'}`);
    expect(await violationsOf(classification('a.csv'), `text,label\n${rows.join('\n')}`)).toEqual([
      [
        'file.path, line 2',
        'expected labels among joy, fear, anger, got "joyy" (did you mean "joy"?), and 2 more rows like it',
      ],
      ['file.path, line 5', 'expected labels among joy, fear, anger, got "calm", and 1 more row like it'],
    ]);
    const all = Array.from({ length: 2_030 }, (_, i) => `t,${100 + i}`).join('\n');
    const many = await violationsOf(regression('a.csv'), `text,label\n${all}`);
    expect(many).toHaveLength(21);
    expect(many[20]).toEqual(['file.path', '2,010 more rows are wrong in other ways']);
  });

  it.each([
    ['empty.csv', '', 'expected rows, got an empty file'],
    ['header.csv', 'text,label\n', 'expected rows below the header, got none'],
    ['blank.jsonl', '\n \r\n', 'expected rows below the header, got none'],
    ['columns.csv', 'txt,label\na,1\n', 'expected a column "text", got txt, label (did you mean "txt"?)'],
    ['case.tsv', 'Text\tlabel\na\t1\n', 'expected a column "text", got Text, label (did you mean "Text"?)'],
    ['columns.jsonl', '{"a":1}\n{"text":"b"}', 'expected a column "label", got a, text'],
    ['twice.csv', 'text,label,label\na,1,2\n', 'got "label" as columns 2 and 3'],
    ['binary.csv', Uint8Array.of(1, 0, 2, 0), 'got a binary file'],
    [
      'latin1.csv',
      Buffer.from('text,label\ncaf\xe9,1\n', 'latin1'),
      'file.path, line 2: expected UTF-8, got the byte 0xE9 after "caf" (byte 15)',
    ],
    ['a.xlsx', 'x', 'expected a file that ends in .csv, .tsv, .jsonl, .parquet'],
    ['broken.parquet', 'PAR1 not really', 'expected a well-formed .parquet file'],
  ])('refuses %s', async (name, content, message) => {
    await expect(read(regression(name), content)).rejects.toThrow(message);
  });
});

describe('an id', () => {
  const idsOf = async (name: string, content: string) =>
    (await read(classification(name), content)).map(({ originalId, id }) => {
      expect(id).toBe(`mine/${originalId}`);
      return originalId;
    });

  it.each([
    ['a.csv', 'id,text,label\n,a,joy\n2,b,joy\n,c,joy\n 1 ,d,joy\n,e,fear\n'],
    [
      'a.jsonl',
      '{"text":"a","label":"joy"}\n{"id":2,"text":"b","label":"joy"}\n{"id":null,"text":"c","label":"joy"}\n' +
        '{"id":"1","text":"d","label":"joy"}\n{"id":"","text":"e","label":"fear"}',
    ],
  ])('that is empty or absent is given, and none of the file is (%s)', async (name, content) => {
    // Row 1 would be 1, which row 4 has.
    expect(await idsOf(name, content)).toEqual(['6', '2', '3', '1', '5']);
  });

  it('that is given goes past those of the file behind its last row', async () => {
    expect(await idsOf('a.csv', 'id,text,label\n1,a,joy\n,b,joy\n2,c,joy\n4,d,joy\n')).toEqual([
      '1',
      '5',
      '2',
      '4',
    ]);
  });

  it('keeps its digits, and so do a text and a label', async () => {
    const content =
      '{"id":1234567890123456789,"text":18446744073709551615,"label":-1.50}\n' +
      '{"id":1234567890123456788,"text":1e3,"label":2}\n{"id":1.0,"text":"x","label":0}\n{"id":1,"text":"y","label":0}';
    const examples = await read({ ...classification('a.jsonl'), labels: ['-1.50', '2', '0'] }, content);
    // As they are written: Python's json gives the integers exactly, and floats as numbers, which are no ids.
    expect(examples.map(({ originalId, text, gold }) => [originalId, text, ...gold.labels])).toEqual([
      ['1234567890123456789', '18446744073709551615', '-1.50'],
      ['1234567890123456788', '1e3', '2'],
      ['1.0', 'x', '0'],
      ['1', 'y', '0'],
    ]);
  });

  it('that is no text and no number, or there twice, is refused', async () => {
    const rows = ['{"a":1}', '[1]', 'true', '"x"', '"x"'].map(
      (id) => `{"id":${id},"text":"a","label":"joy"}`,
    );
    expect(await violationsOf(classification('a.jsonl'), rows.join('\n'))).toEqual([
      ['file.path, line 1', 'expected an id in "id", got {"a":1}'],
      ['file.path, line 2', 'expected an id in "id", got [1]'],
      ['file.path, line 3', 'expected an id in "id", got true'],
      ['file.path, line 5', 'expected a unique id, got "x" as on line 4'],
    ]);
  });
});

describe('a text', () => {
  it('is a text or a number, and nothing else', async () => {
    const values = [
      '{"de":"schön","n":12345678901234567890}',
      '["a","b"]',
      'true',
      'null',
      '""',
      '" "',
      '7.50',
    ];
    const rows = [...values.map((text) => `{"text":${text},"label":"joy"}`), '{"label":"joy"}'];
    expect(await violationsOf(classification('a.jsonl'), rows.join('\n'))).toEqual([
      ['file.path, line 1', 'expected a text in "text", got {"de":"schön","n":12345678901234567000}'],
      ['file.path, line 2', 'expected a text in "text", got ["a","b"]'],
      ['file.path, line 3', 'expected a text in "text", got true'],
      ['file.path, line 4', 'expected a text in "text", got null'],
      ['file.path, line 5', 'expected a text in "text", got nothing, and 1 more row like it'],
      ['file.path, line 6', 'expected a text in "text", got " "'],
    ]);
    expect((await read(classification('a.jsonl'), rows[6])).map(({ text }) => text)).toEqual(['7.50']);
  });

  it('that its object has twice is none', async () => {
    const content = '{"text":"a","label":"joy","text":"b"}\n{"text":"\\"text\\"","label":"joy"}';
    expect(await violationsOf(classification('a.jsonl'), content)).toEqual([
      ['file.path, line 1', expect.stringContaining("Duplicate key 'text'")],
    ]);
  });

  it.each<[string, string | Uint8Array]>([
    ['a.csv', 'text,label,other\na\0b,joy,\nfine,joy,\0\n'],
    ['a.tsv', 'text\tlabel\na\0b\tjoy\nfine\tjoy\n'],
    ['a.jsonl', '{"text":"a\\u0000b","label":"joy"}\n{"text":"fine","label":"joy","other":"\\u0000"}\n'],
    [
      'a.parquet',
      new Uint8Array(
        parquetWriteBuffer({
          columnData: [
            { name: 'text', data: ['a\0b', 'fine'], type: 'STRING' },
            { name: 'label', data: ['joy', 'joy'], type: 'STRING' },
          ],
        }),
      ),
    ],
  ])('with U+0000 is refused by row in %s', async (name, content) => {
    const at = { 'a.jsonl': 'line 1', 'a.parquet': 'row 1' }[name] ?? 'line 2';
    expect(await violationsOf(classification(name), content)).toEqual([
      [`file.path, ${at}`, '"text": expected a text without U+0000, got "a\\u0000b": remove it'],
    ]);
  });

  it('with half a surrogate pair is refused, as are such ids, labels and emotions', async () => {
    const content = [
      '{"text":"\\ud83d","label":0,"emotion":"joy"}',
      '{"id":"\\ude00","text":"a","label":0,"emotion":"joy"}',
      '{"text":"a","label":"\\ud83d","emotion":"joy"}',
      '{"text":"a","label":0,"emotion":"\\u0000"}',
      '{"text":"\\ud83d\\ude00","label":0,"emotion":"joy"}',
    ].join('\n');
    const found = await violationsOf({ ...regression('a.jsonl'), task: 'emotion-regression' }, content);
    expect(found.map(([field, description]) => [field, description.split(', got')[0]])).toEqual([
      ['file.path, line 1', '"text": expected a text without half a surrogate pair'],
      ['file.path, line 2', '"id": expected a text without half a surrogate pair'],
      ['file.path, line 3', '"label": expected a text without half a surrogate pair'],
      ['file.path, line 4', '"emotion": expected a text without U+0000'],
    ]);
  });

  it('may be UTF-16 with a byte order mark', async () => {
    const content = Buffer.from('\ufefftext,label\r\nschön 🙂,joy\r\n', 'utf16le');
    expect((await read(classification('a.csv'), content)).map(({ text }) => text)).toEqual(['schön 🙂']);
  });
});

describe('labels', () => {
  const several = (name: string, more: Partial<UserFile> = {}) =>
    classification(name, { multiLabel: true, ...more });
  const labelsOf = async (file: UserFile, content: string | Uint8Array) =>
    (await read(file, content)).map(({ gold }) => gold.labels.join('+'));
  const lists = (data: unknown[]) =>
    new Uint8Array(
      parquetWriteBuffer({
        columnData: [
          { name: 'text', data: data.map((_, i) => `t${i}`) },
          { name: 'label', data },
        ],
        schema: [
          { name: 'root', num_children: 2 },
          { name: 'text', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'REQUIRED' },
          { name: 'label', converted_type: 'LIST', repetition_type: 'OPTIONAL', num_children: 1 },
          { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
          { name: 'element', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
        ],
      }),
    );

  it('may be lists of JSON or Parquet, or a text that a separator divides', async () => {
    const json =
      '{"text":"a","label":["fear","joy"]}\n{"text":"b","label":["anger"]}\n{"text":"c","label":"joy|fear"}';
    expect(await labelsOf(several('a.jsonl'), json)).toEqual(['fear+joy', 'anger', 'fear+joy']);
    expect(await labelsOf(several('a.parquet'), lists([['fear', 'joy'], ['anger']]))).toEqual([
      'fear+joy',
      'anger',
    ]);
    const csv = 'text,label\na,fear; joy;\nb,anger\n';
    expect(await labelsOf(several('a.csv', { labelSeparator: ';' }), csv)).toEqual(['fear+joy', 'anger']);
    expect(await labelsOf(several('a.csv'), csv.replaceAll(';', '|'))).toEqual(['fear+joy', 'anger']);
  });

  it('are refused where they are none, none of the set, or several where there is one', async () => {
    const row = (label: string) => `{"text":"a","label":${label}}`;
    const json = ['["joy","glee"]', '["joy",null]', '[["joy"]]', '[]', '{"joy":1}', '"|"', '["joy|fear"]'];
    const known = 'expected labels among joy, fear, anger';
    expect(await violationsOf(several('a.jsonl'), json.map(row).join('\n'))).toEqual([
      ['file.path, line 1', `${known}, got "glee" in ["joy","glee"]`],
      ['file.path, line 2', 'expected labels in "label", got ["joy",null]'],
      ['file.path, line 3', 'expected labels in "label", got [["joy"]]'],
      ['file.path, line 4', 'expected at least one label in "label", got []'],
      ['file.path, line 5', 'expected labels in "label", got {"joy":1}'],
      ['file.path, line 6', 'expected at least one label in "label", got "|"'],
      ['file.path, line 7', `${known}, got "joy|fear"`],
    ]);
    expect(await violationsOf(classification('a.jsonl'), ['["joy"]', 'true'].map(row).join('\n'))).toEqual([
      [
        'file.path, line 1',
        'expected one label in "label", got ["joy"]: rows with several need multiLabel: true',
      ],
      ['file.path, line 2', 'expected a label in "label", got true'],
    ]);
    expect(await violationsOf(several('a.parquet'), lists([['joy'], null, ['glee']]))).toEqual([
      ['file.path, row 2', expect.stringContaining('expected labels in "label", got')],
      ['file.path, row 3', `${known}, got "glee"`],
    ]);
  });
});

const fuzzRuns = 500;

describe('a user file of any content', () => {
  const readOrRefuse = async (name: string, content: string | Uint8Array) => {
    try {
      await read(regression(name), content);
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
      gold: numberGold(i),
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

describe('what a file may hold', () => {
  it('is less than texts of 200 times its size', async () => {
    const bomb = parquetBomb();
    expect(bomb.length).toBeLessThan(100_000);
    await expect(checkUserFile(classification('a.parquet'), contentOf(bomb), 'file')).rejects.toThrow(
      'file: expected texts of at most 1,074 MB (200 times the file, and 1,074 MB always), got more',
    );
  });

  it('is texts of 1 MiB, and ids and emotions of 1,000 characters', async () => {
    const emotion = { ...regression('a.csv'), task: 'emotion-regression' as const };
    const long = 'x'.repeat(1001);
    const rows = [
      `${'é'.repeat(2 ** 19)},1,joy,a`,
      `${'é'.repeat(2 ** 19)}!,1,joy,b`,
      `c,1,${long},c`,
      `d,1,joy,${long}`,
    ];
    expect(await violationsOf(emotion, ['text,label,emotion,id', ...rows].join('\n'))).toEqual([
      [
        'file.path, line 3',
        '"text": expected at most 1,048,576 bytes, got 1,048,577: make several rows of it',
      ],
      ['file.path, line 4', '"emotion": expected at most 1000 characters, got 1001'],
      ['file.path, line 5', '"id": expected at most 1000 characters, got 1001'],
    ]);
  });
});
