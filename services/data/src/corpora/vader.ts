import { labelGold, labelSets, type Scale } from '@emotune/affect';
import { lines } from '@emotune/records';
import { type Corpus, type CorpusFile, maker, ratingsOfMean } from './corpus.js';

const vaderScale: Scale = { low: -4, high: 4 };
/** Valence on -4..4 to a class; the band around 0 is half a point wide on either side. */
function polarity(valence: number): string {
  if (valence <= -0.5) return 'negative';
  return valence >= 0.5 ? 'positive' : 'neutral';
}

const vaderBase = 'https://raw.githubusercontent.com/cjhutto/vaderSentiment';

/** Of the published mean. */
const meanTolerance = 1e-6;

/** How many raters put a text into each class. */
function votesOf(ratings: readonly number[]): Record<string, number> {
  const votes: Record<string, number> = { negative: 0, neutral: 0, positive: 0 };
  for (const rating of ratings) votes[polarity(rating)]++;
  return votes;
}

/** Hutto and Gilbert 2014: snippets with the mean of about twenty raters, and what each of them answered. */
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
      const ratingsOf = new Map(
        lines(ratingsText).map((line) => {
          const [id, , , ratings] = line.split('\t');
          return [id, JSON.parse(ratings) as number[]];
        }),
      );
      return lines(truthText).flatMap((line) => {
        const [originalId, mean, text] = line.split('\t');
        const valence = Number(mean);
        const draft = { originalId, text };
        const ratings = ratingsOfMean(ratingsOf.get(originalId), valence, meanTolerance);
        const labels = [polarity(valence)];
        const gold =
          ratings.length > 0 ? labelGold(labels, ratings.length, votesOf(ratings)) : labelGold(labels);
        return [
          make.classification('sentiment-classification', draft, labels, labelSets.sentiment3, false, {
            gold,
            suffix: '/class',
          }),
          make.regression('sentiment-regression', draft, vaderScale, valence, {
            ratings,
            suffix: '/valence',
          }),
        ];
      });
    },
  };
}

export const vaderCorpora: readonly Corpus[] = [
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
];
