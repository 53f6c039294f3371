/** Texts on which a tokenizer that takes too long, or writes too much, shows it before anybody's text does. */
import type { Tokenizer } from './tokenizer.js';

const runs = [
  'a',
  'Z',
  '1',
  ' ',
  '\n',
  '\t',
  '!',
  '.',
  '-',
  '_',
  '<',
  '/',
  'é',
  '中',
  '👍',
  'a1',
  'a ',
  'ab',
  'aA',
];
const ends = ['', '!', 'a', '\u0001'];
const runLength = 200;

/** @throws InvalidArgument as `encode`. */
export function tryTokenizer(tokenizer: Tokenizer): void {
  for (const run of runs) for (const end of ends) tokenizer.encode(run.repeat(runLength / run.length) + end);
}
