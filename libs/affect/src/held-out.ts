/**
 * Questions that training never asks: scales, words, names of labels and wordings that are kept for evaluation, to see whether
 * a model reads what a prompt declares or remembers what it was trained on.
 */
import { namesOf } from './label-names.js';
import {
  areApart,
  inverted,
  inWords,
  type Otherwise,
  onScale,
  sameScale,
  type Worded,
  withLabels,
} from './otherwise.js';
import { questionOf } from './questions.js';
import type { Example, Scale } from './tasks.js';
import { heldOutParaphrases } from './wordings.js';

export const heldOutScales: readonly Scale[] = (
  [
    [1, 10],
    [0, 4],
    [-2, 2],
    [0, 50],
    [-10, 10],
  ] as const
).map(([low, high]) => ({ low, high }));

export const heldOutWords = {
  'sentiment-regression': ['awful', 'poor', 'so-so', 'nice', 'wonderful'],
  'emotion-regression': ['not at all', 'slightly', 'somewhat', 'strongly', 'extremely'],
} as const;

/**
 * Every held-out way to ask about a row, other than its own: each scale and its inverse, words, all labels by other names, and
 * its own question in each held-out wording.
 * @param cues the text's cue line, empty for none
 */
export function heldOutQuestions(example: Example, cues: string): Otherwise[] {
  const worded: Worded = { cues, paraphrase: 0 };
  const wordings = heldOutParaphrases.map(
    (paraphrase): Otherwise => ({
      kind: 'wording',
      question: questionOf(example, { cues, paraphrase }),
      gold: example.gold,
      meant: new Map(example.labelSet.map((label) => [label, [label]])),
    }),
  );
  const { task, labelSet, scale } = example;
  if (task === 'sentiment-regression' || task === 'emotion-regression')
    return [
      ...heldOutScales
        .filter((other) => !sameScale(other, scale))
        .map((other) => onScale(example, 'scale', other, worded)),
      ...heldOutScales.map((other) => onScale(example, 'inverted', inverted(other), worded)),
      inWords(example, heldOutWords[task], worded),
      ...wordings,
    ];
  const sentiment = task === 'sentiment-classification';
  const named = new Map(labelSet.map((label) => [label, namesOf(label, sentiment)?.heldOut ?? label]));
  const renamed = areApart(named) && labelSet.some((label) => named.get(label) !== label);
  return [...(renamed ? [withLabels(example, 'synonyms', named, worded)] : []), ...wordings];
}
