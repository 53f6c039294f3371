/** Buechel and Hahn 2017: valence, arousal and dominance on 1..5, the mean of ratings from the reader's and the writer's side. */
import type { Scale, Split } from '@emotune/affect';
import { csvRows } from '@emotune/records';
import { type Corpus, maker, ratingsOfMean } from './corpus.js';

const scale: Scale = { low: 1, high: 5 };
/** Published means have two digits. */
const meanTolerance = 0.006;
const dimensions = ['V', 'A', 'D'] as const;
type Ratings = Record<(typeof dimensions)[number], number[]>;

/** Of both sides, by item. */
function ratingsByItem(texts: readonly string[]): ReadonlyMap<string, Ratings> {
  const byItem = new Map<string, Ratings>();
  for (const text of texts)
    for (const { values } of csvRows(text)) {
      const ratings = byItem.get(values['id']) ?? { V: [], A: [], D: [] };
      byItem.set(values['id'], ratings);
      for (const dimension of dimensions) ratings[dimension].push(Number(values[dimension]));
    }
  return byItem;
}

const head = { name: 'emobank', title: 'EmoBank', licence: 'CC-BY-SA-4.0', language: 'en' };
const make = maker(head);
const splits: Record<string, Split> = { train: 'train', dev: 'validation', test: 'test' };
const base = 'https://raw.githubusercontent.com/JULIELab/EmoBank';
const ratingsCommit = '07f42d3a9b131ff47a9fcb971f3c73f1c742e504';

export const emobank: Corpus = {
  ...head,
  url: 'https://github.com/JULIELab/EmoBank',
  tasks: ['sentiment-regression', 'emotion-regression'],
  files: [
    {
      path: 'emobank/emobank.csv',
      url: `${base}/6d272ffd01ea31ee8f528c012431dc16f2a5f589/corpus/emobank.csv`,
      sha256: '1ade4a4a453e880c0f39d0536d2b355e8a716e0cf88236c64cdb4d438cf9605b',
    },
    {
      path: 'emobank/individual_reader_ratings.csv',
      url: `${base}/${ratingsCommit}/corpus/individual_reader_ratings.csv`,
      sha256: '059bdadbdc1179b29c168b96f1e0c0a31fc2b0bab5e4103bf6cf3b3e6d53e7bf',
    },
    {
      path: 'emobank/individual_writer_ratings.csv',
      url: `${base}/${ratingsCommit}/corpus/individual_writer_ratings.csv`,
      sha256: 'b6bf5a793b4ecd668b521155fdfa9dcb1920d21a8a1b608024e96a755bb3f706',
    },
  ],
  examples: ([text, ...individual], skip) => {
    const ratingsOf = ratingsByItem(individual);
    return csvRows(text).flatMap(({ values: row }) => {
      const draft = { originalId: row['id'], text: row['text'], split: splits[row['split']] ?? null };
      if (draft.text.trim() === '') {
        skip('no text');
        return [];
      }
      const rated = (column: (typeof dimensions)[number]) => {
        const mean = Number(row[column]);
        return { mean, ratings: ratingsOfMean(ratingsOf.get(row['id'])?.[column], mean, meanTolerance) };
      };
      const intensity = (emotion: string, column: 'A' | 'D') => {
        const { mean, ratings } = rated(column);
        return make.regression('emotion-regression', draft, scale, mean, {
          emotion,
          ratings,
          suffix: `/${emotion}`,
        });
      };
      const { mean, ratings } = rated('V');
      return [
        make.regression('sentiment-regression', draft, scale, mean, { ratings, suffix: '/valence' }),
        intensity('arousal', 'A'),
        intensity('dominance', 'D'),
      ];
    });
  },
};
