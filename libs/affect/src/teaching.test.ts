import { InvalidArgument } from '@emotune/base';
import { expect, it } from 'vitest';
import { explain } from './lexicons.js';
import { defaultQuestion, renderPrompt } from './questions.js';
import type { Inquiry } from './tasks.js';
import { parseTeaching, taughtInquiry, teachingJson, teachingOf } from './teaching.js';

const none: Inquiry = {
  task: 'emotion-classification',
  emotion: null,
  scale: null,
  labelSet: [],
  multiLabel: false,
};
const row = (inquiry: Partial<Inquiry>, { text = 'x', prompt = 'p', end = 7 } = {}) => ({
  ...none,
  ...inquiry,
  text,
  prompt,
  tokens: [1, 2, end],
});
const moods = { labelSet: ['calm', 'merry', 'sad'], multiLabel: true };

it('tells label sets in their usual order, scales and emotions, the most rows first, and how answers end', () => {
  const teaching = teachingOf([
    row({ ...moods, labelSet: ['sad', 'calm', 'merry'] }),
    row(moods),
    row(moods),
    row({ labelSet: ['no', 'yes'] }),
    row({ task: 'sentiment-regression', scale: { low: 0, high: 9 } }),
    row({ task: 'sentiment-regression', scale: { low: 1, high: 5 } }),
    row({ task: 'sentiment-regression', scale: { low: 1, high: 5 } }),
    row({ task: 'emotion-regression', emotion: 'awe', scale: { low: 0, high: 1 } }),
    row({ task: 'emotion-regression', emotion: 'awe', scale: { low: 0, high: 1 } }),
    row({ task: 'emotion-regression', emotion: 'fear', scale: { low: 0, high: 3 } }),
  ]);
  expect(teaching.endTokenId).toBe(7);
  expect(teaching.inquiries.map(({ rows, labelSet, scale }) => [rows, labelSet, scale?.high])).toEqual([
    [2, [], 5],
    [1, [], 9],
    [3, ['calm', 'merry', 'sad'], undefined],
    [1, ['no', 'yes'], undefined],
    [2, [], 1],
    [1, [], 3],
  ]);
  expect(taughtInquiry(teaching, 'emotion-regression')?.emotion).toBe('awe');
  expect(taughtInquiry(teaching, 'emotion-regression', 'fear')?.scale?.high).toBe(3);
  expect(taughtInquiry(teaching, 'sentiment-classification')).toBeUndefined();
  expect(taughtInquiry(undefined, 'emotion-regression')).toBeUndefined();
  expect(parseTeaching(teachingJson(teaching))).toEqual(teaching);
});

it('tells whether prompts carried cues from those that could', () => {
  const text = 'a wonderful day';
  const asked = (cues: string) => renderPrompt(defaultQuestion('sentiment-classification', text, { cues }));
  expect(teachingOf([row(moods, { text, prompt: asked('') })]).cues).toBe(false);
  expect(teachingOf([row(moods, { text, prompt: asked(explain(text).cueText) })]).cues).toBe(true);
  // Some were bared of them.
  expect(
    teachingOf([
      row(moods, { text, prompt: asked('') }),
      row(moods, { text, prompt: asked(explain(text).cueText) }),
    ]).cues,
  ).toBe(true);
  // Rows of another maker tell nothing.
  expect(teachingOf([row(moods, { text, prompt: '' })]).cues).toBe(true);
});

it('a question follows what was taught where nothing else is asked', () => {
  const [inquiry] = teachingOf([row({ labelSet: ['bliss', 'gloom'] })]).inquiries;
  const ask = (options: object) =>
    defaultQuestion('emotion-classification', 'x', { cues: '', taught: inquiry, ...options });
  expect(ask({})).toMatchObject({ labelSet: ['bliss', 'gloom'], multiLabel: false, threshold: 0.5 });
  expect(ask({ labels: ['a', 'b'] })).toMatchObject({ labelSet: ['a', 'b'], multiLabel: false });
});

it.each([
  ['{', 'emotune.json: expected JSON'],
  ['{}', 'emotune.json.version'],
  [
    JSON.stringify({ version: 1, endTokenId: 1, cues: true, tasks: [{ task: 'sentiment-regression' }] }),
    'emotune.json.tasks[0].scale: expected the scale of sentiment-regression, got nothing',
  ],
  [
    JSON.stringify({
      version: 1,
      endTokenId: 1,
      cues: true,
      tasks: [{ task: 'emotion-classification', labels: ['a|b', 'c'] }],
    }),
    'emotune.json.tasks[0].labels[0]: expected a label without',
  ],
])('a file that is not one of ours is refused: %s', (text, want) => {
  const refused = (() => {
    try {
      return parseTeaching(text);
    } catch (error) {
      return error as Error;
    }
  })();
  expect(refused).toBeInstanceOf(InvalidArgument);
  expect((refused as Error).message).toContain(want);
});
