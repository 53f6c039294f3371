/** The judgements of an item together: what a panel of raters says. */
import { isRegression, type Meaning, regressionMeasure, type Scale, unitOf } from '@emotune/affect';
import { mean } from '@emotune/base';
import type { Answer } from './answers.js';
import type { StudyQuestion } from './question.js';

/** A judgement of a row, not of an attention check. */
export interface Judged {
  readonly item: number;
  readonly rater: number;
  readonly answer: Answer;
}

/** Whether answers are numbers. */
export function isNumeric(question: StudyQuestion): question is StudyQuestion & {
  readonly kind: 'rating';
  readonly scale: Scale;
} {
  return question.kind === 'rating' && isRegression(question.task);
}

/** What stands for an answer that is no number. */
export function keyOf(answer: Answer): string {
  return answer.kind === 'labels' ? answer.labels.join('\0') : answer.kind === 'choice' ? answer.choice : '';
}

/** The most frequent, several where they are equally frequent. */
export function mostFrequent(keys: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  const most = Math.max(...counts.values());
  return [...counts].filter(([, count]) => count === most).map(([key]) => key);
}

/** Two points lie on a line always. */
const leastPoints = 3;

/** An item that somebody has answered, and what the panel says of it. */
export interface Beside {
  readonly own: Answer | Meaning;
  readonly panel: readonly Answer[];
}

function isAnswer(own: Answer | Meaning): own is Answer {
  return 'kind' in own;
}

/**
 * How far one's answers are those of a panel: Pearson's r with its mean; or the share of items where the answer is its most frequent one,
 * or one of several that are. Undefined of no items, of fewer than 3 numbers, and where numbers do not vary.
 */
export function agreementWith(rows: readonly Beside[], question: StudyQuestion): number | undefined {
  if (isNumeric(question)) {
    const { scale } = question;
    const unit = (answer: Answer) => unitOf(scale, answer.kind === 'value' ? answer.value : Number.NaN);
    if (rows.length < leastPoints) return undefined;
    return regressionMeasure(
      rows.map(({ own, panel }) => ({
        answer: isAnswer(own) ? unit(own) : own.value!,
        gold: mean(panel.map(unit)),
      })),
    ).of().pearson;
  }
  if (rows.length === 0) return undefined;
  const right = rows.filter(({ own, panel }) =>
    mostFrequent(panel.map(keyOf)).includes(isAnswer(own) ? keyOf(own) : own.labels.join('\0')),
  );
  return right.length / rows.length;
}

/** By item. */
export function byItem(judged: readonly Judged[]): ReadonlyMap<number, readonly Judged[]> {
  return Map.groupBy(judged, ({ item }) => item);
}
