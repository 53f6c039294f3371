/** What follows from the probabilities of a question's answers. Numbers are on 0..1 and rise. */
import type { Candidate } from './questions.js';

export type Distribution = readonly (Candidate & { readonly probability: number })[];

/** Probabilities in proportion to exp(scores). */
export function softmax(scores: Float64Array): Float64Array {
  const top = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const weights = scores.map((score) => Math.exp(score - top));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

/** The same answers, in proportion to exp(scores). */
function reweighted(distribution: Distribution, scores: Float64Array): Distribution {
  const probabilities = softmax(scores);
  return distribution.map((answer, i) => ({ ...answer, probability: probabilities[i] }));
}

/**
 * In proportion to p^(1 / temperature): flatter above 1, steeper below (Guo et al. 2017, section 4.2, of whole answers).
 * @param temperature above 0
 */
export function tempered(distribution: Distribution, temperature: number): Distribution {
  if (temperature === 1) return distribution;
  return reweighted(
    distribution,
    Float64Array.from(distribution, ({ probability }) => Math.log(probability) / temperature),
  );
}

/** Expected value of a distribution over numbers, 0..1. */
export function meanOf(distribution: Distribution): number {
  const mean = distribution.reduce((sum, { value, probability }) => sum + probability * value!, 0);
  return Math.min(1, Math.max(0, mean));
}

/** Steps that halve where the tilt lies: then it is as exact as doubles. */
const halvings = 60;
/** A tilt by e^±`steepest` puts all on one end. */
const steepest = 1e4;

/**
 * The distribution over numbers that is nearest to the given one, by Kullback-Leibler divergence, of those with this mean: it
 * is tilted by exp(λ value) (Csiszár 1975, theorem 3.1). Means beyond the first and last number are theirs.
 */
export function withMean(distribution: Distribution, mean: number): Distribution {
  const logs = Float64Array.from(distribution, ({ probability }) => Math.log(probability));
  const values = Float64Array.from(distribution, ({ value }) => value!);
  const scores = (slope: number) => logs.map((log, i) => log + slope * values[i]);
  let [low, high] = [-steepest, steepest];
  for (let i = 0; i < halvings; i++) {
    const middle = (low + high) / 2;
    const tilted = softmax(scores(middle)).reduce((sum, p, n) => sum + p * values[n], 0);
    if (tilted < mean) low = middle;
    else high = middle;
  }
  return reweighted(distribution, scores((low + high) / 2));
}

/** The number below or at which the share `level` of a distribution lies: of a half the median, the middle of an ordinal scale. */
export function quantileOf(distribution: Distribution, level: number): number {
  let sum = 0;
  for (const { value, probability } of distribution) {
    sum += probability;
    // What the sum of shares lost to rounding is not held against them.
    if (sum >= level - 1e-12) return value!;
  }
  return distribution.at(-1)!.value!;
}

/** Bounds between which the central `share` of a distribution over numbers lies. */
export function intervalOf(distribution: Distribution, share: number): [low: number, high: number] {
  const tail = (1 - share) / 2;
  return [quantileOf(distribution, tail), quantileOf(distribution, 1 - tail)];
}

/**
 * Continuous ranked probability score, 0 (all on the gold) to 1: the integral of (F(x) − [x ≥ gold])² (Gneiting and Raftery
 * 2007, equation 20). Of one certain number it is the absolute error.
 */
export function crpsOf(distribution: Distribution, gold: number): number {
  let [score, below, from] = [0, 0, 0];
  const add = (to: number) => {
    const middle = Math.min(Math.max(gold, from), to);
    score += (middle - from) * below ** 2 + (to - middle) * (1 - below) ** 2;
    from = to;
  };
  for (const { value, probability } of distribution) {
    add(value!);
    below += probability;
  }
  add(1);
  return score;
}

export interface Marginal {
  readonly label: string;
  /** 0..1. */
  readonly probability: number;
}

/** How probable it is that the answer holds each label, in alphabetical order. */
export function marginalsOf(distribution: Distribution): Marginal[] {
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
