import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { explain } from './lexicons.js';

const cueOf = (text: string, term: string, lexicon = 'vader') =>
  explain(text).cues.find((cue) => cue.text.toLowerCase() === term && cue.lexicon === lexicon);

describe('cues', () => {
  it('stand where the text has them, in both lexicons', () => {
    const text = '😍😍 The pier was lovely; "wonderful!" we said.';
    const { cues } = explain(text);
    expect(cues.map(({ text: t, lexicon }) => `${lexicon} ${t}`)).toEqual([
      'vader 😍',
      'afinn 😍',
      'vader 😍',
      'afinn 😍',
      'vader lovely',
      'afinn lovely',
      'vader wonderful',
      'afinn wonderful',
    ]);
    for (const cue of cues) expect(text.slice(cue.start, cue.end)).toBe(cue.text);
  });

  it('flip after a negation and grow after an intensifier, and name the word that did it', () => {
    for (const lexicon of ['vader', 'afinn']) {
      const plain = cueOf('that soup was good', 'good', lexicon)!;
      const negated = cueOf('that soup was never good', 'good', lexicon)!;
      const strong = cueOf('that soup was very good', 'good', lexicon)!;
      const weak = cueOf('that soup was somewhat good', 'good', lexicon)!;
      expect(plain.score).toBeGreaterThan(0);
      expect(plain.modifier).toBe('');
      expect(negated.score).toBeLessThan(0);
      expect(negated.modifier).toBe('never');
      expect(strong.score).toBeGreaterThan(plain.score);
      expect(strong.modifier).toBe('very');
      expect(weak.score).toBeLessThan(plain.score);
      expect(weak.modifier).toBe('somewhat');
    }
    expect(cueOf('I do not really like it', 'like')!.score).toBeLessThan(0);
  });

  it('are one for each emoji, whatever its name says', () => {
    // Its name is "face with tears of joy": tears −0.9, joy 2.8.
    expect(explain('oh 😂').cues.filter(({ lexicon }) => lexicon === 'vader')).toEqual([
      { text: '😂', lexicon: 'vader', dimension: 'valence', score: 1.9, start: 3, end: 5, modifier: '' },
    ]);
    expect(cueOf('not 😀', '😀')).toMatchObject({ modifier: 'not' });
  });

  it('take a phrase of AFINN as one term', () => {
    const cue = cueOf('The lift does not work again', 'does not work', 'afinn')!;
    expect(cue).toMatchObject({ start: 9, score: -3 });
  });

  it('flip after a negation in capitals, too', () => {
    expect(cueOf('Not good', 'good')!.score).toBeLessThan(0);
    expect(cueOf('this is NOT good', 'good')!.score).toBeLessThan(0);
  });

  it('count capitals among plain words as emphasis', () => {
    expect(cueOf('a GREAT pie', 'great')!.score).toBeGreaterThan(cueOf('a great pie', 'great')!.score);
  });

  it.each(['', ' ', '\n', '.', 'constructor __proto__ toString', '\ud83d', 'wie geht es'])(
    'are none in %j',
    (text) => {
      const found = explain(text);
      expect(found.cues).toEqual([]);
      expect(found).toMatchObject({ vader: 0, afinn: 0, cueText: 'none; neutral +0.0' });
    },
  );

  it('lie inside any text, in order, and agree with the spans they name', () => {
    const words = fc.constantFrom(
      'not',
      'good',
      'awful!',
      'VERY',
      '(happy)',
      "don't",
      '😭',
      '\ud83d',
      ':)',
      '.',
      '\t',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(words, fc.string()), { maxLength: 20 }), (parts) => {
        const text = parts.join(' ');
        const { cues, vader } = explain(text);
        expect(Math.abs(vader)).toBeLessThanOrEqual(1);
        cues.forEach((cue, i) => {
          expect(text.slice(cue.start, cue.end)).toBe(cue.text);
          expect(cue.start).toBeGreaterThanOrEqual(i === 0 ? 0 : cues[i - 1].start);
        });
      }),
    );
  });

  it.each([
    ['words', 'A very good day and not an awful one, my friend! '.repeat(2100)],
    ['one word of capitals', `${'A'.repeat(100_000)}b`],
    ['marks', '!?'.repeat(50_000)],
    ['emoji', '😭'.repeat(50_000)],
  ])('of 100,000 characters of %s are found quickly', (_, text) => {
    // The processor's time: other work on the machine does not count.
    const start = process.cpuUsage();
    explain(text);
    const { user, system } = process.cpuUsage(start);
    expect((user + system) / 1000).toBeLessThan(5_000);
  });
});

describe('the cue line', () => {
  it('names the strongest terms once, with what modifies them, and the verdict', () => {
    expect(explain('Not good. It was quite a horrible, horrible day, my dearest friend').cueText).toBe(
      'quite horrible -3, dearest +3, friend +2; negative -0.5',
    );
    expect(explain('the table is brown').cueText).toBe('none; neutral +0.0');
  });
});
