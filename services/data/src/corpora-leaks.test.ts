/** What the corpora hold twice, against what is known of them; skipped where they are not here. */
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import type { SourceExample } from '@emotune/affect';
import { describe, expect, it } from 'vitest';
import { assemble } from './assemble.js';
import { corpora } from './corpora.js';
import { locate } from './locate.js';

const corporaDir = process.env['EMOTUNE_CORPORA'];
if (corporaDir === undefined)
  process.stderr.write('SKIPPED leaks of corpora: set EMOTUNE_CORPORA to the folder of corpora\n');

async function examplesOf(name: string): Promise<SourceExample[]> {
  const corpus = corpora.find((one) => one.name === name)!;
  const paths = await locate(corpus, { corporaDir, cacheDir: tmpdir(), download: false });
  return corpus.examples(
    paths.map((path) => readFileSync(path, 'utf8')),
    () => {},
  );
}

/** Letters and digits alone, as those who counted before had it: emoticons and marks are lost. */
const lettersOf = (text: string) =>
  text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
const repeated = (texts: readonly string[]) => texts.length - new Set(texts).size;
const shares = { validation: 0.1, test: 0.1 };

describe.skipIf(corporaDir === undefined)('known duplicates', () => {
  it('VADER: 154 tweets differ in emoticons and marks alone, and stay; 71 editorial snippets are equal', async () => {
    for (const [name, byLetters, equal] of [
      ['vader-tweets', 154, 0],
      ['vader-nyt', 71, 71],
    ] as const) {
      const rows = (await examplesOf(name)).filter(({ task }) => task === 'sentiment-regression');
      expect(repeated(rows.map(({ text }) => lettersOf(text)))).toBe(byLetters);
      const { splits, conflicts, duplicatesRemoved } = assemble(rows, shares, 1, 0.85);
      // Equal snippets were rated apart: rows whose answers differ are kept.
      const again = conflicts.reduce(
        (sum, { answers }) => sum + Object.values(answers).reduce((a, b) => a + b, 0) - 1,
        0,
      );
      expect(duplicatesRemoved + again).toBe(equal);
      expect(Object.values(splits).flat().length).toBeGreaterThan(rows.length - 72);
    }
  });

  it('EmoBank: 1,192 of the 1,250 headlines of SemEval-2007 are in its published file', async () => {
    const rows = (await examplesOf('emobank')).filter(({ task }) => task === 'sentiment-regression');
    expect(rows.filter(({ originalId }) => originalId.startsWith('SemEval_'))).toHaveLength(1192);
  });

  it('GoEmotions: train and test share 46 texts, 90 by letters alone; no text is left in two splits', async () => {
    const rows = await examplesOf('goemotions');
    const of = (split: string) => rows.filter((row) => row.split === split);
    const tests = new Set(of('test').map(({ text }) => lettersOf(text)));
    const shared = new Set(
      of('train')
        .map(({ text }) => lettersOf(text))
        .filter((text) => tests.has(text)),
    );
    expect(shared.size).toBe(90);
    const { leaksRemoved, splits, leaks } = assemble(rows, shares, 1, 0.85);
    expect(
      new Set(
        leaks
          .filter(({ dropped, kept }) => dropped.split === 'train' && kept.split === 'test')
          .map(({ kept }) => kept.text),
      ).size,
    ).toBeGreaterThanOrEqual(46);
    expect(leaksRemoved).toBe(121 + 74 + 17);
    const left = new Set(splits.train.map(({ text }) => text));
    expect(splits.test.filter(({ text }) => left.has(text))).toEqual([]);
  });
});
