import { Rng } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import { InducedCounts, priorStrength, WordCounts } from './induced-lexicon.js';
import { type Example, labelGold, numberGold } from './tasks.js';

const base = {
  source: 'own',
  originalId: '1',
  licence: 'Apache-2.0',
  language: 'en',
  emotion: null,
  multiLabel: true,
  scale: null,
  split: 'train',
} as const;
const labelSet = ['fear', 'joy'];
const labelled = (text: string, labels: readonly string[], language = 'en'): Example => ({
  ...base,
  id: text,
  language,
  task: 'emotion-classification',
  text,
  labelSet,
  gold: labelGold(labels),
});
const rated = (text: string, value: number): Example => ({
  ...base,
  id: text,
  task: 'sentiment-regression',
  text,
  labelSet: [],
  scale: { low: 0, high: 1 },
  multiLabel: false,
  gold: numberGold(value),
});

const filler = ['lamp', 'river', 'ticket', 'window', 'paper', 'garden', 'table', 'evening'];

/** Texts in which "lantern" goes with joy in `share` of them, among words that go with nothing. */
function texts(count: number, share: number, seed = 'texts'): Example[] {
  return Array.from({ length: count }, (_, i) => {
    const rng = Rng.of(seed, i);
    const words = [filler[rng.int(8)], filler[rng.int(8)], i % 2 === 0 ? 'lantern' : 'cellar'];
    const joy = rng.uniform() < (i % 2 === 0 ? share : 1 - share);
    return labelled(rng.shuffle(words).join(' '), [joy ? 'joy' : 'fear']);
  });
}

function usualOf(examples: readonly Example[]) {
  const counts = new WordCounts();
  for (const example of examples) counts.add(example);
  return counts.usual();
}

function induced(examples: readonly Example[], words = usualOf(examples)) {
  const counts = new InducedCounts(words);
  for (const example of examples) counts.add(example);
  return counts.lexicons();
}

describe('a lexicon is induced', () => {
  it('by what the texts of each word were rated, along each dimension', () => {
    const [lexicon] = induced([
      ...texts(400, 0.9),
      ...Array.from({ length: 40 }, (_, i) =>
        rated(`${i % 2 ? 'puddle' : 'kite'} ${filler[i % 8]}`, i % 2 ? 0.1 : 0.9),
      ),
    ]);
    expect(lexicon).toMatchObject({
      name: 'induced-en',
      language: 'en',
      dimensions: ['fear', 'joy', 'valence'],
    });
    const [fear, joy] = lexicon.terms.get('lantern')!;
    expect(joy).toBeGreaterThan(0.4);
    expect(fear).toBeLessThan(-0.4);
    expect(lexicon.terms.get('puddle')![2]).toBeLessThan(-0.5);
    expect(lexicon.terms.get('kite')![2]).toBeGreaterThan(0.5);
    for (const word of filler) expect(Math.abs(lexicon.terms.get(word)?.[1] ?? 0)).toBeLessThan(0.15);
  });

  it('towards what all texts have, the more the fewer texts a word has, and not at all below five', () => {
    const rare = (word: string, count: number) =>
      Array.from({ length: count }, (_, i) => labelled(`${word} ${filler[i % 8]}`, ['joy']));
    const [lexicon] = induced([
      ...texts(400, 0.9),
      ...rare('comet', 5),
      ...rare('anchor', 60),
      ...rare('moss', 4),
    ]);
    const joy = (word: string) => lexicon.terms.get(word)![1];
    expect(joy('comet')).toBeGreaterThan(0);
    expect(joy('anchor')).toBeGreaterThan(joy('comet'));
    expect(lexicon.terms.has('moss')).toBe(false);
  });

  it('of words that do not differ, none', () => {
    const [lexicon] = induced(texts(400, 0.5));
    expect(lexicon.terms.size).toBeLessThanOrEqual(2);
  });

  it('for each language from its own texts', () => {
    const own = texts(200, 0.9).map((example) => ({
      ...example,
      language: 'fr-CA',
      text: example.text.replace('lantern', 'lanterne'),
    }));
    const [english, french] = induced([...texts(200, 0.9), ...own]);
    expect([english.name, french.name]).toEqual(['induced-en', 'induced-fr']);
    expect(english.terms.has('lanterne')).toBe(false);
    expect(french.terms.has('lanterne')).toBe(true);
  });

  it('without a fold as if its rows had never been', () => {
    const rows = texts(300, 0.9);
    const words = usualOf(rows);
    const counts = new InducedCounts(words, 3);
    rows.forEach((row, i) => {
      counts.add(row, i % 3);
    });
    expect(counts.lexicons(1)).toEqual(
      induced(
        rows.filter((_, i) => i % 3 !== 1),
        words,
      ),
    );
    expect(counts.lexicons()).toEqual(induced(rows));
  });
});

it('the strength of the prior is the variance within words over that between them', () => {
  // 2,000 words of 20 ratings: means normal with deviation .1 around .5, ratings with .3 around them: k = .09 / .01.
  const words = Array.from({ length: 2000 }, (_, w) => {
    const rng = Rng.of('strength', w);
    const mean = 0.5 + 0.1 * rng.normal();
    const ratings = Array.from({ length: 20 }, () => mean + 0.3 * rng.normal());
    return {
      count: 20,
      sum: ratings.reduce((sum, x) => sum + x, 0),
      squares: ratings.reduce((sum, x) => sum + x * x, 0),
    };
  });
  // Its standard error at this size is about .4.
  expect(Math.abs(priorStrength(words, 0.5) - 9)).toBeLessThan(1.5);
  expect(priorStrength([{ count: 5, sum: 2.5, squares: 1.25 }], 0.5)).toBe(Number.POSITIVE_INFINITY);
});
