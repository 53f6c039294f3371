import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { specOf } from '@emotune/service/spec';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseYaml, readYamlFile } from './yaml-file.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-yaml-'));
const path = join(folder, 'spec.yaml');

beforeAll(() => {
  writeFileSync(join(folder, 'binary'), Buffer.from([0x50, 0x4b, 3, 4, 0xff, 0xfe]));
  writeFileSync(join(folder, 'utf-16'), Buffer.from('\ufeffname: x', 'utf16le'));
  writeFileSync(join(folder, 'sparse'), '');
  truncateSync(join(folder, 'sparse'), 10 * 1024 ** 3);
  writeFileSync(path, '\ufeffname: mïne\n');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a YAML file', () => {
  it('is read as UTF-8, with or without a byte order mark', async () => {
    expect(await readYamlFile(path, 'spec.yaml')).toEqual({ name: 'mïne' });
  });

  it.each([
    ['absent', 'absent: expected a file that can be read, got none'],
    ['.', '.: expected a file, got a folder'],
    ['binary', 'binary: expected UTF-8 text, got other bytes'],
    ['utf-16', 'utf-16: expected UTF-8 text, got other bytes'],
    ['sparse', 'sparse: expected at most 4 MiB, got 10240 MiB'],
  ])('%s is refused', async (name, want) => {
    await expect(readYamlFile(join(folder, name), name)).rejects.toThrow(want);
  });

  const many = Array.from({ length: 20_000 }, (_, i) => i);
  // What grows with the square of their number would not end in time.
  it.each([
    ['keys', (i: number) => `key${i}: 1`, /^key0: unknown field, expected one of .*; and 19900 more$/],
    [
      'the same key',
      () => 'name: x',
      /^f: expected a key once, got "name" again at line 2, .*; and 19899 more$/,
    ],
    ['mistakes', (i: number) => `key${i}: [1`, /^f: .* at line 2, column 1; .*; and \d+ more$/],
  ])('of 20,000 lines of %s is answered with what is wrong, as far as anybody reads', (_, line, message) => {
    const text = many.map(line).join('\n');
    expect(() => specOf(parseYaml(text, 'f'), 'emotune.data.v1.DatasetSpec', 'f')).toThrow(message);
  });

  it.each([
    ['keys and values', (i: number) => `key${i}: 1`],
    ['keys', (i: number) => `"key${i}":`],
    ['items', (i: number) => `- 'item ${i}'`],
    ['aliases', (i: number) => (i === 0 ? '- &a x' : '- *a')],
  ])('of more %s than a request holds is refused', (_, line) => {
    const text = Array.from({ length: 50_000 }, (_, i) => line(i)).join('\n');
    expect(() => parseYaml(text, 'f')).toThrow(
      'f: expected at most 40,000 keys and values, which is what a request holds, got more',
    );
  });

  it('has a key once in each mapping, wherever that stands', () => {
    const text = 'a: {x: 1, y: 2}\nb:\n  - {x: 1, "x": 2}\nc: {1: 1, 1: 2}';
    expect(() => parseYaml(text, 'f')).toThrow(
      'f: expected a key once, got "x" again at line 3, column 12; f: expected a key once, got "1" again at line 4, column 11',
    );
  });

  it.each([
    ['nested too deep', '['.repeat(100_000)],
    [
      'aliases of aliases',
      `a: &a [x]\n${'bcdefgh'.replace(/./g, (c) => `${c}: &${c} [${`*${String.fromCharCode(c.charCodeAt(0) - 1)},`.repeat(9)}]\n`)}`,
    ],
  ])('%s is refused', (_, text) => {
    expect(() => parseYaml(text, 'spec.yaml')).toThrow(/^spec\.yaml: /);
  });
});
