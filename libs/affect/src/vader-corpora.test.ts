import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { vaderCompound } from './vader.js';

const corpora = process.env['EMOTUNE_CORPORA'];
const folder = corpora === undefined ? undefined : join(corpora, 'vader');
const absent = folder === undefined || !existsSync(folder);
if (absent) process.stderr.write("SKIPPED VADER's own texts: set EMOTUNE_CORPORA to the folder of corpora\n");

function pearson(a: readonly number[], b: readonly number[]): number {
  const mean = (x: readonly number[]) => x.reduce((sum, value) => sum + value, 0) / x.length;
  const [p, q] = [mean(a), mean(b)];
  const sum = (of: (i: number) => number) => a.reduce((total, _, i) => total + of(i), 0);
  return (
    sum((i) => (a[i] - p) * (b[i] - q)) / Math.sqrt(sum((i) => (a[i] - p) ** 2) * sum((i) => (b[i] - q) ** 2))
  );
}

describe.skipIf(absent)("VADER's compound of its four sets of texts", () => {
  // The correlation with people is that of Hutto and Gilbert's lexicon as vaderSentiment 3.3.2 reads it. The hash is of that
  // package's compounds (Python 3.11), four digits a line, 0 without a sign: every row is the same.
  it.each([
    ['tweets', 4200, 0.872, 'f4a66d911c970753b171f1792c147ede566842e7f8891e9dd49a558707ed3bb8'],
    ['movieReviewSnippets', 10605, 0.427, 'febc2d073a1d288e7aea299b0796e5d5891c73b056f4a151d37101e72e580f50'],
    ['amazonReviewSnippets', 3708, 0.59, 'e61502cd280dfa9ca76221ac45fcd9ad5af97bdef28c04c2dda14bd98e455ecf'],
    ['nytEditorialSnippets', 5190, 0.503, '17c0c10a17e35891e6fe6668140570e01f77df06fc4df517f049a143bedc6f44'],
  ])('%s', (stem, count, r, sha256) => {
    const rows = readFileSync(join(folder!, `${stem}_GroundTruth.txt`), 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => line.split('\t'));
    expect(rows).toHaveLength(count);
    const compounds = rows.map(([, , text]) => vaderCompound(text));
    expect(
      pearson(
        compounds,
        rows.map(([, mean]) => Number(mean)),
      ),
    ).toBeCloseTo(r, 3);
    const printed = compounds.map((compound) => compound.toFixed(4)).join('\n');
    expect(createHash('sha256').update(printed).digest('hex')).toBe(sha256);
  });
});
