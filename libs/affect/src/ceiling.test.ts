import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Rng } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import { splitHalf } from './ceiling.js';

const corpora = process.env['EMOTUNE_CORPORA'];
if (corpora === undefined)
  process.stderr.write('SKIPPED human ceilings: set EMOTUNE_CORPORA to the folder of corpora\n');
const rng = Rng.of(1, 'ceiling');

describe('split halves', () => {
  it('of raters who agree wholly are 1, of those who only guess about 0', () => {
    const agreed = Array.from({ length: 50 }, (_, i) => [i, i, i]);
    expect(splitHalf(agreed, rng)).toBeCloseTo(1, 12);
    const guesses = Array.from({ length: 2000 }, () => Array.from({ length: 4 }, () => rng.uniform()));
    // A correlation of 2,000 pairs of independent numbers has a standard error of 0.022, stepped up 0.044; four of it.
    expect(Math.abs(splitHalf(guesses, rng)!)).toBeLessThan(0.18);
  });

  it('of raters as noisy as the truth varies are 4 / 5 where there are four', () => {
    // The mean of k ratings, truth and noise of one variance, has reliability k / (k + 1): Spearman-Brown from 1 / 2.
    const rated = Array.from({ length: 5000 }, () => {
      const truth = rng.uniform();
      return Array.from({ length: 4 }, () => truth + rng.uniform());
    });
    // Four standard errors of r = 2 / 3 in 5,000 examples, 0.031, stepped up by 2 / (1 + r)² = 0.72.
    expect(Math.abs(splitHalf(rated, rng)! - 0.8)).toBeLessThan(0.023);
  });

  it('are undefined of one example, one rater, or ratings that do not vary', () => {
    expect(splitHalf([[1, 2]], rng)).toBeUndefined();
    expect(splitHalf([[1, 2], [3]], rng)).toBeUndefined();
    expect(
      splitHalf(
        [
          [1, 1],
          [1, 1],
        ],
        rng,
      ),
    ).toBeUndefined();
  });
});

// The figures for VADER's and EmoBank's ratings as an independent program gave them, to as many digits; another draw of
// the halves moves them by a few thousandths.
describe.skipIf(corpora === undefined)('the ceilings of the corpora as published', () => {
  const read = (path: string) => readFileSync(join(corpora!, path), 'utf8').trim().split(/\r?\n/);

  it.each([
    ['tweets', 4200, 0.987],
    ['movieReviewSnippets', 10605, 0.986],
    ['amazonReviewSnippets', 3708, 0.989],
    ['nytEditorialSnippets', 5190, 0.958],
  ])('VADER %s', (name, n, ceiling) => {
    const rows = read(`vader/${name}_anonDataRatings.txt`).map((line) => JSON.parse(line.split('\t')[3]));
    expect(rows).toHaveLength(n);
    expect(Math.abs(splitHalf(rows, rng)! - ceiling)).toBeLessThan(0.0015);
  });

  it.each([
    ['reader', [0.72, 0.61, 0.58]],
    ['writer', [0.66, 0.54, 0.55]],
  ])('EmoBank, valence, arousal and dominance of its %ss', (view, ceilings) => {
    const items = new Map<string, number[][]>();
    for (const line of read(`emobank/individual_${view}_ratings.csv`).slice(1)) {
      const cells = line.split(',');
      const id = cells.slice(0, -3).join();
      items.set(id, [...(items.get(id) ?? []), cells.slice(-3).map(Number)]);
    }
    const rated = [...items.values()].filter((ratings) => ratings.length > 1);
    ceilings.forEach((ceiling, k) => {
      const found = splitHalf(
        rated.map((ratings) => ratings.map((all) => all[k])),
        rng,
      )!;
      expect(Math.abs(found - ceiling)).toBeLessThan(0.01);
    });
  });
});
