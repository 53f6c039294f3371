import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { plainSentences } from '@emotune/affect/plain';
import { textKey } from '@emotune/text';
import { describe, expect, it } from 'vitest';
import { corpora } from './corpora.js';
import { locate } from './locate.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const corporaDir = process.env['EMOTUNE_CORPORA'];
if (corporaDir === undefined)
  process.stderr.write('SKIPPED plain sentences beside corpora: set EMOTUNE_CORPORA to their folder\n');
const here = corpora.filter(({ files }) => corporaDir !== undefined || files.length === 0);

function wordsOf(text: string): Set<string> {
  return new Set(text.toLowerCase().match(/[\p{L}\p{N}']+/gu) ?? []);
}

const sentences = plainSentences().map(({ text }) => ({ text, key: textKey(text), words: wordsOf(text) }));
const keys = new Set(sentences.map(({ key }) => key));
/** The sentences that each word is in. */
const withWord = new Map<string, number[]>();
sentences.forEach(({ words }, i) => {
  for (const word of words) withWord.set(word, [...(withWord.get(word) ?? []), i]);
});

/** Shared words over all words of both; the most alike pair of the corpora named below has 0.5. */
const near = 0.6;

/** The texts that are, or nearly are, a plain sentence. */
function alike(texts: Iterable<string>): string[] {
  const found: string[] = [];
  for (const text of texts) {
    if (keys.has(textKey(text))) found.push(text);
    const words = wordsOf(text);
    const shared = new Map<number, number>();
    for (const word of words)
      for (const i of withWord.get(word) ?? []) shared.set(i, (shared.get(i) ?? 0) + 1);
    for (const [i, count] of shared)
      if (count >= near * (sentences[i].words.size + words.size - count)) found.push(text);
  }
  return found;
}

describe('no training source holds a plain sentence or its like', () => {
  it('finds the same and nearly the same', () => {
    const [{ text }] = sentences;
    expect(alike([`  ${text}.`, 'nothing of the kind'])).toHaveLength(2);
  });

  // The texts of goemotions and goemotions-ekman are the same.
  const seen = new Set<string>();

  it.each(here.map((corpus) => [corpus.name, corpus] as const))('%s', async (_, corpus) => {
    const paths = await locate(corpus, { corporaDir, cacheDir: root, download: false });
    const contents = paths.map((path) => readFileSync(path, 'utf8'));
    const examples = corpus.examples(contents, () => {});
    const texts = new Set(examples.map(({ text }) => text).filter((text) => !seen.has(text)));
    expect(alike(texts)).toEqual([]);
    for (const text of texts) seen.add(text);
  });

  it('nor do the documents', () => {
    const folders = ['.', 'docs', 'docs/decisions', 'docs/examples', 'services/data/data', 'helm/emotune'];
    const files = folders.flatMap((folder) =>
      readdirSync(join(root, folder), { withFileTypes: true })
        .filter((entry) => entry.isFile() && /\.(?:md|ya?ml|tsv|json)$/.test(entry.name))
        .map(({ name }) => join(root, folder, name)),
    );
    expect(files.length).toBeGreaterThan(30);
    const parts = files.flatMap((file) => readFileSync(file, 'utf8').split(/[\n\t"“”`|]|(?<=[.!?])\s/));
    expect(alike(new Set(parts))).toEqual([]);
  });
});
