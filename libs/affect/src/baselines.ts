/** What answers cost nothing: one constant learnt from the train rows, and VADER's rule. */
import type { Gold, Inquiry, Meaning } from './tasks.js';

interface Sums {
  n: number;
  value: number;
  readonly labels: Map<string, number>;
}

/** From the question itself to all of its task. */
function keysOf({ task, emotion, scale, labelSet, multiLabel }: Inquiry): string[] {
  const keys =
    labelSet.length > 0
      ? [[task, multiLabel, [...labelSet].sort()]]
      : [[task, emotion, scale?.low, scale?.high], [task, emotion], [task]];
  return keys.map((key) => JSON.stringify(key));
}

/** The most frequent label, first in the alphabet among equals; of multi-label rows all that at least half of them have. */
function majority({ n, labels }: Sums, multiLabel: boolean): string[] {
  const ranked = [...labels].sort(([a, p], [b, q]) => q - p || (a < b ? -1 : 1));
  const frequent = ranked.filter(([, count]) => 2 * count >= n).map(([label]) => label);
  return multiLabel && frequent.length > 0 ? frequent.sort() : ranked.slice(0, 1).map(([label]) => label);
}

/**
 * The best answer to each question without its text, from train rows. Regression: the mean of the same emotion on the same
 * scale (of the same emotion, or the task, where no row asked just that). Classification: the majority of the same label set.
 */
export class ConstantBaseline {
  private readonly groups = new Map<string, Sums>();

  add({ gold, ...asked }: Inquiry & { readonly gold: Gold }): void {
    for (const key of keysOf(asked)) {
      const sums = this.groups.get(key) ?? { n: 0, value: 0, labels: new Map() };
      this.groups.set(key, sums);
      sums.n++;
      sums.value += gold.value ?? 0;
      for (const label of gold.labels) sums.labels.set(label, (sums.labels.get(label) ?? 0) + 1);
    }
  }

  /** Undefined where no train row asked the like. */
  answer(question: Inquiry): Meaning | undefined {
    const key = keysOf(question).find((candidate) => this.groups.has(candidate));
    if (key === undefined) return undefined;
    const sums = this.groups.get(key) as Sums;
    return question.labelSet.length === 0
      ? { value: sums.value / sums.n, labels: [] }
      : { value: null, labels: majority(sums, question.multiLabel) };
  }
}

/** Compounds nearer to 0 are neutral (Hutto and Gilbert 2014, the authors' README). */
const neutralBelow = 0.05;

/**
 * What VADER's compound score, −1..1, says to a sentiment question; a label set without neutral is decided by the sign.
 * Undefined for questions of emotions and for label sets other than negative, positive and perhaps neutral.
 */
export function vaderAnswer(
  { task, labelSet }: Pick<Inquiry, 'task' | 'labelSet'>,
  compound: number,
): Meaning | undefined {
  if (task === 'sentiment-regression') return { value: (compound + 1) / 2, labels: [] };
  if (task !== 'sentiment-classification') return undefined;
  const known = ['negative', 'neutral', 'positive'];
  if (!labelSet.includes('negative') || !labelSet.includes('positive')) return undefined;
  if (!labelSet.every((label) => known.includes(label))) return undefined;
  if (labelSet.includes('neutral') && Math.abs(compound) < neutralBelow)
    return { value: null, labels: ['neutral'] };
  return { value: null, labels: [compound >= 0 ? 'positive' : 'negative'] };
}
