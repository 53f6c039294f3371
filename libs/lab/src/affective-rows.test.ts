import { type Example, labelGold, labelSets, numberGold } from '@emotune/affect';
import { Tokenizer, trainBpe } from '@emotune/text';
import { describe, expect, it } from 'vitest';
import { affectiveRows, sentimentOf } from './affective-rows.js';

const tokenizer = Tokenizer.parse(
  trainBpe(['Human: Task: Text: a good and a sad day Emotion: Assistant:'], {
    vocabSize: 300,
    specialTokens: ['<s>', '</s>'],
  }),
);

const common = { language: 'en', emotion: null, scale: null, multiLabel: true };

function emotion(i: number, label: string): Example {
  return {
    ...common,
    id: `emotion-${i}`,
    source: 'everyday',
    task: 'emotion-classification',
    text: `a good and a sad day ${i}`,
    labelSet: labelSets.ekman,
    gold: labelGold([label]),
  };
}

/** 1 of 100 is fear. */
const emotions = Array.from({ length: 400 }, (_, i) => emotion(i, i % 100 === 0 ? 'fear' : 'neutral'));
const valence: Example = {
  ...common,
  id: 'valence',
  source: 'rated',
  task: 'sentiment-regression',
  text: 'a good day',
  scale: { low: -4, high: 4 },
  labelSet: [],
  multiLabel: false,
  gold: numberGold(1),
};

const draw = { form: 'asked', tokens: 60_000, longest: 400, seed: 1 } as const;

function texts(examples: readonly Example[], given: Partial<Parameters<typeof affectiveRows>[2]> = {}) {
  return affectiveRows(examples, tokenizer, { ...draw, ...given }).map(({ tokens, answerStart }) => ({
    prompt: tokenizer.decode([...tokens.subarray(0, answerStart)]),
    answer: tokenizer.decode([...tokens.subarray(answerStart, -1)]),
  }));
}

describe('rows', () => {
  it('ask about rare labels more often than they occur, and show cues in a few', () => {
    const rows = texts(emotions, { form: 'bare' }).filter(({ prompt }) => prompt.includes(' Emotion:'));
    const share = (holds: (row: (typeof rows)[number]) => boolean) => rows.filter(holds).length / rows.length;
    // 99 ^ ¼ times as many neutral ones as there are of fear: 24 %.
    expect(share(({ answer }) => answer === 'fear')).toBeGreaterThan(0.16);
    expect(share(({ answer }) => answer === 'fear')).toBeLessThan(0.32);
    expect(share(({ prompt }) => prompt.includes(' Cues: '))).toBeGreaterThan(0.2);
    expect(share(({ prompt }) => prompt.includes(' Cues: '))).toBeLessThan(0.4);
  });

  it('ask for the sentiment of texts whose emotions tell it', () => {
    const rows = texts(emotions, { form: 'bare' }).filter(({ prompt }) => prompt.includes(' Sentiment:'));
    expect(new Set(rows.map(({ answer }) => answer))).toEqual(new Set(['negative', 'neutral']));
    expect(sentimentOf(['joy', 'love'])).toBe('positive');
    expect(sentimentOf(['joy', 'fear'])).toBeUndefined();
    expect(sentimentOf(['surprise'])).toBeUndefined();
  });

  it('ask for numbers on several scales, and in words', () => {
    const answers = texts([valence]).map(({ answer }) => answer);
    expect(answers).toContain('4.0');
    // The highest of other scales, the lowest of inverted ones.
    expect(new Set(answers.filter((answer) => /\d/.test(answer))).size).toBeGreaterThan(3);
    expect(answers.some((answer) => /^[a-z ]+$/.test(answer))).toBe(true);
  });

  it('have no instruction where they are bare', () => {
    for (const { prompt } of texts(emotions, { form: 'bare', tokens: 2000 })) {
      expect(prompt).toMatch(/^Text: a good/);
      expect(prompt).toMatch(/:\n\nAssistant: \n$/);
    }
  });

  it('are the same for the same seed, and none is too long', () => {
    const again = (seed: number) => JSON.stringify(texts(emotions, { seed, tokens: 5000 }));
    expect(again(1)).toBe(again(1));
    expect(again(1)).not.toBe(again(2));
    const rows = affectiveRows(emotions, tokenizer, { ...draw, longest: 260, tokens: 10_000 });
    expect(Math.max(...rows.map(({ tokens }) => tokens.length))).toBeLessThanOrEqual(260);
  });
});
