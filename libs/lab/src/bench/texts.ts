/** Texts for benchmarks, made of a few parts: about as long as a message or a review, with words that lexicons know. */
import { Rng } from '@emotune/base';

const parts = {
  who: [
    'The clerk',
    'My neighbour',
    'The new driver',
    'A colleague',
    'The museum',
    'Our landlord',
    'The choir',
  ],
  did: ['opened', 'repaired', 'described', 'painted', 'moved', 'counted', 'finished', 'lost'],
  how: [
    'slowly',
    'with great care',
    'very badly',
    'not happily',
    'without any help',
    'in a calm way',
    'AT LAST',
  ],
  what: ['the garden gate', 'two old maps', 'the evening timetable', 'a box of lamps', 'the long report'],
  and: [
    'It was wonderful.',
    'I am not sad about it!',
    'Nobody seemed afraid.',
    'What an awful, awful day :(',
    '',
  ],
  next: [
    'We walked on along the river.',
    'The bus came at nine.',
    'I wrote it all down 😀',
    'Somebody laughed.',
    '',
  ],
} as const;

/** The same texts for the same count. */
export function syntheticTexts(count: number): string[] {
  return Array.from({ length: count }, (_, i) => {
    const rng = Rng.of(1, 'texts', i);
    const one = (list: readonly string[]) => list[rng.int(list.length)];
    const sentence = () => `${one(parts.who)} ${one(parts.did)} ${one(parts.what)} ${one(parts.how)}.`;
    const sentences = Array.from({ length: 1 + rng.int(3) }, sentence);
    return [...sentences, one(parts.and), one(parts.next)].filter((text) => text !== '').join(' ');
  });
}
