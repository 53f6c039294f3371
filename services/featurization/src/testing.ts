/** Examples and a tokenizer for the tests of this service. */
import {
  explain,
  labelGold,
  numberGold,
  paraphrases,
  questionOf,
  renderPrompt,
  type SourceExample,
  type Split,
} from '@emotune/affect';
import { Rng } from '@emotune/base';
import { trainBpe } from '@emotune/text';

const words = ['the', 'ferry', 'was', 'late', 'but', 'we', 'love', 'this', 'awful', 'calm', 'harbour', 'not'];
const labelSet = ['anger', 'joy', 'sadness', 'surprise'];

function example(i: number, changes: Partial<SourceExample>): SourceExample {
  const rng = Rng.of('text', i);
  return {
    id: `demo/${i}`,
    source: 'demo',
    originalId: String(i),
    licence: 'Apache-2.0',
    language: 'en',
    task: 'sentiment-regression',
    text: Array.from({ length: 4 + rng.int(8) }, () => words[rng.int(words.length)]).join(' '),
    emotion: null,
    gold: numberGold(rng.int(101) / 100),
    labelSet: [],
    multiLabel: false,
    scale: { low: 0, high: 1 },
    split: null,
    ...changes,
  };
}

/** `count` examples of three tasks from two sources. */
export function examplesOf(split: Split, count: number): SourceExample[] {
  const first = { train: 0, validation: 100_000, test: 200_000 }[split];
  return Array.from({ length: count }, (_, k) => {
    const i = first + k;
    const shared = { split, source: k % 5 === 0 ? 'small' : 'demo' };
    if (k % 3 === 0) return example(i, shared);
    if (k % 3 === 1) {
      const task = 'emotion-classification' as const;
      const labels = [labelSet[i % 4], ...(i % 7 === 0 ? [labelSet[(i + 1) % 4]] : [])].sort();
      return example(i, {
        ...shared,
        task,
        gold: labelGold(labels),
        scale: null,
        labelSet,
        multiLabel: true,
      });
    }
    return example(i, { ...shared, task: 'emotion-regression', emotion: 'joy', scale: { low: -3, high: 3 } });
  });
}

/** A tokenizer's JSON. */
export function tokenizerJson(vocabSize: number): object {
  const prompts = examplesOf('train', 60).flatMap((row) =>
    Array.from({ length: paraphrases }, (_, paraphrase) =>
      renderPrompt(questionOf(row, { cues: explain(row.text).cueText, paraphrase })),
    ),
  );
  return trainBpe(prompts, { vocabSize, specialTokens: ['<s>', '</s>'] }) as object;
}
