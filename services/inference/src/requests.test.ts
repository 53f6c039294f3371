import { bundledLexicons } from '@emotune/affect';
import { InvalidArgument } from '@emotune/base';
import { codecOf, common, type inference, messageType } from '@emotune/proto';
import { expect, it } from 'vitest';
import { parseBatch, parseRequest } from './requests.js';

const request = (fields: Partial<inference.AnalyzeRequest>): inference.AnalyzeRequest => ({
  ...codecOf<inference.AnalyzeRequest>(messageType('emotune.inference.v1.AnalyzeRequest')).decode(
    Buffer.of(),
  ),
  text: 'fine',
  ...fields,
});
const { Task } = common;

it('asks all four tasks, or one, as the request wants them', () => {
  const all = parseRequest(request({ text: 'so good', scale: { low: 1, high: 9 }, emotion: 'hope' }));
  const questions = all.ask(undefined, bundledLexicons()).questions;
  expect(questions.map(({ task }) => task)).toEqual([
    'sentiment-classification',
    'sentiment-regression',
    'emotion-classification',
    'emotion-regression',
  ]);
  expect(questions.map(({ scale }) => scale?.high)).toEqual([undefined, 9, undefined, 9]);
  expect(questions.map(({ emotion }) => emotion)).toEqual([null, null, null, 'hope']);
  expect(all.ask(undefined, bundledLexicons()).cues[0]).toMatchObject({
    text: 'good',
    lexicon: 'vader',
    start: 3,
    modifier: 'so',
  });
  for (const { cues } of questions) expect(cues).toContain('so good');

  const one = parseRequest(request({ task: Task.TASK_SENTIMENT_CLASSIFICATION, labels: ['bad', 'good'] }));
  expect(one.ask(undefined, bundledLexicons()).questions).toHaveLength(1);
  expect(one.ask(undefined, bundledLexicons()).questions[0]).toMatchObject({
    labelSet: ['bad', 'good'],
    multiLabel: false,
  });
});

it('tells the first 100 cues of a text, so that 1,000 of them fit into an answer', () => {
  const { cues } = parseRequest(request({ text: 'good '.repeat(2000) })).ask(undefined, bundledLexicons());
  // Two lexicons know the word.
  expect(cues).toHaveLength(100);
  expect(cues.at(-1)).toMatchObject({ start: 245 });
});

it.each([
  [{ text: '' }, 'text: expected 1 to 10000 characters, got ""'],
  [{ text: ' \n' }, 'text: expected 1 to 10000 characters, got " \\n"'],
  [{ text: 'x'.repeat(10_001) }, 'text: expected 1 to 10000 characters, got 10001'],
  [{ scale: { low: 1, high: 1 } }, 'scale: expected low and high at least'],
  [{ scale: { low: Number.NaN, high: 1 } }, 'scale.low: expected a number'],
  [{ scale: { low: 0, high: Number.POSITIVE_INFINITY } }, 'scale.high: expected a number'],
  [{ labels: ['joy', ''] }, 'labels[1]: expected 1 to 50 characters'],
  [{ labels: ['joy', 'a|b'] }, 'labels[1]: expected 1 to 50 characters'],
  [{ labels: ['joy', 'fear', 'joy'] }, 'labels[2]: expected another label than labels[0], got "joy"'],
  [{ labels: Array.from({ length: 51 }, (_, i) => `l${i}`) }, 'labels: expected at most 50, got 51'],
  [{ emotion: 'joy, fear' }, 'emotion: expected 1 to 50 characters'],
  [{ task: 99 as never }, 'task: expected one of sentiment-classification'],
  [
    { task: Task.TASK_SENTIMENT_REGRESSION, labels: ['joy'] },
    'labels: expected nothing for sentiment-regression',
  ],
  [{ task: Task.TASK_EMOTION_CLASSIFICATION, scale: { low: 0, high: 1 } }, 'scale: expected nothing for'],
  [{ task: Task.TASK_SENTIMENT_REGRESSION, emotion: 'joy' }, 'emotion: expected nothing for'],
])('refuses %j', (fields, message) => {
  expect(() => parseRequest(request(fields))).toThrow(message);
});

it('names everything that is wrong in a batch', () => {
  const wrong = [request({}), request({ text: '', labels: ['a,b'] }), request({ emotion: ' ' })];
  let error: unknown;
  try {
    parseBatch(wrong);
  } catch (e) {
    error = e;
  }
  expect(error).toBeInstanceOf(InvalidArgument);
  expect((error as InvalidArgument).violations.map(({ field }) => field)).toEqual([
    'requests[1].text',
    'requests[1].labels[0]',
    'requests[2].emotion',
  ]);
  expect(() => parseBatch([])).toThrow('requests: expected 1 to 1000, got 0');
  expect(() => parseBatch(Array.from({ length: 1001 }, () => request({})))).toThrow('got 1001');
});
