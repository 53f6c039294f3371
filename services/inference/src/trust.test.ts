import { type Inquiry, type Teaching, teachingOf } from '@emotune/affect';
import { expect, it } from 'vitest';
import { trustIn } from './trust.js';

const valence: Inquiry = {
  task: 'sentiment-regression',
  emotion: null,
  scale: { low: -4, high: 4 },
  labelSet: [],
  multiLabel: false,
};
const moods: Inquiry = {
  task: 'emotion-classification',
  emotion: null,
  scale: null,
  labelSet: ['calm', 'merry'],
  multiLabel: true,
};
const row = (inquiry: Inquiry, language: string) => ({
  ...inquiry,
  language,
  text: 'x',
  prompt: 'p',
  tokens: [1],
});
const teaching = teachingOf([row(valence, 'en'), row(valence, 'pt'), row(moods, 'en')]);
const shown = (skill: 'better' | 'none'): Teaching => ({
  ...teaching,
  inquiries: teaching.inquiries.map((inquiry) => ({ ...inquiry, skill })),
});

it('a question that was trained, in any order of its labels, needs no warning', () => {
  const asked = { ...moods, labelSet: ['merry', 'calm'] };
  expect(trustIn(asked, shown('better'), 'pt-BR')).toEqual({ trained: true, skill: 'better', warnings: [] });
  expect(trustIn(asked, teaching, '')).toEqual({ trained: true, skill: 'unknown', warnings: [] });
});

it.each([
  [
    { ...valence, scale: { low: 0, high: 100 } },
    'the model was not trained for sentiment-regression of 0..100: it was trained on -4..4',
  ],
  [
    { ...moods, labelSet: ['calm', 'sad'] },
    'the model was not trained for emotion-classification of calm, sad: it was trained on calm, merry',
  ],
  [
    { ...valence, task: 'emotion-regression', emotion: 'joy', scale: { low: 0, high: 1 } },
    'the model was not trained for emotion-regression of joy on 0..1: it was trained on no emotion-regression',
  ],
] as const)('one that was not is told, with what was', (asked, warning) => {
  expect(trustIn(asked, shown('better'), 'en')).toEqual({
    trained: false,
    skill: 'unknown',
    warnings: [warning],
  });
});

it('tells that a constant does as well, and that it knows no text in that language', () => {
  const { trained, skill, warnings } = trustIn(valence, shown('none'), 'fi');
  expect([trained, skill]).toEqual([true, 'none']);
  expect(warnings).toEqual([
    'on its test rows the model answered this no better than one constant answer',
    'the model saw no text in fi: it was trained on en, pt',
  ]);
});

it('a model that does not tell is trusted in nothing', () => {
  const { trained, skill, warnings } = trustIn(valence, undefined, 'fi');
  expect([trained, skill, warnings.length]).toEqual([false, 'unknown', 1]);
});
