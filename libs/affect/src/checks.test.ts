import { describe, expect, it } from 'vitest';
import { type CheckAnswer, checks, mistyped, outcomesOf } from './checks.js';
import { labelSets } from './labels.js';
import { explain } from './lexicons.js';
import { plainSentences } from './plain.js';

const all = checks();
const capabilities = new Set(all.map(({ capability }) => capability));

describe('the checks', () => {
  it('are of each kind, each once, on labels that are there', () => {
    for (const wanted of ['negation', 'sarcasm', 'idioms', 'intensifiers', 'emoji', 'dialect', 'pronouns'])
      expect(capabilities).toContain(wanted);
    const keys = all.map(({ capability, text, changed, paraphrase }) =>
      JSON.stringify([capability, text, changed, paraphrase]),
    );
    expect(new Set(keys).size).toBe(all.length);
    for (const { test, changed, expected } of all) {
      const labels: readonly string[] = test === 'emotion' ? labelSets.ekman : labelSets.sentiment3;
      const judgesAlone = test === 'label' || test === 'emotion';
      expect(['label', 'emotion', 'higher', 'lower', 'same']).toContain(test);
      expect([changed === null, expected.length > 0]).toEqual([judgesAlone, judgesAlone]);
      for (const label of expected) expect(labels).toContain(label);
    }
  });

  it('change the text where they say so, and are no plain sentence', () => {
    const plain = new Set(plainSentences().map(({ text }) => text.toLowerCase()));
    for (const { text, changed, paraphrase } of all) {
      expect(changed === text).toBe(paraphrase > 0);
      expect(plain).not.toContain(text.toLowerCase());
    }
    expect(mistyped('I am so happy.')).toBe('I am so hpapy.');
  });

  it('without lexicon words have none', () => {
    for (const { capability, text } of all)
      if (capability === 'no lexicon words') expect([text, explain(text).cues]).toEqual([text, []]);
  });
});

describe('what comes of them', () => {
  const answer = (sentiment: string, valence: number): CheckAnswer => ({
    sentiment,
    valence,
    emotion: 'joy',
  });
  const check = { capability: 'c', text: 'a', changed: 'b', paraphrase: 2, expected: [] } as const;
  const answers: Record<string, CheckAnswer> = { a0: answer('positive', 0.75), b2: answer('negative', 0.25) };
  const answerOf = (text: string, paraphrase: number) => answers[`${text}${paraphrase}`];

  it('is judged by the change, and the failures tell it', () => {
    const outcomes = outcomesOf(
      [
        { ...check, test: 'lower' },
        { ...check, test: 'same' },
        { ...check, capability: 'alone', test: 'label', changed: null, expected: ['positive', 'neutral'] },
        { ...check, capability: 'alone', test: 'emotion', changed: null, expected: ['fear'] },
      ],
      answerOf,
    );
    expect(outcomes).toEqual([
      {
        capability: 'c',
        n: 2,
        passed: 1,
        shift: -0.5,
        size: 0.5,
        failures: [
          { text: 'a', changed: 'b', expected: 'same', answer: 'positive → negative (0.75 → 0.25)' },
        ],
      },
      {
        capability: 'alone',
        n: 2,
        passed: 1,
        failures: [{ text: 'a', changed: null, expected: 'fear', answer: 'joy' }],
      },
    ]);
  });
});
