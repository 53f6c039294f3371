/** How people misspell and mistype words that the label does not hang on. */
import { isAffective } from '@emotune/affect';
import type { Rng } from '@emotune/base';
import { type Edit, someOf } from './edit.js';
import { replaced, wordsOf } from './sentence.js';
import { isStopWord } from './stop-words.js';

/** Shorter words are left as they are. */
const shortest = 4;

/** Spellings that are often met. */
const misspellings = new Map(
  Object.entries({
    accommodate: 'accomodate',
    address: 'adress',
    argument: 'arguement',
    because: 'becuase',
    beginning: 'begining',
    believe: 'beleive',
    business: 'buisness',
    calendar: 'calender',
    colleague: 'collegue',
    coming: 'comming',
    committee: 'commitee',
    different: 'diffrent',
    environment: 'enviroment',
    experience: 'experiance',
    february: 'febuary',
    foreign: 'foriegn',
    friend: 'freind',
    government: 'goverment',
    happened: 'happend',
    immediately: 'immediatly',
    knowledge: 'knowlege',
    library: 'libary',
    minute: 'minuite',
    necessary: 'neccessary',
    occasion: 'occassion',
    occurred: 'occured',
    people: 'poeple',
    probably: 'probly',
    receive: 'recieve',
    received: 'recieved',
    remember: 'remeber',
    restaurant: 'resturant',
    schedule: 'schedual',
    separate: 'seperate',
    something: 'somthing',
    their: 'thier',
    through: 'thru',
    tomorrow: 'tommorow',
    until: 'untill',
    weather: 'wether',
    which: 'wich',
    writing: 'writting',
    your: 'youre',
  }),
);

type Slip = (word: string, rng: Rng) => string | undefined;

/** A place within the word, not its first letter. */
const inner = (word: string, rng: Rng) => 1 + rng.int(word.length - 2);

const spellingSlips: readonly Slip[] = [
  (word) => misspellings.get(word),
  (word) => (/(\p{L})\1/u.test(word) ? word.replace(/(\p{L})\1/u, '$1') : undefined),
  (word) => (/ie|ei/.test(word) ? word.replace(/ie|ei/, (pair) => (pair === 'ie' ? 'ei' : 'ie')) : undefined),
  (word, rng) => {
    const at = inner(word, rng);
    return /[lmnprst]/.test(word[at]) ? word.slice(0, at) + word[at] + word.slice(at) : undefined;
  },
  (word, rng) => {
    const at = inner(word, rng);
    return /[aeiou]/.test(word[at]) ? word.slice(0, at) + word.slice(at + 1) : undefined;
  },
];

/** Keys beside each other on an American keyboard. */
const rows = ['qwertyuiop', 'asdfghjkl', 'zxcvbnm'];

function neighboursOf(letter: string): string[] {
  const row = rows.findIndex((keys) => keys.includes(letter));
  if (row < 0) return [];
  const at = rows[row].indexOf(letter);
  // A row begins half a key to the right of the one above.
  const near = [
    [row, at - 1],
    [row, at + 1],
    [row - 1, at],
    [row - 1, at + 1],
    [row + 1, at - 1],
    [row + 1, at],
  ];
  return near.flatMap(([r, k]) => rows[r]?.[k] ?? []);
}

const keyboardSlips: readonly Slip[] = [
  (word, rng) => {
    const at = inner(word, rng);
    const near = neighboursOf(word[at]);
    return near.length === 0
      ? undefined
      : word.slice(0, at) + near[rng.int(near.length)] + word.slice(at + 1);
  },
  (word, rng) => {
    const at = inner(word, rng);
    return word.slice(0, at) + word[at + 1] + word[at] + word.slice(at + 2);
  },
  (word, rng) => {
    const at = inner(word, rng);
    return word.slice(0, at) + word.slice(at + 1);
  },
];

function slipped(word: string, slips: readonly Slip[], rng: Rng): string | undefined {
  for (const slip of rng.shuffle(slips)) {
    const written = slip(word, rng);
    // What a lexicon knows would be another word.
    if (written !== undefined && written !== word && !isAffective(written) && !isStopWord(written))
      return written;
  }
  return undefined;
}

const typed =
  (slips: readonly Slip[]): Edit =>
  (text, { rng, strength }) => {
    const words = wordsOf(text);
    const candidates = words.filter(
      ({ text: word, free }) => free && word.length >= shortest && /^[a-z]+$/.test(word),
    );
    const edits = someOf(candidates, Math.max(1, Math.round(strength * words.length)), rng).flatMap(
      ({ text: word, start, end }) => {
        const by = slipped(word, slips, rng);
        return by === undefined ? [] : [{ start, end, by }];
      },
    );
    return edits.length === 0 ? undefined : replaced(text, edits);
  };

/** Words misspelt: known misspellings, letters doubled or not, ie for ei, vowels left out. */
export const spelling = typed(spellingSlips);
/** Words mistyped: a key beside the right one, two letters in the wrong order, one left out. */
export const keyboard = typed(keyboardSlips);
