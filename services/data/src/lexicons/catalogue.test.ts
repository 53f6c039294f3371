import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { locate, locationOf } from '../locate.js';
import { lexiconSources } from './catalogue.js';
import { filesOfTar } from './tar.js';

const corporaDir = process.env['EMOTUNE_CORPORA'];
let cacheDir: string;
beforeAll(() => {
  cacheDir = mkdtempSync(join(tmpdir(), 'emotune-lexicons-'));
});
afterAll(() => rmSync(cacheDir, { recursive: true, force: true }));

it('names are told apart, and each has a licence', () => {
  expect(new Set(lexiconSources.map(({ name }) => name)).size).toBe(lexiconSources.length);
  for (const { licence, redistributable, obligations, files } of lexiconSources) {
    expect(licence).toMatch(/^[\w.-]+$/);
    // What may not be handed on is never fetched.
    if (!redistributable)
      expect(files.every(({ path, ...rest }) => Object.keys(rest).length === 0)).toBe(true);
    if (licence !== 'PDDL-1.0') expect(obligations.length).toBeGreaterThan(0);
  }
});

describe('as published, each has the terms that are listed:', () => {
  for (const source of lexiconSources) {
    it(source.name, async (context) => {
      const options = { corporaDir, cacheDir, download: false };
      if ((await locationOf(source, options)) === undefined) {
        process.stderr.write(`SKIPPED lexicon ${source.name}: its files are not in EMOTUNE_CORPORA\n`);
        return context.skip();
      }
      const lexicon = source.read((await locate(source, options)).map((path) => readFileSync(path)));
      expect(lexicon).toMatchObject({ name: source.name, language: source.language });
      if (source.entries > 0) expect(lexicon.terms.size).toBe(source.entries);
      for (const values of lexicon.terms.values()) {
        expect(values).toHaveLength(lexicon.dimensions.length);
        for (const value of values) expect(Math.abs(value)).toBeLessThanOrEqual(lexicon.scale);
      }
    });
  }
});

it("a file of the user's own is read from the user's folder alone, and what is missing is said", async () => {
  const emoLex = lexiconSources.find(({ name }) => name === 'nrc-emolex')!;
  await expect(locate(emoLex, { cacheDir, download: true })).rejects.toThrow(
    'nrc-emolex: expected your own copy as lexicons/NRC-Emotion-Lexicon-Wordlevel-v0.92.txt in EMOTUNE_CORPORA (not set), got none',
  );
});

it('files lie in the folder, in the cache, or some here and some there', async () => {
  const [here, there] = [mkdtempSync(join(cacheDir, 'here-')), mkdtempSync(join(cacheDir, 'there-'))];
  const files = [{ path: 'a' }, { path: 'b' }];
  const options = { corporaDir: here, cacheDir: there, download: false };
  writeFileSync(join(here, 'a'), '');
  expect(await locationOf({ name: 'own', files }, options)).toBeUndefined();
  writeFileSync(join(there, 'b'), '');
  expect(await locationOf({ name: 'own', files }, options)).toBe('cache');
  expect(await locate({ name: 'own', files }, options)).toEqual([join(here, 'a'), join(there, 'b')]);
  writeFileSync(join(here, 'b'), '');
  expect(await locationOf({ name: 'own', files }, options)).toBe(here);
});

describe('a tar archive', () => {
  const header = (name: string, size: number) => {
    const block = Buffer.alloc(512);
    block.write(name, 0);
    block.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
    block.write('0', 156);
    return block;
  };
  const padded = (text: string) => Buffer.concat([Buffer.from(text), Buffer.alloc(512 - text.length)]);

  it('gives its files', () => {
    const archive = Buffer.concat([header('d/a', 2), padded('hi'), header('b', 0), Buffer.alloc(1024)]);
    expect([...filesOfTar(archive)].map(([name, content]) => [name, `${content}`])).toEqual([
      ['d/a', 'hi'],
      ['b', ''],
    ]);
  });

  it('that is cut off is refused', () => {
    expect(() => filesOfTar(header('d/a', 600))).toThrow('d/a: expected a whole tar archive');
  });
});
