import { InvalidArgument } from '@emotune/base';
import { expect, it } from 'vitest';
import type { Calibration } from './calibration.js';
import { explain } from './lexicons.js';
import { defaultQuestion, renderPrompt } from './questions.js';
import type { Inquiry } from './tasks.js';
import {
  calibrated,
  parseTeaching,
  taughtInquiry,
  teachingJson,
  teachingOf,
  unseenLanguages,
} from './teaching.js';

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
  language: 'en',
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
  expect(teaching.inquiries[0]).toMatchObject({ languages: ['en'], skill: 'unknown' });
  expect(parseTeaching(teachingJson(teaching))).toEqual(teaching);
});

it('keeps how answers are calibrated, and finds it for what is asked', () => {
  const numbers: Calibration = {
    task: 'sentiment-regression',
    emotion: null,
    labelSet: [],
    multiLabel: false,
    n: 80,
    numbers: {
      temperature: 2,
      curve: { method: 'linear', x: [0, 1], y: [0.2, 0.9] },
      margin: -0.01,
      margins: [{ scale: { low: 0, high: 9 }, n: 60, margin: 0.1 }],
    },
    labels: null,
  };
  const labels: Calibration = {
    task: 'emotion-classification',
    emotion: null,
    labelSet: ['calm', 'merry', 'sad'],
    multiLabel: true,
    n: 30,
    numbers: null,
    labels: {
      temperature: 1,
      thresholds: { calm: 0.5, merry: 0.2, sad: 0.1 },
      confidence: { method: 'isotonic', x: [0.3], y: [0.4] },
      mass: 0.9,
    },
  };
  const teaching = { ...teachingOf([row(moods)]), calibrations: [numbers, labels] };
  expect(parseTeaching(teachingJson(teaching))).toEqual(teaching);
  const [inquiry] = teaching.inquiries;
  expect(calibrated(teaching, inquiry).calibration).toBe(labels);
  expect(calibrated(undefined, inquiry).calibration).toBeUndefined();
  const ask = { ...none, task: 'sentiment-regression', scale: { low: 0, high: 100 } } as const;
  expect(calibrated(teaching, ask).calibration).toBe(numbers);
});

it('reads files from before answers were calibrated', () => {
  const task = {
    task: 'emotion-classification',
    labels: ['a', 'b'],
    multiLabel: true,
    threshold: 0.4,
    rows: 3,
  };
  const teaching = parseTeaching(JSON.stringify({ version: 1, endTokenId: 1, cues: true, tasks: [task] }));
  expect(teaching.calibrations).toEqual([]);
  expect(teaching.inquiries[0]).toMatchObject({ threshold: 0.4, languages: [], skill: 'unknown' });
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
  [
    JSON.stringify({
      version: 2,
      endTokenId: 1,
      cues: true,
      tasks: [],
      calibrations: [
        {
          task: 'sentiment-regression',
          n: 40,
          numbers: {
            temperature: 1,
            curve: { method: 'linear', x: [0, 0], y: [0, 1] },
            margin: 0,
            margins: [],
          },
        },
      ],
    }),
    'emotune.json.calibrations[0].numbers.curve.x: expected rising numbers',
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

it('tells which languages a model was taught nothing in; one that it knows is known in all its regions', () => {
  const teaching = teachingOf([row(moods), { ...row(moods), language: 'pt-BR' }]);
  expect(unseenLanguages(teaching, ['ro', 'en-GB', 'pt', 'ro', 'fi'])).toEqual({
    unseen: ['fi', 'ro'],
    seen: ['en', 'pt-BR'],
  });
  expect(unseenLanguages(teaching, ['EN'])).toBeUndefined();
  // It does not tell.
  expect(unseenLanguages(undefined, ['fi'])).toBeUndefined();
  expect(unseenLanguages(teachingOf([]), ['fi'])).toBeUndefined();
});
