/** What follows from the probabilities of a question's answers. */
import type { Candidate } from '@emotune/affect';

export type Distribution = readonly (Candidate & { readonly probability: number })[];

/** Probabilities in proportion to exp(scores). */
export function softmax(scores: Float64Array): Float64Array {
  const top = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const weights = scores.map((score) => Math.exp(score - top));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

/** Expected value of a distribution over numbers, 0..1. */
export function meanOf(distribution: Distribution): number {
  const mean = distribution.reduce((sum, { value, probability }) => sum + probability * value!, 0);
  return Math.min(1, Math.max(0, mean));
}

/** Bounds between which the central `share` of a distribution over rising numbers lies. */
export function intervalOf(distribution: Distribution, share: number): [low: number, high: number] {
  const tail = (1 - share) / 2;
  const quantile = (level: number) => {
    let sum = 0;
    for (const { value, probability } of distribution) {
      sum += probability;
      if (sum >= level) return value!;
    }
    return distribution.at(-1)!.value!;
  };
  return [quantile(tail), quantile(1 - tail)];
}

/** How probable it is that the answer holds each label, in alphabetical order. */
export function marginalsOf(distribution: Distribution): { label: string; probability: number }[] {
  const sums = new Map<string, number>();
  for (const { labels, probability } of distribution)
    for (const label of labels) sums.set(label, (sums.get(label) ?? 0) + probability);
  return [...sums]
    .sort(([p], [q]) => (p < q ? -1 : 1))
    .map(([label, probability]) => ({ label, probability: Math.min(1, probability) }));
}

export function likeliest(distribution: Distribution): Distribution[number] {
  return distribution.reduce((best, next) => (next.probability > best.probability ? next : best));
}
