import { type Example, type Inquiry, labelGold, numberGold } from '@emotune/affect';
import { Tokenizer, trainBpe } from '@emotune/text';
import { describe, expect, it } from 'vitest';
import { askedOf, checkedCandidates, StudentRows, type TaughtText } from './asked.js';

const labels: Inquiry = {
  task: 'sentiment-classification',
  emotion: null,
  scale: null,
  labelSet: ['positive', 'negative'],
  multiLabel: false,
};
const valence: Inquiry = {
  ...labels,
  task: 'sentiment-regression',
  scale: { low: 0, high: 1 },
  labelSet: [],
};
const example = (inquiry: Inquiry, gold: Example['gold']): Example => ({
  ...inquiry,
  id: 'e',
  source: 's',
  language: 'en',
  text: 'the view was great',
  gold,
});
const texts: TaughtText[] = [
  {
    id: 'rated',
    text: 'the view was great',
    language: 'en',
    examples: [
      example({ ...labels, labelSet: ['negative', 'positive'] }, labelGold(['positive'])),
      example({ ...labels, labelSet: ['negative', 'positive'] }, labelGold(['positive'])),
      example({ ...valence, scale: { low: -4, high: 4 } }, numberGold(0.75)),
      example({ ...valence, scale: { low: -4, high: 4 } }, numberGold(0.5)),
      example({ ...labels, labelSet: ['negative', 'neutral', 'positive'] }, labelGold(['neutral'])),
    ],
  },
  { id: 'bare', text: 'the ferry was late', language: 'en', examples: [] },
];
const tokenizer = Tokenizer.parse(
  trainBpe(['Human: Task: Text: Assistant: positive negative'], {
    vocabSize: 300,
    specialTokens: ['<s>', '</s>'],
  }),
  { endOfSequence: 1 },
);
const students = (more: object = {}) =>
  new StudentRows({ tokenizer, maxTokens: 400, variants: 2, cues: 0, seed: 1, ...more });

describe('questions', () => {
  it('take the golds of their own kind, numbers from any scale, each once', () => {
    const asked = askedOf(texts, [labels, valence], { seed: 1 });
    expect(
      asked.map(({ text, kind, golds }) => [text.id, kind, golds.map((g) => g.value ?? g.labels)]),
    ).toEqual([
      ['rated', 0, [['positive']]],
      ['bare', 0, []],
      ['rated', 1, [0.75, 0.5]],
      ['bare', 1, []],
    ]);
  });

  it('are drawn by the seed where a text gets some of them', () => {
    const many = Array.from({ length: 40 }, (_, i) => ({
      id: `${i}`,
      text: `text ${i}`,
      language: 'en',
      examples: [],
    }));
    const kinds = (seed: number) =>
      askedOf(many, [labels, valence], { perText: 1, seed }).map(({ kind }) => kind);
    expect(kinds(1)).toHaveLength(40);
    expect(kinds(1)).toEqual(kinds(1));
    expect(kinds(1)).not.toEqual(kinds(2));
    expect(new Set(kinds(1)).size).toBe(2);
  });
});

describe('rows of a student', () => {
  it('are one for each wording and gold, or for the likeliest answer', () => {
    const [rated, bare] = askedOf(texts, [labels], { seed: 1 });
    const answers = (asked: typeof rated) =>
      students()
        .of(asked, Float32Array.of(0.9, 0.1))
        .map(({ tokens, answerStart, teacher }) => [
          tokenizer.decode(tokens.subarray(answerStart)),
          teacher!.gold,
        ]);
    // Candidates are in alphabetical order.
    expect(answers(rated)).toEqual(Array.from({ length: 2 }, () => ['positive', true]));
    expect(answers(bare)).toEqual(Array.from({ length: 2 }, () => ['negative', false]));
    const [one, other] = students().of(bare, Float32Array.of(0.9, 0.1));
    expect(one.id).not.toBe(other.id);
    expect([...one.tokens]).not.toEqual([...other.tokens]);
  });

  it('carry cues by a share', () => {
    const many = Array.from({ length: 200 }, (_, i) => ({
      id: `${i}`,
      text: 'so great',
      language: 'en',
      examples: [],
    }));
    const made = students({ variants: 1, cues: 0.25 });
    const cued = askedOf(many, [labels], { seed: 1 }).filter((asked) =>
      tokenizer.decode(made.of(asked, Float32Array.of(0.5, 0.5))[0].tokens).includes('Cues:'),
    );
    expect(cued.length).toBeGreaterThan(30);
    expect(cued.length).toBeLessThan(70);
  });

  it('have to fit', () => {
    const [asked] = askedOf(texts, [labels], { seed: 1 });
    expect(() => students({ maxTokens: 60 }).of(asked, Float32Array.of(0.5, 0.5))).toThrow(
      /^student: expected a model that holds the sentiment-classification question .*: expected at most/,
    );
  });
});

describe('tokens of answers', () => {
  const words = Tokenizer.parse(
    {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: { type: 'Whitespace' },
      post_processor: null,
      decoder: null,
      model: { type: 'WordLevel', vocab: { '<unk>': 0, joy: 1, '</s>': 2 }, unk_token: '<unk>' },
    },
    { endOfSequence: 2 },
  );
  const candidates = (...answers: string[]) =>
    answers.map((answer) => ({ answer, value: null, labels: [answer] }));

  it('are refused where the tokenizer has none', () => {
    expect(() => checkedCandidates(words, candidates('joy', 'awe'), 'teacher x')).toThrow(
      'teacher x: expected a tokenizer with tokens for the answer "awe", got none',
    );
  });

  it('are those of the candidates', () => {
    expect(checkedCandidates(tokenizer, candidates('positive', 'negative'), 'student')).toHaveLength(2);
  });
});
