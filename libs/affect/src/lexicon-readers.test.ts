import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { anyLanguage, type Lexicon, plutchikEmotions } from './lexicon.js';
import {
  readAfinn,
  readEmojiRanking,
  readEmoTag,
  readEmpath,
  readNrcEmoLex,
  readNrcIntensity,
  readNrcVad,
  readPattern,
} from './lexicon-readers.js';
import { readWordNetAffect } from './wordnet-affect.js';

const head = { name: 'own', language: 'en' };
const rated = ({ dimensions, terms }: Lexicon, term: string) =>
  Object.fromEntries(dimensions.map((dimension, i) => [dimension, terms.get(term)?.[i]]));

describe('a lexicon is read from its own format:', () => {
  it('AFINN, whose terms may be phrases and come twice', () => {
    const { terms, scale } = readAfinn(head, 'Sunny\t2\nrained on\t-3\nsunny\t1\n\n');
    expect([...terms]).toEqual([
      ['sunny', [1.5]],
      ['rained on', [-3]],
    ]);
    expect(scale).toBe(5);
  });

  it('pattern, by the mean of the senses', () => {
    const word = (form: string, polarity: number) =>
      `<word form="${form}" pos="JJ" polarity="${polarity}" />`;
    const text = ['<sentiment>', word('brisk', 0.5), word('brisk', -0.1), '</sentiment>'].join('\n');
    expect(readPattern(head, text).terms.get('brisk')![0]).toBeCloseTo(0.2, 12);
  });

  it('Empath, of whose categories those that name an emotion count', () => {
    const lexicon = readEmpath(head, 'sadness\tdrizzle\tgrey_sky\ncooking\tladle\nfear\tdrizzle\n');
    expect(rated(lexicon, 'drizzle')).toMatchObject({ sadness: 1, fear: 1, joy: 0 });
    expect(rated(lexicon, 'grey sky')).toMatchObject({ sadness: 1, fear: 0 });
    expect(lexicon.terms.has('ladle')).toBe(false);
  });

  it('EmoTag, and the ranking of emoji, with or without emoji presentation', () => {
    const columns = ['unicode', 'emoji', 'name', ...plutchikEmotions].join();
    const lexicon = readEmoTag('own', `${columns}\n2764,❤️,heart,0,0.25,0,0,0.75,0,0,0.5\n`);
    expect(rated(lexicon, '❤')).toMatchObject({ joy: 0.75, anticipation: 0.25, trust: 0.5 });
    expect(lexicon.language).toBe(anyLanguage);
    const ranking = readEmojiRanking('own', 'Emoji,Negative,Neutral,Positive\n❤️,1,3,13\n');
    expect(ranking.terms.get('❤')![0]).toBeCloseTo(12 / 20, 12);
  });

  it("NRC's three, of the user's own files", () => {
    const emoLex = readNrcEmoLex(
      head,
      'word\taffect\tflag\npuddle\tjoy\t1\npuddle\tnegative\t1\npuddle\tfear\t0\n'
        .split('\n')
        .slice(1)
        .join('\n'),
    );
    expect(rated(emoLex, 'puddle')).toMatchObject({ joy: 1, fear: 0, valence: -1 });
    const second = readNrcIntensity(
      head,
      'English Word\tEmotion\tEmotion-Intensity-Score\npuddle\tjoy\t0.25\n',
    );
    const first = readNrcIntensity(head, 'puddle\t0.25\tjoy\n');
    for (const intensity of [first, second])
      expect(rated(intensity, 'puddle')).toMatchObject({ joy: 0.25, fear: 0 });
    const old = readNrcVad(head, 'Word\tValence\tArousal\tDominance\npuddle\t0.75\t0.5\t0\n');
    expect(rated(old, 'puddle')).toEqual({ valence: 0.5, arousal: 0, dominance: -1 });
    const now = readNrcVad(
      head,
      'term\tvalence\tarousal\tdominance\npuddle\t0.75\t0.5\t0\nmud\t-0.5\t0\t0\n',
    );
    expect(rated(now, 'puddle')).toEqual({ valence: 0.75, arousal: 0.5, dominance: 0 });
  });
});

describe('WordNet-Affect', () => {
  const hierarchy = `<categ name="root"/><categ name="emotion" isa="root"/>
    <categ name="positive-emotion" isa="emotion"/><categ name="joy" isa="positive-emotion"/>
    <categ name="glee" isa="joy"/>`;
  const synsets = `<noun-syn id="n#00000010" categ="glee"/><adj-syn id="a#00000020" noun-id="n#00000010" caus-stat="stat"/>`;
  const noun = '00000010 12 n 02 glee 0 high_spirits 0 001 @ 00000011 n 0000 | merry\n';
  const adj = '00000020 00 a 01 gleeful(p) 0 000 | merry\n';

  it('takes the words of its synsets from WordNet, and their emotion from the branch they are in', () => {
    const lexicon = readWordNetAffect(head, [hierarchy, synsets, noun, adj, '', '']);
    for (const word of ['glee', 'high spirits', 'gleeful'])
      expect(rated(lexicon, word)).toMatchObject({ joy: 1, valence: 1, sadness: 0 });
  });

  it('refuses another WordNet', () => {
    expect(() => readWordNetAffect(head, [hierarchy, synsets, '', '', '', ''])).toThrow(
      'own: expected the data files of WordNet 3.0, got others: 2 of 2 synsets are not in them',
    );
  });
});

describe('a file of another form is refused by line:', () => {
  it.each([
    [
      'AFINN without a tab',
      () => readAfinn(head, 'a\t1\nb 2\n'),
      'own, line 2: expected a term, a tab and a number, got "b 2"',
    ],
    [
      'AFINN off its scale',
      () => readAfinn(head, 'a\t7\n'),
      'own, line 1: expected a number on -5..5, got "7"',
    ],
    ['nothing', () => readAfinn(head, ''), 'own: expected terms, got none'],
    [
      'EmoTag without an emotion',
      () => readEmoTag('own', 'emoji,joy\n'),
      'own, line 1: expected columns anger, ',
    ],
    [
      'EmoLex with another affect',
      () => readNrcEmoLex(head, 'a\thunger\t1\n'),
      'own, line 1: expected one of anger, ',
    ],
    [
      'VAD cut short',
      () => readNrcVad(head, 'a\t1\t1\t1\nb\t1\n'),
      'own, line 2: expected a term and three numbers',
    ],
  ])('%s', (_, read, message) => expect(read).toThrow(message));
});

const corpora = process.env['EMOTUNE_CORPORA'];
const folder = corpora === undefined ? undefined : join(corpora, 'lexicons');
if (folder === undefined || !existsSync(folder))
  process.stderr.write('SKIPPED lexicons as published: set EMOTUNE_CORPORA to the folder of corpora\n');

describe.skipIf(folder === undefined || !existsSync(folder))('the lexicons as published', () => {
  const text = (name: string) => readFileSync(join(folder!, name), 'utf8');

  // Distinct terms of the files, in lower case; counted with `cut -f1 | sort -u` where a term is the first column.
  it.each([
    ['da', 'AFINN-da-32.txt', 3552],
    ['en', 'AFINN-en-165.txt', 3382],
    ['fi', 'AFINN-fi-165.txt', 2574],
    ['fr', 'AFINN-fr-165.txt', 2113],
    ['pl', 'AFINN-pl-165.txt', 4061],
    ['sv', 'AFINN-sv-165.txt', 2852],
    ['tr', 'AFINN-tr-165.txt', 2649],
  ])('AFINN, %s', (language, file, terms) => {
    expect(readAfinn({ name: 'afinn', language }, text(file)).terms.size).toBe(terms);
  });

  it('pattern, Empath, EmoTag, the ranking of emoji, emoticons of AFINN', () => {
    const pattern = readPattern(head, text('pattern-en-sentiment.PDDL.xml'));
    expect(pattern.terms.size).toBe(1528);
    expect(pattern.terms.get('horrible')![0]).toBe(-1);
    const empath = readEmpath(head, text('empath_categories.tsv'));
    expect(rated(empath, 'furious')).toMatchObject({ anger: 1, joy: 0 });
    expect(readEmoTag('emotag', text('EmoTag1200-scores.csv')).terms.size).toBe(150);
    const ranking = readEmojiRanking('ranking', text('Emoji_Sentiment_Data_v1.0.csv'));
    // The published sentiment score of the face with tears of joy is .221.
    expect(ranking.terms.get('😂')![0]).toBeCloseTo(0.221, 3);
    expect(readAfinn(head, text('AFINN-emoticon-8.txt')).terms.get(':(')).toEqual([-2]);
  });
});
