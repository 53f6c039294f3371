/**
 * The smoke test of any model version: a hundred everyday sentences of our own, each asked for its sentiment and its
 * emotion. Nothing is trained, tuned or chosen on them: evaluations alone read this module.
 */
import { readFileSync } from 'node:fs';
import { labelSets } from './labels.js';
import { type Example, labelGold } from './tasks.js';
import { labelInquiry, type Teaching } from './teaching.js';

export interface PlainSentence {
  readonly text: string;
  /** Of `labelSets.sentiment3`. */
  readonly sentiment: string;
  /** Of `labelSets.ekman`. */
  readonly emotion: string;
}

const file = new URL('../data/plain-sentences.tsv', import.meta.url);

export function plainSentences(): PlainSentence[] {
  const rows = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  return rows.slice(1).map((row) => {
    const [text, sentiment, emotion] = row.split('\t');
    return { text, sentiment, emotion };
  });
}

/** Two examples of each sentence, with one gold label each. */
export function plainExamples(teaching: Teaching | undefined): Example[] {
  const sentiment = labelInquiry(teaching, 'sentiment-classification', labelSets.sentiment3);
  const emotion = labelInquiry(teaching, 'emotion-classification', labelSets.ekman);
  return plainSentences().flatMap((sentence, i) =>
    [
      { inquiry: sentiment, gold: sentence.sentiment },
      { inquiry: emotion, gold: sentence.emotion },
    ].map(({ inquiry: { task, labelSet, multiLabel }, gold }) => ({
      id: `plain/${i + 1}/${task}`,
      source: 'plain-sentences',
      language: 'en',
      text: sentence.text,
      task,
      emotion: null,
      scale: null,
      labelSet,
      multiLabel,
      gold: labelGold([gold]),
    })),
  );
}
