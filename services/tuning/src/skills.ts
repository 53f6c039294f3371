/** What an evaluation has shown, beside what a model was taught. Pure. */
import type { evaluation, tuning } from '@emotune/proto';

type Kind = Pick<tuning.TaughtInquiry, 'task' | 'emotion' | 'scale' | 'labels' | 'multiLabel'>;

/** Equal where the same is asked; labels in any order are one set. */
function keyOf({ task, emotion, scale, labels, multiLabel }: Kind): string {
  return JSON.stringify([
    task,
    emotion,
    scale ? [scale.low, scale.high] : null,
    [...labels].sort(),
    multiLabel,
  ]);
}

/** What was not asked stays as it was. */
export function withSkills(
  teaching: tuning.Teaching,
  questions: readonly evaluation.QuestionResult[],
): tuning.Teaching {
  const shown = new Map(questions.map((question) => [keyOf(question), question.skill]));
  return {
    ...teaching,
    inquiries: teaching.inquiries.map((inquiry) => ({
      ...inquiry,
      skill: shown.get(keyOf(inquiry)) ?? inquiry.skill,
    })),
  };
}
