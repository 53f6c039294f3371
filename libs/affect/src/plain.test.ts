import { describe, expect, it } from 'vitest';
import { labelSets } from './labels.js';
import { bundledAfinn, bundledVader, explain } from './lexicons.js';
import { plainExamples, plainSentences } from './plain.js';
import type { TaughtInquiry } from './tasks.js';

const sentences = plainSentences();
const [vader, afinn] = [bundledVader(), bundledAfinn()].map(({ terms }) => terms);

/** No word of it is in VADER's lexicon or AFINN, not even one that counts for nothing there, and no phrase. */
function isUnknownToLexicons(text: string): boolean {
  const words = text.toLowerCase().match(/[\p{L}'’]+/gu)!;
  return explain(text).cues.length === 0 && words.every((word) => !vader.has(word) && !afinn.has(word));
}

describe('the plain sentences', () => {
  it('are a hundred, no two alike, balanced over seven emotions, half of them without a word of a lexicon', () => {
    expect(sentences).toHaveLength(100);
    expect(new Set(sentences.map(({ text }) => text.toLowerCase())).size).toBe(100);
    expect(sentences.filter(({ text }) => isUnknownToLexicons(text))).toHaveLength(50);
    for (const emotion of labelSets.ekman) {
      const of = sentences.filter((sentence) => sentence.emotion === emotion);
      expect([14, 15]).toContain(of.length);
      expect([7, 8]).toContain(of.filter(({ text }) => isUnknownToLexicons(text)).length);
    }
  });

  it('have the sentiment that goes with their emotion; surprise has all three', () => {
    const sentimentsOf = (emotion: string) =>
      new Set(sentences.filter((s) => s.emotion === emotion).map((s) => s.sentiment));
    for (const emotion of ['anger', 'disgust', 'fear', 'sadness'])
      expect([...sentimentsOf(emotion)]).toEqual(['negative']);
    expect([...sentimentsOf('joy')]).toEqual(['positive']);
    expect([...sentimentsOf('neutral')]).toEqual(['neutral']);
    expect([...sentimentsOf('surprise')].sort()).toEqual([...labelSets.sentiment3]);
  });

  it('are asked as the model was taught, where it knows just these labels', () => {
    const taught = (labelSet: readonly string[], multiLabel: boolean): TaughtInquiry => ({
      task: 'emotion-classification',
      emotion: null,
      scale: null,
      labelSet,
      multiLabel,
      rows: 1,
      threshold: 0.4,
      languages: [],
      skill: 'unknown',
    });
    const reversed = [...labelSets.ekman].reverse();
    const teaching = (...inquiries: TaughtInquiry[]) => ({
      endTokenId: null,
      cues: true,
      inquiries,
      calibrations: [],
    });
    const asked = (examples: ReturnType<typeof plainExamples>) => {
      const { labelSet, multiLabel } = examples.find((e) => e.task === 'emotion-classification')!;
      return [labelSet, multiLabel];
    };
    const plutchik = taught(labelSets.plutchik, true);
    expect(asked(plainExamples(teaching(plutchik, taught(reversed, true))))).toEqual([reversed, true]);
    expect(asked(plainExamples(teaching(plutchik)))).toEqual([labelSets.ekman, false]);
    const untaught = plainExamples(undefined);
    expect(asked(untaught)).toEqual([labelSets.ekman, false]);
    expect(untaught).toHaveLength(200);
    expect(new Set(untaught.map(({ id }) => id)).size).toBe(200);
    for (const { gold, labelSet } of untaught) expect(labelSet).toContain(gold.labels[0]);
  });
});
