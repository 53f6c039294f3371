import { common, type evaluation, type tuning } from '@emotune/proto';
import { expect, it } from 'vitest';
import { withSkills } from './skills.js';

const { TASK_EMOTION_CLASSIFICATION, TASK_EMOTION_REGRESSION } = common.Task;
const { SKILL_BETTER, SKILL_NONE, SKILL_UNKNOWN } = common.Skill;

const inquiry: tuning.TaughtInquiry = {
  task: TASK_EMOTION_CLASSIFICATION,
  emotion: '',
  scale: undefined,
  labels: ['joy', 'fear'],
  multiLabel: true,
  rows: 9,
  threshold: 0.5,
  languages: ['en'],
  skill: SKILL_UNKNOWN,
};
const intensity = {
  ...inquiry,
  task: TASK_EMOTION_REGRESSION,
  scale: { low: 0, high: 1 },
  labels: [],
  multiLabel: false,
};
const teaching: tuning.Teaching = {
  cues: true,
  inquiries: [inquiry, { ...intensity, emotion: 'joy' }, { ...intensity, emotion: 'fear' }],
  calibrations: [],
};
const question = (
  { task, emotion, scale, labels, multiLabel }: tuning.TaughtInquiry,
  skill: common.Skill,
): evaluation.QuestionResult => ({ task, emotion, scale, labels, multiLabel, n: 50, skill });

it('notes what was shown of each kind of question, whatever the order of its labels', () => {
  const [first, joy] = teaching.inquiries;
  const { inquiries } = withSkills(teaching, [
    question({ ...first, labels: ['fear', 'joy'] }, SKILL_BETTER),
    question(joy, SKILL_NONE),
    question({ ...first, labels: ['fear', 'joy', 'calm'] }, SKILL_NONE),
  ]);
  expect(inquiries.map(({ skill }) => skill)).toEqual([SKILL_BETTER, SKILL_NONE, SKILL_UNKNOWN]);
  expect(inquiries[0].labels).toEqual(['joy', 'fear']);
});
