import { expect, it } from 'vitest';
import { piecesOf } from './log.js';
import { SafeLines, secretsOf } from './log-secrets.js';

function written(secrets: readonly string[], chunks: readonly string[]): string[] {
  const parts: string[] = [];
  const lines = new SafeLines(secrets, (bytes) => parts.push(bytes.toString()));
  for (const chunk of chunks) lines.take(Buffer.from(chunk, 'latin1'));
  lines.end();
  return parts;
}
const bytes = (text: string) => Buffer.from(text).toString('latin1');

it('takes a secret out however its bytes come', () => {
  const text = bytes('a token: s3cret-ü, twice: s3cret-üs3cret-ü\nnone here\nlast s3cret-ü');
  for (let size = 1; size <= text.length; size++) {
    const chunks = Array.from({ length: Math.ceil(text.length / size) }, (_, i) =>
      text.slice(i * size, (i + 1) * size),
    );
    expect(written(['s3cret-ü'], chunks).join('')).toBe(
      'a token: [secret], twice: [secret][secret]\nnone here\nlast [secret]',
    );
  }
});

it('takes a secret out of a line that is too long for one part', () => {
  const size = 200_000;
  for (const before of [65_530, 65_536, 131_070]) {
    const text = `${'x'.repeat(before)}s3cret-word${'y'.repeat(size - before)}`;
    const parts = written(['s3cret-word'], text.match(/.{1,4096}/gs)!);
    expect(parts.join('')).toBe(text.replace('s3cret-word', '[secret]'));
    expect(Math.max(...parts.map(({ length }) => length))).toBeLessThanOrEqual(64 * 1024);
  }
});

it('takes out a longer secret before one that it holds, and passwords of URLs', () => {
  expect(written(['abcdef', 'abcdefgh'], ['abcdefgh abcdef\n']).join('')).toBe('[secret] [secret]\n');
  expect(written([], ['at postgres://ann:hunter2@db:5432/x and https://a.b/c:d@e\n']).join('')).toBe(
    'at postgres://ann:[secret]@db:5432/x and https://a.b/c:d@e\n',
  );
});

it('knows secrets by the names of their variables', () => {
  const environment = {
    EMOTUNE_TOKEN: 'one-token',
    AWS_SECRET_ACCESS_KEY: 'two-keys',
    PGPASSWORD: 'three-words',
    EMOTUNE_TRIAL: '12345678',
    HF_TOKEN: 'x',
  };
  expect(secretsOf(environment, 'its token')).toEqual(['its token', 'one-token', 'two-keys', 'three-words']);
});

it('gives what lies after a position, across what was left out', async () => {
  const segments = new Map([
    [0, 'head\n'],
    [100, 'more\n'],
    [105, 'tail\n'],
  ]);
  const place = {
    segments: async () => [...segments].map(([offset, text]) => ({ offset, bytes: text.length })),
    read: async (offset: number) => Buffer.from(segments.get(offset)!),
  };
  const read = async (from: number) => {
    const pieces: [number, string][] = [];
    for await (const { offset, bytes } of piecesOf(place, from)) pieces.push([offset, String(bytes)]);
    return pieces;
  };
  expect(await read(0)).toEqual([
    [0, 'head\n'],
    [100, 'more\n'],
    [105, 'tail\n'],
  ]);
  expect(await read(3)).toEqual([
    [3, 'd\n'],
    [100, 'more\n'],
    [105, 'tail\n'],
  ]);
  expect(await read(50)).toHaveLength(2);
  expect(await read(107)).toEqual([[107, 'il\n']]);
  expect(await read(110)).toEqual([]);
});
