import { labelSets, type Split } from '@emotune/affect';
import { lines } from '@emotune/records';
import { type Corpus, maker } from './corpus.js';

const goEmotionsSplits: readonly [file: string, split: Split][] = [
  ['train', 'train'],
  ['dev', 'validation'],
  ['test', 'test'],
];

/** Demszky et al. 2020. `folder` is the label variant's folder below `goemotions/`, empty for the 27 + neutral. */
function goEmotions(
  name: string,
  title: string,
  folder: string,
  remote: string,
  labels: readonly string[],
  hashes: Record<string, string>,
): Corpus {
  const head = { name, title, licence: 'Apache-2.0', language: 'en' };
  const make = maker(head);
  const canonical = [...labels].sort();
  return {
    ...head,
    url: 'https://github.com/google-research/google-research/tree/master/goemotions',
    tasks: ['emotion-classification'],
    files: goEmotionsSplits.map(([file]) => ({
      path: `goemotions/${folder}${file}.tsv`,
      url: `https://raw.githubusercontent.com/monologg/GoEmotions-pytorch/47f5afbbd1b49401e3204c8b1f228e21bfbd6ee0/data/${remote}/${file}.tsv`,
      sha256: hashes[file],
    })),
    examples: (contents) =>
      contents.flatMap((content, i) =>
        lines(content).map((line) => {
          const [text, ids, originalId] = line.split('\t');
          const gold = ids.split(',').map((id) => labels[Number(id)]);
          return make.classification(
            'emotion-classification',
            { originalId, text, split: goEmotionsSplits[i][1] },
            gold.sort(),
            canonical,
            true,
          );
        }),
      ),
  };
}

// In the order of the corpus's own label file.
export const goEmotionsLabels =
  'admiration amusement anger annoyance approval caring confusion curiosity desire disappointment disapproval disgust embarrassment excitement fear gratitude grief joy love nervousness optimism pride realization relief remorse sadness surprise neutral'.split(
    ' ',
  );

export const goEmotionsCorpora: readonly Corpus[] = [
  goEmotions('goemotions', 'GoEmotions, 27 emotions and neutral', '', 'original', goEmotionsLabels, {
    train: '1c254a142be5c00e80d819b9ae1bbd36d94b2eeb8f4b1271846508d57e57d9c5',
    dev: '575489c079c9de1097062a01738f998590d6b7ead66dd1c9fd1d2ba01fd8bc62',
    test: '0587b2dd8b27b97352adbfc3fb083d46005c8946657fdc2b1ca8b1cc7f1f8be4',
  }),
  goEmotions(
    'goemotions-ekman',
    'GoEmotions, Ekman emotions and neutral',
    'ekman/',
    'ekman',
    labelSets.ekman,
    {
      train: 'bb74d10aec0975674c665205741ba9fe644cd70f682214624997f3770fd9e53f',
      dev: '011e6579adc4d9bb2ffd908879b99e1594e7647b262cbb2e1c5c9c1c4d7d8bcc',
      test: 'f9f9b91827fe134259469368b93abddc2a52e2e2a87beab661023b06cf490baa',
    },
  ),
];
