import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anyLanguage, type Lexicon } from './lexicon.js';
import { LexiconSet } from './lexicon-set.js';
import { Lexicons } from './lexicons.js';

const lexicon = (
  language: string,
  terms: Record<string, readonly number[]>,
  { name = 'own', dimensions = ['valence'], scale = 1 } = {},
): Lexicon => ({ name, language, dimensions, scale, terms: new Map(Object.entries(terms)) });

const moods = lexicon(
  'en',
  { gloomy: [0, 0.8], merry: [0.9, 0], 'over the moon': [1, 0] },
  { name: 'moods', dimensions: ['joy', 'sadness'] },
);
const valences = lexicon('en', { gloomy: [-0.5], merry: [0.5], moon: [0.2], dusk: [-0.1], ':)': [0.5] });
const set = new LexiconSet([moods, valences], 'en');
const scoreOf = (text: string, dimension: string, name = 'own') =>
  set.read(text).cues.find((cue) => cue.dimension === dimension && cue.lexicon === name)?.score;
const verdictOf = (text: string, dimension: string) =>
  set.read(text).verdicts.find((verdict) => verdict.dimension === dimension)?.value ?? 0;

describe('lexicons read together', () => {
  it('each find their terms, on their own scales', () => {
    expect(
      set
        .read('A merry crowd, a gloomy sky')
        .cues.map(({ text, lexicon: by, dimension, score }) => [text, by, dimension, score]),
    ).toEqual([
      ['merry', 'moods', 'joy', 0.9],
      ['merry', 'own', 'valence', 0.5],
      ['gloomy', 'moods', 'sadness', 0.8],
      ['gloomy', 'own', 'valence', -0.5],
    ]);
  });

  it('know phrases, whose words count for others alone', () => {
    const found = set.read('she was over the moon').cues;
    expect(found.map(({ text, lexicon: by }) => [text, by])).toEqual([
      ['over the moon', 'moods'],
      ['moon', 'own'],
    ]);
  });

  it.each(['valence', 'joy'])('are all changed by what stands around a word, along %s', (dimension) => {
    const of = (text: string) => scoreOf(text, dimension, dimension === 'joy' ? 'moods' : 'own')!;
    const plain = of('that was merry');
    expect(of('that was not merry')).toBeCloseTo(-0.74 * plain, 1);
    expect(of('that wasn’t merry')).toBeCloseTo(-0.74 * plain, 1);
    expect(of('that was very merry')).toBeGreaterThan(plain);
    expect(of('that was somewhat merry')).toBeLessThan(plain);
    expect(of('that was MERRY')).toBeGreaterThan(plain);
    // A negation ends with its sentence.
    expect(of('It was not. Merry people came')).toBe(plain);
  });

  it('weigh a whole text by "but" and marks', () => {
    expect(verdictOf('merry but gloomy', 'valence')).toBeLessThan(0);
    expect(verdictOf('gloomy but merry', 'valence')).toBeGreaterThan(0);
    expect(verdictOf('how merry!!!', 'joy')).toBeGreaterThan(verdictOf('how merry', 'joy'));
  });

  it('find emoticons beside blanks, and emoji of any tone', () => {
    expect(scoreOf('well :)', 'valence')).toBe(0.5);
    expect(scoreOf('well:) then', 'valence')).toBe(0.5);
    expect(scoreOf('(a:)b', 'valence')).toBeUndefined();
    const hands = new LexiconSet([lexicon(anyLanguage, { '👏': [0.5] })], 'en');
    expect(hands.read('bravo👏🏿👏').cues.map(({ text }) => text)).toEqual(['👏', '👏']);
  });

  it('count what is faint in the verdict, and list it not', () => {
    expect(set.read('dusk').cues).toEqual([]);
    expect(verdictOf('dusk', 'valence')).toBeLessThan(0);
  });

  it('name the word that changed a score most', () => {
    expect(set.read('It was really never MERRY').cues[0]).toMatchObject({ modifier: 'never' });
    expect(set.read('merry').cues[0]).toMatchObject({ modifier: '' });
  });

  it('lie inside any text, in order, and say the same again', () => {
    const parts = fc.constantFrom(
      'merry',
      'not',
      'GLOOMY',
      '!',
      ':)',
      '👏🏿',
      "n't",
      '’',
      '\ud83d',
      'over the moon',
      '.',
      '-',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(parts, fc.string()), { maxLength: 20 }), (some) => {
        const text = some.join(' ');
        const first = set.read(text);
        for (const cue of first.cues) expect(text.slice(cue.start, cue.end)).toBe(cue.text);
        expect(first.cues.map(({ start }) => start)).toEqual(
          first.cues.map(({ start }) => start).sort((a, b) => a - b),
        );
        for (const { value } of first.verdicts) expect(Math.abs(value)).toBeLessThanOrEqual(1);
        set.read('GLOOMY but merry, not over the moon');
        expect(set.read(text)).toEqual(first);
      }),
    );
  });
});

describe('other languages', () => {
  it.each([
    ['da', 'glad', 'hun er ikke glad', 'hun er meget glad'],
    ['fi', 'iloinen', 'hän ei ole iloinen', 'hän on todella iloinen'],
    ['fr', 'content', "elle n'est pas content", 'elle est très content'],
    ['pl', 'wesoły', 'on nie jest wesoły', 'on jest bardzo wesoły'],
    ['sv', 'glad', 'hon är inte glad', 'hon är väldigt glad'],
    ['tr', 'mutlu', 'o mutlu değil', 'o çok mutlu'],
  ])('negate and strengthen by words of their own: %s', (language, word, negated, strong) => {
    const own = new LexiconSet([lexicon(language, { [word]: [0.5] })], language);
    const of = (text: string) => own.read(text).cues[0].score;
    expect(of(word)).toBe(0.5);
    expect(of(negated)).toBeLessThan(0);
    expect(of(strong)).toBeGreaterThan(0.5);
  });

  it('are read by their own lexicon and by those of emoji, or the line of cues is empty', () => {
    const all = new Lexicons([
      lexicon('fr', { joyeux: [0.5] }),
      lexicon(anyLanguage, { '👏': [0.5] }, { name: 'hands' }),
    ]);
    const line = (text: string, language: string) => all.explain(text, language).cueText;
    expect(line('joyeux 👏', 'fr-CA')).toBe('joyeux +2, 👏 +2; positive +0.5');
    expect(line('rien', 'fr')).toBe('none; neutral +0.0');
    expect(line('good joyeux', 'hu')).toBe('');
    expect(line('good 👏', 'hu')).toBe('👏 +2; positive +0.5');
    expect(all.explain('good', 'fr').vader).toBe(0);
    expect(all.explain('good').vader).toBeGreaterThan(0);
  });
});
