import { endOfSequence, Tokenizer, trainBpe } from '@emotune/text';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { explain } from './lexicons.js';
import { answerTokens, candidateTokens, digitTokens, questionTokens } from './question-tokens.js';
import {
  candidatesOf,
  defaultQuestion,
  type Question,
  questionOf,
  renderAnswer,
  renderPrompt,
} from './questions.js';
import { decimalsOf } from './scales.js';
import { type Example, numberGold, tasks } from './tasks.js';
import { paraphrases } from './wordings.js';

const example: Example = {
  id: 'a/1',
  source: 'a',
  language: 'en',
  task: 'sentiment-regression',
  text: 'The ferry was late\nbut the  view was great',
  emotion: null,
  labelSet: [],
  multiLabel: false,
  scale: { low: -4, high: 4 },
  gold: numberGold(0.75),
};

const onScale = (low: number, high: number): Question =>
  questionOf({ ...example, scale: { low, high } }, { cues: '', paraphrase: 0 });
const withLabels = (labelSet: readonly string[], multiLabel: boolean): Question => ({
  ...defaultQuestion('emotion-classification', 'x', { labels: labelSet, cues: '' }),
  multiLabel,
});

describe('prompts', () => {
  it('keep the wire format, declare the scale, and put text and cues on one line', () => {
    const prompt = renderPrompt(questionOf(example, { cues: explain(example.text).cueText, paraphrase: 0 }));
    expect(prompt).toBe(
      'Human: \nTask: Rate the sentiment of the text from -4 (most negative) to 4 (most positive). ' +
        'Text: The ferry was late but the view was great Cues: great +3; positive +0.8. ' +
        'Sentiment score:\n\nAssistant: \n',
    );
    expect(renderPrompt(questionOf(example, { cues: '', paraphrase: 0 }))).not.toContain('Cues');
  });

  it('differ in every paraphrase, and in one label from several', () => {
    const prompts = tasks.flatMap((task) =>
      Array.from({ length: paraphrases }, (_, paraphrase) => {
        const question = { ...defaultQuestion(task, 'x', { cues: '' }), paraphrase };
        return question.scale === null
          ? [renderPrompt(question), renderPrompt({ ...question, multiLabel: !question.multiLabel })]
          : [renderPrompt(question)];
      }),
    );
    const emotion = prompts.flat().filter((prompt) => prompt.includes('anger'));
    expect(new Set(emotion).size).toBe(2 * paraphrases);
    expect(new Set(prompts.flat()).size).toBe(5 * paraphrases);
    for (const prompt of emotion) expect(prompt).toContain('anger, disgust, fear, joy');
  });

  it('declare another scale or order of labels when asked to', () => {
    const other = questionOf(example, { cues: '', paraphrase: 1, scale: { low: 0, high: 1 } });
    expect(renderPrompt(other)).toContain('from 0 (not at all) to 1 (entirely)');
    expect(renderAnswer(other, example.gold)).toBe('0.75');
  });
});

describe('numbers', () => {
  it.each([
    [0, 1, 2, '0.00', '0.50', '1.00', 101],
    [-4, 4, 1, '-4.0', '0.0', '4.0', 81],
    [1, 5, 1, '1.0', '3.0', '5.0', 41],
    [-1, 1, 1, '-1.0', '0.0', '1.0', 21],
    [0, 100, 0, '0', '50', '100', 101],
    [0, 1000, 0, '0', '500', '1000', 101],
    [1, 9, 1, '1.0', '5.0', '9.0', 81],
    [0, 0.5, 2, '0.00', '0.25', '0.50', 51],
  ])('on %d..%d have %d decimals', (low, high, decimals, first, middle, last, count) => {
    const q = onScale(low, high);
    expect(q.decimals).toBe(decimals);
    const candidates = candidatesOf(q);
    expect(candidates.map(({ answer }) => answer)).toEqual(expect.arrayContaining([first, middle, last]));
    expect(candidates[0]).toMatchObject({ answer: first, value: 0 });
    expect(candidates.at(-1)).toMatchObject({ answer: last, value: 1 });
    expect(candidates).toHaveLength(count);
    expect(renderAnswer(q, { value: 0.5, labels: [] })).toBe(middle);
  });

  const scale = fc
    .record({ low: fc.integer({ min: -100_000, max: 100_000 }), range: fc.integer({ min: 1, max: 200_000 }) })
    .chain(({ low, range }) =>
      fc.constantFrom(1, 10, 1000).map((unit) => ({ low: low / unit, high: (low + range) / unit })),
    );

  it('stay on any scale, at most 101 of them, and give back their own answer', () => {
    fc.assert(
      fc.property(scale, fc.double({ min: 0, max: 1, noNaN: true }), ({ low, high }, value) => {
        const q = onScale(low, high);
        const candidates = candidatesOf(q);
        expect(candidates.length).toBeGreaterThan(1);
        expect(candidates.length).toBeLessThanOrEqual(101);
        expect(new Set(candidates.map(({ answer }) => answer)).size).toBe(candidates.length);
        for (const candidate of candidates) {
          expect(Number(candidate.answer)).toBeGreaterThanOrEqual(low - 1e-9);
          expect(Number(candidate.answer)).toBeLessThanOrEqual(high + 1e-9);
          expect(renderAnswer(q, candidate)).toBe(candidate.answer);
        }
        const answer = Number(renderAnswer(q, { value, labels: [] }));
        const asked = low + value * (high - low);
        const nearest = Math.min(...candidates.map((c) => Math.abs(Number(c.answer) - asked)));
        expect(Math.abs(answer - asked)).toBeLessThanOrEqual(nearest + 1e-6);
      }),
    );
  });

  it.each([
    [1, 1],
    [0, 1e-5],
    [Number.NaN, 1],
    [0, Number.POSITIVE_INFINITY],
  ])('cannot be asked on %d..%d', (low, high) => {
    expect(() => decimalsOf({ low, high })).toThrow(/^scale/);
  });

  it('off the scale are refused', () => {
    expect(() => renderAnswer(onScale(0, 1), { value: 1.2, labels: [] })).toThrow(
      'value: expected a number on 0..1, got 1.2',
    );
  });
});

describe('labels', () => {
  it('are asked alone, and in pairs without neutral where several may hold', () => {
    const answers = (q: Question) => candidatesOf(q).map(({ answer }) => answer);
    expect(answers(withLabels(['joy', 'anger', 'neutral'], false))).toEqual(['anger', 'joy', 'neutral']);
    expect(answers(withLabels(['joy', 'anger', 'neutral'], true))).toEqual([
      'anger',
      'joy',
      'neutral',
      'anger, joy',
    ]);
    const many = Array.from({ length: 28 }, (_, i) => `label${i}`);
    expect(candidatesOf(withLabels(many, true))).toHaveLength(28);
  });

  it('are answered in alphabetical order, whatever the order of the prompt', () => {
    const q = withLabels(['trust', 'joy', 'anger'], true);
    expect(renderAnswer(q, { value: null, labels: ['trust', 'anger'] })).toBe('anger, trust');
    for (const candidate of candidatesOf(q)) expect(renderAnswer(q, candidate)).toBe(candidate.answer);
  });

  it('outside the set, none, and two where one is asked are refused', () => {
    const q = withLabels(['joy', 'anger'], false);
    expect(() => renderAnswer(q, { value: null, labels: ['hope'] })).toThrow(
      'labels: expected one label among joy, anger, got hope',
    );
    expect(() => renderAnswer(q, { value: null, labels: [] })).toThrow('got none');
    expect(() => renderAnswer(q, { value: null, labels: ['joy', 'anger'] })).toThrow('got anger, joy');
  });
});

describe('tokens', () => {
  const bpe = { vocabSize: 300, specialTokens: ['<s>', '</s>'] };
  const json = trainBpe(['the view was great', 'Human: Task: Text: Assistant:'], bpe);
  const tokenizer = Tokenizer.parse(json);

  it('of an answer end the sequence', () => {
    const tokens = answerTokens(tokenizer, '-1.5');
    expect(tokens.at(-1)).toBe(tokenizer.idOf('</s>'));
    expect(tokenizer.decode(tokens)).toBe('-1.5');
    const without = Tokenizer.parse(trainBpe(['the view'], { ...bpe, specialTokens: ['<pad>'] }));
    expect(() => endOfSequence(without)).toThrow(
      'config.json: eos_token_id: expected the token that ends a sequence',
    );
  });

  it('begin a prompt as the tokenizer begins every text, and count with its tokens', () => {
    const single = [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }];
    const pair = [...single, { Sequence: { id: 'B', type_id: 1 } }];
    const named = { '<s>': { id: '<s>', ids: [0], tokens: ['<s>'] } };
    const template = { type: 'TemplateProcessing', single, pair, special_tokens: named };
    const beginning = Tokenizer.parse({ ...json, post_processor: template });
    const q = withLabels(['joy', 'anger'], false);
    const plain = questionTokens(tokenizer, q, 1000).tokens;
    expect([...questionTokens(beginning, q, 1000).tokens]).toEqual([0, ...plain]);
    expect(questionTokens(tokenizer, q, plain.length).cut).toBe(false);
    expect(questionTokens(beginning, q, plain.length).cut).toBe(true);
  });

  it('of answers that are told apart end them only where one begins another', () => {
    const end = tokenizer.idOf('</s>');
    const ended = (answers: string[]) =>
      candidateTokens(tokenizer, answers).map((tokens) => tokens.at(-1) === end);
    expect(ended(['0.1', '0.2'])).toEqual([false, false]);
    expect(ended(['1', '10'])).toEqual([true, true]);
  });

  it('of digits are found by what they say, alone, after a digit and after a point', () => {
    const json = trainBpe(['the view'], bpe) as { added_tokens: object[] };
    const added = { id: 300, content: '42', single_word: false, lstrip: false, rstrip: false };
    json.added_tokens.push({ ...added, normalized: false, special: false });
    const joined = Tokenizer.parse(json);
    const [ones, twos, threes] = digitTokens(joined);
    expect([...ones.values()].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    for (const [token, value] of ones) expect(joined.decode([token])).toBe(String(value));
    expect([...twos].map(([token, value]) => [joined.decode([token]), value])).toEqual([['42', 4.2]]);
    expect(threes.size).toBe(0);
  });

  it('of a long text lose its end, never the question around it', () => {
    const q = defaultQuestion('sentiment-regression', 'the 😭 view was great '.repeat(5_000), {
      cues: 'none; neutral +0.0',
    });
    const bare = tokenizer.encode(renderPrompt({ ...q, text: '' })).length;
    for (const room of [bare, bare + 1, bare + 40, bare + 41]) {
      const { tokens, cut } = questionTokens(tokenizer, q, room);
      expect(cut).toBe(true);
      expect(tokens.length).toBeLessThanOrEqual(room);
      expect(tokens.length).toBeGreaterThan(room - 6);
      const [before, after] = renderPrompt({ ...q, text: '|' }).split('|');
      const prompt = tokenizer.decode(tokens);
      expect(prompt.startsWith(before.trimEnd())).toBe(true);
      expect(prompt.endsWith(after)).toBe(true);
    }
    expect(() => questionTokens(tokenizer, q, bare - 1)).toThrow(
      `question: expected at most ${bare - 1} tokens without the text, got ${bare}`,
    );
  });

  it('of a long text end before a character, whatever it is made of', () => {
    for (const character of ['😭', '𝒽', '👍🏽', '👩‍❤️‍👨', '❤️', 'e\u0301', '🇫🇮']) {
      const q = defaultQuestion('sentiment-classification', character.repeat(100), { cues: '' });
      const bare = tokenizer.encode(renderPrompt({ ...q, text: '' })).length;
      const [before, after] = renderPrompt({ ...q, text: '|' }).split('|');
      const longest = tokenizer.encode(character).length;
      const kept = new Set<number>();
      for (let room = bare; room < bare + 2 * longest + 2; room++) {
        const { tokens, cut } = questionTokens(tokenizer, q, room);
        const prompt = tokenizer.decode(tokens);
        const text = prompt.slice(before.trimEnd().length, prompt.length - after.length).trim();
        const characters = text.length / character.length;
        expect([cut, text]).toEqual([true, character.repeat(characters)]);
        kept.add(characters);
      }
      expect([...kept].slice(0, 2)).toEqual([0, 1]);
    }
  });

  it('of a text that fits are those of the whole prompt', () => {
    const q = defaultQuestion('emotion-regression', 'the view was great', { cues: '' });
    const { tokens, cut } = questionTokens(tokenizer, q, 1_000);
    expect(cut).toBe(false);
    expect(tokenizer.decode(tokens)).toBe(renderPrompt(q));
  });
});
