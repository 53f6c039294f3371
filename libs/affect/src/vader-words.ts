/**
 * What VADER knows: the lexicon, names of emoji and lists of words of vaderSentiment 3.3.2 (C. J. Hutto, MIT licence).
 *
 * The lexicon and the names of Unicode Emoji 11 are read from npm packages at run time; what 3.3.2 has otherwise stands
 * here.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Modifiers } from './known-words.js';

const require = createRequire(import.meta.url);

/** Valences on −4..4 that the package's lexicon, an earlier one, lacks or has otherwise. */
const laterValences = { heart: 3.2, hearts: 3.3, flawed: -2.1, badass: 1.4 };

/** Names as CLDR had them when 3.3.2 took them over. */
const earlierNames = {
  '🏻': 'light skin tone',
  '🏼': 'medium-light skin tone',
  '🏽': 'medium skin tone',
  '🏾': 'medium-dark skin tone',
  '🏿': 'dark skin tone',
  '🧑': 'adult',
  '🧓': 'older adult',
  '🧔': 'bearded person',
  '👱': 'blond-haired person',
  '👫': 'man and woman holding hands',
  '👬': 'two men holding hands',
  '👭': 'two women holding hands',
  '🦰': 'red-haired',
  '🦱': 'curly-haired',
  '🦳': 'white-haired',
  '🎒': 'school backpack',
  '🥿': 'woman’s flat shoe',
  '🧱': 'bricks',
};

const strengthening = `absolutely amazingly awfully completely considerable considerably decidedly deeply effing enormous
  enormously entirely especially exceptional exceptionally extreme extremely fabulously flippin flipping frackin fracking
  frickin fricking friggin frigging fuckin fucking fuggin fugging fully greatly hella highly hugely incredible incredibly
  intensely major majorly more most particularly purely quite really remarkably so substantially thoroughly total totally
  tremendous tremendously uber unbelievably unusually utter utterly very`;
const weakening = `almost barely hardly kind-of kinda kindof less little marginal marginally occasional occasionally partly
  scarce scarcely slight slightly somewhat sort-of sorta sortof`;
const negating = `ain't aint aren't arent can't cannot cant couldn't couldnt daren't darent despite didn't didnt doesn't
  doesnt don't dont hadn't hadnt hasn't hasnt haven't havent isn't isnt mightn't mightnt mustn't mustnt needn't neednt
  neither never none nope nor not nothing nowhere oughtn't oughtnt rarely seldom shan't shant shouldn't shouldnt uh-uh uhuh
  wasn't wasnt weren't werent without won't wont wouldn't wouldnt`;

export function listed(words: string): string[] {
  return words.split(/\s+/).filter(Boolean);
}

/** What an intensifier adds to the strength of a term. */
export const boost = 0.293;

export const english: Modifiers = {
  boosters: new Map([
    ...listed(strengthening).map((word) => [word, boost] as const),
    ...listed(weakening).map((word) => [word, -boost] as const),
  ]),
  negators: new Set(listed(negating)),
  laterNegators: new Set(),
  contrast: 'but',
  phraseValences: new Map([
    ['the shit', 3],
    ['the bomb', 3],
    ['bad ass', 1.5],
    ['bus stop', 0],
    ['yeah right', -2],
    ['kiss of death', -1.5],
    ['to die for', 3],
    ['beating heart', 3.5],
  ]),
  phraseBoosters: new Map([
    ['just enough', -boost],
    ['kind of', -boost],
    ['sort of', -boost],
  ]),
  english: true,
};

/** Valences by term, on −4..4. */
export function readLexicon(): ReadonlyMap<string, number> {
  const lines = readFileSync(require.resolve('vader-sentiment/vader_lexicon.txt'), 'utf8').split('\n');
  const terms = lines
    .filter((line) => line !== '')
    .map((line): [string, number] => {
      const [term, valence] = line.trim().split('\t');
      return [term, Number(valence)];
    });
  return new Map([...terms, ...Object.entries(laterValences)]);
}

/** Names of the emoji that are one code point. */
export function readEmojiNames(): ReadonlyMap<string, string> {
  const emoji = require('emoji.json/emoji.json') as readonly {
    readonly char: string;
    readonly name: string;
  }[];
  const names = emoji.map(({ char, name }): [string, string] => [char, name]);
  return new Map([...names, ...Object.entries(earlierNames)].filter(([char]) => [...char].length === 1));
}
