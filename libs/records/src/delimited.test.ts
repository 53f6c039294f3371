import { InvalidArgument } from '@emotune/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { csvRows, delimitedRows } from './delimited.js';
import { contentOf } from './testing.js';

type Format = 'csv' | 'tsv';

/** Where each row is and what it holds, or what is wrong with it. */
async function read(format: Format, text: string, pieceBytes?: number): Promise<[string, ...string[]][]> {
  const rows: [string, ...string[]][] = [];
  const wanted = { columns: [], required: [] };
  for await (const row of delimitedRows(format, contentOf(text, pieceBytes).read(), wanted, 'file'))
    rows.push([row.at, ...(row.fault === undefined ? (Object.values(row.values) as string[]) : [row.fault])]);
  return rows;
}

describe('CSV', () => {
  it('has rows that end in CRLF, LF or CR, also inside quotes, under the line that they begin on', async () => {
    const text = 'a,b\r\n1,"x\r\ny"\n\n  \r\n"2","q ""q"", r"\r3,4" no quotes"';
    // Python's csv.reader gives the same fields; csv.line_num minus the lines of a row the same lines.
    for (const size of [1, 2, 3, 1000])
      expect(await read('csv', text, size)).toEqual([
        ['line 2', '1', 'x\r\ny'],
        ['line 6', '2', 'q "q", r'],
        ['line 7', '3', '4" no quotes"'],
      ]);
  });

  it.each([
    [
      'never',
      'a,b\n1,2\n"open,3\n4,5\n',
      'file, line 3: expected a closing " before a comma or the end of the row for the field that begins with " here, got none up to the end of the file',
    ],
    [
      'before other characters',
      'a,b\n1,2\n"said, 3\nhe" loudly,5\n',
      'line 3: expected a closing " before a comma',
    ],
    ['after a row of several lines', 'a,b\n"x\ny","\nz', 'line 3: expected a closing "'],
  ])('names the line on which a quoted field begins that ends %s', async (_, text, message) => {
    for (const size of [1, 4, 1000]) await expect(read('csv', text, size)).rejects.toThrow(message);
  });

  it('does not hold a quoted field of any length', async () => {
    const endless = (async function* () {
      yield Buffer.from('a,b\n1,"');
      for (;;) yield Buffer.alloc(2 ** 20, 0x61);
    })();
    await expect(async () => {
      for await (const _ of delimitedRows('csv', endless, { columns: [], required: [] }, 'file'));
    }).rejects.toThrow('line 2: expected a closing " before a comma or the end of the row');
  });

  it('gives back what is written, wherever it is cut', async () => {
    const cell = fc.oneof(fc.string(), fc.constantFrom('"', ',', '\r\n', '\n', '\r', '""', ' ', 'é🙂'));
    const end = fc.constantFrom('\r\n', '\n', '\r');
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(cell, cell, end)),
        fc.integer({ min: 1, max: 8 }),
        async (rows, size) => {
          const quoted = (value: string) => `"${value.replaceAll('"', '""')}"`;
          const text = rows.map(([a, b, e]) => `${quoted(a)},${quoted(b)}${e}`).join('');
          const found = await read('csv', `x,y\n${text}`, size);
          expect(found.map(([, ...cells]) => cells)).toEqual(rows.map(([a, b]) => [a, b]));
        },
      ),
    );
  });
});

describe('TSV', () => {
  it.each<[written: string, read: string]>([
    ['"', '"'],
    ['"open', '"open'],
    ['"open "here" and there', '"open "here" and there'],
    ['"Yes," he said, "no"', '"Yes," he said, "no"'],
    ['"closed"', 'closed'],
    ['"with ""doubled"" ones"', 'with "doubled" ones'],
    ['""', ''],
    ['""""', '"'],
    ['"""', '"""'],
    ['in " between', 'in " between'],
    ['ends"', 'ends"'],
    ["'single'", "'single'"],
  ])('reads a field %s', async (written, value) => {
    expect(await read('tsv', `text\tlabel\n${written}\tgood\nnext\tbad`)).toEqual([
      ['line 2', value, 'good'],
      ['line 3', 'next', 'bad'],
    ]);
    expect(await read('tsv', `label\ttext\ngood\t${written}\r\nbad\tnext\r\n`)).toEqual([
      ['line 2', 'good', value],
      ['line 3', 'bad', 'next'],
    ]);
  });

  it('has as many rows as lines, whatever is quoted', async () => {
    const cell = fc.string({ unit: fc.constantFrom('"', '""', 'a', ' ', ',') });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(cell, cell), { minLength: 1 }), async (rows) => {
        const text = rows.map((cells) => cells.join('\t')).join('\n');
        expect(await read('tsv', `x\ty\n${text}`)).toHaveLength(rows.length);
      }),
    );
  });

  it('tells that quotes hold no tab and no end of line', async () => {
    expect(await read('tsv', 'text\tlabel\n"a\tb"\tgood\n"c\nd"\tbad\n')).toEqual([
      ['line 2', expect.stringContaining('expected 2 columns as in the header, got 3: a tab ends a field')],
      ['line 3', expect.stringContaining('got 1')],
      ['line 4', 'd"', 'bad'],
    ]);
  });
});

describe.each<[Format, string]>([
  ['csv', ','],
  ['tsv', '\t'],
])('a header of %s', (format, mark) => {
  const lineOf = (...cells: string[]) => `${cells.join(mark)}\n`;

  it('is the first line that is not blank, without outer blanks', async () => {
    const text = `\ufeff\n  \n${lineOf(' text', 'label ')}${lineOf(' a', 'b ')}`;
    const wanted = { columns: ['text'], required: ['text', 'label'] };
    const rows = [];
    for await (const row of delimitedRows(format, contentOf(text).read(), wanted, 'file')) rows.push(row);
    expect(rows).toEqual([{ at: 'line 4', values: { text: ' a', label: 'b ' } }]);
  });

  it('names each column once; case tells them apart, and those without a name are none', async () => {
    const twice = lineOf('label', 'text', ' label', 'x', 'text') + lineOf('1', '2', '3', '4', '5');
    await expect(read(format, twice)).rejects.toMatchObject({
      violations: [
        {
          field: 'file, line 1',
          description: 'expected each column once, got "label" as columns 1 and 3: rename or remove one',
        },
        { field: 'file, line 1', description: expect.stringContaining('got "text" as columns 2 and 5') },
      ],
    });
    expect(await read(format, lineOf('', 'Text', 'text', '') + lineOf('0', 'A', 'b', '1'))).toHaveLength(1);
  });

  it('tells how many columns a row has', async () => {
    expect(
      await read(format, lineOf('a', 'b') + lineOf('1') + lineOf('1', '2', '') + lineOf('1', '2')),
    ).toEqual([
      ['line 2', expect.stringContaining('expected 2 columns as in the header, got 1')],
      ['line 3', expect.stringContaining('got 3')],
      ['line 4', '1', '2'],
    ]);
  });

  it('alone has no rows', async () => {
    expect(await read(format, lineOf('a', 'b'))).toEqual([]);
    expect(await read(format, lineOf('a', 'b').trim())).toEqual([]);
  });

  it('with U+0000 is none', async () => {
    await expect(read(format, 'a\0b')).rejects.toThrow('expected a header, got a binary file');
  });
});

describe('csvRows', () => {
  it('reads a text at once and refuses every row that has other columns than the header', () => {
    expect(csvRows('a,b\r\n1,"x, y"')).toEqual([{ at: 'line 2', values: { a: '1', b: 'x, y' } }]);
    expect(() => csvRows('a,b\n1\n1,2\n1,2,3', '--file')).toThrow(
      /--file, line 2: expected 2 columns.* got 1.*--file, line 4: .* got 3/,
    );
    expect(() => csvRows('a,a\n1,2')).toThrow(InvalidArgument);
  });
});
