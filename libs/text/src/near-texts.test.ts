import { Rng } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import { bandsFor, jaccard, MinHash } from './min-hash.js';
import { NearTexts } from './near-texts.js';

/** What each text is joined with. */
function joined(texts: readonly string[], threshold = 0.85, kinds: readonly string[] = []): number[] {
  const near = new NearTexts(threshold);
  texts.forEach((text, i) => {
    near.add(text, kinds[i] ?? '');
  });
  texts.forEach((text, i) => {
    near.review(i, text);
  });
  return [...near.join()];
}

const rng = Rng.of(7);
const word = () =>
  Array.from({ length: 3 + rng.int(6) }, () => String.fromCharCode(97 + rng.int(26))).join('');
const words = (count: number) => Array.from({ length: count }, word);

describe('near texts', () => {
  it('are joined by the first, those below the threshold and of another kind are not', () => {
    const text = words(30);
    const changed = text.with(12, 'another');
    const half = [...text.slice(0, 15), ...words(15)];
    const all = [text, words(30), changed, half, text].map((one) => one.join(' '));
    expect(joined(all)).toEqual([0, 1, 0, 3, 0]);
    expect(joined(all, 0.85, ['', '', 'other', '', ''])).toEqual([0, 1, 2, 3, 0]);
  });

  it('of one word are near when they are equal', () => {
    expect(joined(['tea', 'tea', 'te', '', ''])).toEqual([0, 0, 2, 3, 3]);
  });

  it.each([0.8, 0.85, 0.9])(
    'at %f: all pairs at the threshold or above are found, none below',
    (threshold) => {
      const near = new NearTexts(threshold);
      const hash = new MinHash(threshold);
      const texts: string[] = [];
      for (let i = 0; i < 1500; i++) {
        // Of a message and of a review, with up to three words changed.
        const first = words(8 + rng.int(60));
        const second = [...first];
        for (let change = rng.int(4); change > 0; change--) second[rng.int(second.length)] = word();
        texts.push(first.join(' '), second.join(' '));
      }
      for (const text of texts) near.add(text, '');
      texts.forEach((text, i) => {
        near.review(i, text);
      });
      const roots = near.join();
      let [pairs, found] = [0, 0];
      for (let i = 0; i < texts.length; i += 2) {
        const similar = jaccard(hash.shinglesOf(texts[i]), hash.shinglesOf(texts[i + 1])) >= threshold;
        if (!similar) expect(roots[i + 1]).toBe(i + 1);
        pairs += Number(similar);
        found += Number(similar && roots[i + 1] === i);
      }
      expect(pairs).toBeGreaterThan(300);
      // One in a thousand right at the threshold may be missed; short texts have fewer shingles than bins.
      expect(found).toBeGreaterThanOrEqual(Math.floor(0.99 * pairs));
    },
  );
});

it('bands: as many as meet all but one in a thousand at the threshold, by 1 − (1 − s⁶)ᵇ', () => {
  for (const threshold of [0.7, 0.8, 0.85, 0.9, 0.99]) {
    const bands = bandsFor(threshold);
    expect((1 - threshold ** 6) ** bands).toBeLessThanOrEqual(1e-3);
    expect((1 - threshold ** 6) ** (bands - 1)).toBeGreaterThan(1e-3);
  }
});
